#!/usr/bin/env node
/**
 * Builds the single-file executable and runs with it every test that runs the program: commands, sidecar, and those of the
 * file itself (test/packaging/executable.test.ts).
 *
 *   npm run test:executable [-- --keep]     --keep: takes out/diffkeeper as it is
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const program = join(root, 'out', 'diffkeeper');

/** @param {readonly string[]} args @param {NodeJS.ProcessEnv} env */
function run(args, env = process.env) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env });
  if (status !== 0) process.exit(status ?? 1);
}

/** Test files that start the program by helpers and long runs which know of other programs. */
const STARTS = /\b(startCli|runCli|PROGRAM|cliPlace|soak-kill|soak-servers)\b/;
const files = ['cli', 'sidecar', 'packaging']
  .flatMap((room) => readdirSync(join(root, 'test', room)).map((name) => join('test', room, name)))
  .filter((name) => name.endsWith('.test.ts') && STARTS.test(readFileSync(join(root, name), 'utf8')));

if (!process.argv.includes('--keep')) run([join('scripts', 'build-executable.mjs'), `--out=${program}`]);
run([join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...files], {
  ...process.env,
  DIFFKEEPER_TEST_PROGRAM: program,
});
