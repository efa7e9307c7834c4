#!/usr/bin/env node
// Builds build/Release/diffkeeper.node with cmake-js; returns at once when it is
// newer than everything it is made of.
//
//   --sanitize   own code with ASan and UBSan, into build/sanitize/ (load with libasan preloaded)
//   --force      builds even when nothing looks newer
//
// prebuildify also calls this file in place of node-gyp (see the script `prebuilds`):
// the words it passes along (rebuild --target=...) are not needed for Node-API.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sanitize = process.argv.includes('--sanitize');
const force = process.argv.includes('--force') || process.argv.includes('rebuild');
const out = path.join(root, sanitize ? 'build/sanitize' : 'build');
const addon = path.join(out, 'Release/diffkeeper.node');
const inputs = ['native', 'CMakeLists.txt', 'scripts/build-native.mjs', 'scripts/vendor.json'];

/** Newest change in a file or below a folder, in milliseconds; folders count, so removals are seen. */
function newestMs(file) {
  const stat = fs.statSync(file);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return fs.readdirSync(file).reduce((newest, name) => Math.max(newest, newestMs(path.join(file, name))), stat.mtimeMs);
}

function upToDate() {
  if (!fs.existsSync(addon)) return false;
  const built = fs.statSync(addon).mtimeMs;
  return inputs.every((name) => newestMs(path.join(root, name)) <= built);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Two builds in one folder would destroy each other: the second waits for the first. */
async function lock() {
  fs.mkdirSync(out, { recursive: true });
  const file = path.join(out, '.lock');
  for (;;) {
    try {
      fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => fs.rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = Number(fs.readFileSync(file, { encoding: 'utf8', flag: 'a+' }));
    if (owner > 0 && !isAlive(owner)) fs.rmSync(file, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function build() {
  const started = new Date();
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const args = [cmakeJs, 'compile', '--out', out, '--parallel', '2', '--CDDK_WERROR=ON'];
  args.push(`--CDDK_SANITIZE=${sanitize ? 'ON' : 'OFF'}`);
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout}${result.stderr}\nthe native build failed\n`);
    return result.status ?? 1;
  }
  // Dated at the start: what was edited meanwhile is newer, and an idle linker counts as a build.
  fs.utimesSync(addon, started, started);
  console.log(`built ${path.relative(root, addon)} (${fs.statSync(addon).size} bytes)`);
  return 0;
}

const unlock = await lock();
try {
  process.exitCode = upToDate() && !force ? 0 : build();
} finally {
  unlock();
}
