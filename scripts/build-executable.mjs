#!/usr/bin/env node
/**
 * Builds the program as one file that needs neither Node nor node_modules: Node's own executable with the program, its
 * addon and LevelDB's inside (Node's single-executable applications).
 *
 *   npm run build:executable [-- --out=out/diffkeeper] [--node=PATH]
 *
 * The result runs on the system it was built on and on newer ones. --node: the executable of Node to take (this one).
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundleExecutable, keepingScript, startingScript } from './executable/entry.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** What Node looks for to know that it carries a program (Node's documentation of single executable applications). */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const postject = createRequire(import.meta.url).resolve('postject/dist/cli.js');

/** Runs a program; what it says counts only when it fails. */
function quietly(command, args) {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${command} failed: ${run.error?.message ?? `${run.stdout}${run.stderr}`}`);
  return run.stdout;
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'out', 'diffkeeper') },
    node: { type: 'string', default: process.execPath },
  },
});

const work = mkdtempSync(join(tmpdir(), 'diffkeeper-executable-'));
try {
  const { code, assets } = await bundleExecutable(root);
  const at = (name) => join(work, name);
  const main = at('main.cjs');
  writeFileSync(main, await startingScript(root));
  const program = { name: 'program.js', file: at('program.js') };
  writeFileSync(program.file, code);
  const kept = { name: 'program.code', file: at('program.code') };
  const keeper = at('keeper.cjs');
  writeFileSync(keeper, await keepingScript(root, { assets, program: program.file, out: kept.file }));
  quietly(values.node, [join(root, 'scripts', 'code-cache.mjs'), keeper]);
  // Refused, it would only be slow, and nobody would know.
  quietly(values.node, ['-e', `require('node:assert')(require(${JSON.stringify(keeper)}).isTaken())`]);
  const blob = join(work, 'program.blob');
  const config = {
    main,
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    assets: Object.fromEntries([...assets, program, kept].map(({ name, file }) => [name, file])),
  };
  const configFile = join(work, 'sea.json');
  writeFileSync(configFile, JSON.stringify(config));
  quietly(values.node, ['--experimental-sea-config', configFile]);

  const made = join(work, 'diffkeeper');
  copyFileSync(values.node, made);
  chmodSync(made, 0o755);
  // Symbols for debuggers are a sixth of it.
  quietly('strip', ['--strip-unneeded', made]);
  quietly(process.execPath, [postject, made, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE]);
  mkdirSync(dirname(values.out), { recursive: true });
  const beside = `${values.out}.${process.pid}.tmp`;
  copyFileSync(made, beside);
  chmodSync(beside, 0o755);
  renameSync(beside, values.out);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(
    `${values.out}: ${megabytes(statSync(values.out).size)}, of it the program ${megabytes(statSync(blob).size)}, ` +
      `Node ${quietly(values.node, ['--version']).trim()}`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
