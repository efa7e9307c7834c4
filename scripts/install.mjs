// Runs when npm installs the package. An installation never fails here: with a prebuild that loads there is nothing to
// do, else the addon is built from the carried sources, else one warning is printed and the TypeScript engine runs.
//
//   --build-from-source               builds although a prebuild loads (npm's --build-from-source does the same)
//   DIFFKEEPER_REQUIRE_NATIVE=1       no addon is an error: the installation fails
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon } from './build-addon.mjs';

/** The addon is loaded in a process of its own: one that was made for another processor can end it. */
const LOAD_LIMIT_MS = 30_000;
const CODE_LIMIT_MS = 60_000;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const built = path.join(root, 'build/Release/diffkeeper.node');
const forced = process.argv.includes('--build-from-source') || process.env.npm_config_build_from_source === 'true';

/** Why the addon does not load, in one line; undefined when it does. */
function loadFailure() {
  const program = `try { require('node-gyp-build')(${JSON.stringify(root)}); } catch (error) {
    process.stderr.write(error.message.trim().split('\\n')[0]); process.exit(1); }`;
  const result = spawnSync(process.execPath, ['-e', program], { cwd: root, encoding: 'utf8', timeout: LOAD_LIMIT_MS });
  if (result.status === 0) return undefined;
  return result.stderr.trim() || `loading it ended with ${result.signal ?? result.status}`;
}

/** Why building did not give an addon that loads; undefined when it did. */
async function buildFailure() {
  try {
    await buildAddon(root);
  } catch (error) {
    return error.message;
  }
  const failure = loadFailure();
  // The loader prefers a local build: one that does not load must not stand before a prebuild.
  if (failure !== undefined) fs.rmSync(built, { force: true });
  return failure === undefined ? undefined : `the addon that was built does not load: ${failure}`;
}

function giveUp(found, tried) {
  const required = process.env.DIFFKEEPER_REQUIRE_NATIVE === '1';
  const lines = [
    `diffkeeper: there is no native addon for ${process.platform}-${process.arch}, Node ${process.versions.node}.`,
    `  Found: ${found}`,
    `  Building it: ${tried}`,
    required
      ? '  DIFFKEEPER_REQUIRE_NATIVE=1 asks for it, so this is an error.'
      : '  The slower TypeScript engine is used instead. To try again: npm rebuild diffkeeper (needs a C++17 compiler).',
  ];
  console.warn(lines.join('\n'));
  if (required) process.exitCode = 1;
}

async function install() {
  // A checkout has src and builds with `npm run build`; npm runs this file there too.
  if (fs.existsSync(path.join(root, 'src'))) return;
  const found = loadFailure();
  if (found === undefined && !forced) return;
  const tried = await buildFailure();
  if (tried === undefined) console.log('diffkeeper: built the native addon from source');
  else if (found === undefined && loadFailure() === undefined) {
    console.warn(`diffkeeper: the native addon could not be built, the prebuilt one stays: ${tried}`);
  } else giveUp(found ?? 'a local build that no longer loads', tried);
}

/** Starting the program is quicker with compiled code beside it. It works without, so a failure here is none. */
function keepCode() {
  if (fs.existsSync(path.join(root, 'src'))) return;
  const program = path.join(root, 'scripts', 'code-cache.mjs');
  spawnSync(process.execPath, [program], { stdio: 'ignore', timeout: CODE_LIMIT_MS });
}

await install();
keepCode();
