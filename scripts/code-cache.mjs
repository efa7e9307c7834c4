#!/usr/bin/env node
// Keeps what V8 compiles of the command line, so that starting it does not compile it again: runs the commands that are
// wanted soonest in a directory of their own, then writes the compiled code beside the program.
// Run by scripts/install.mjs and scripts/build-ts.mjs; what is printed is of no interest to anybody. Building the single
// file names a module to load the program by instead of dist/cli/main.js.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(import.meta.url);
const [, , given, ...words] = process.argv;
const main = path.join(path.dirname(script), '..', 'dist', 'cli', 'main.js');
const { load } = createRequire(import.meta.url)(given === '--own' || given === undefined ? main : given);
if (given === '--own') {
  const { program, keep } = load(words[0], { anew: true });
  const code = await program.runProgram(words);
  if (code === 0) keep();
  process.exit(code);
}
const { program, keep } = load();
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'diffkeeper-code-'));
const at = (name) => path.join(place, name);
const text = (lines) => Array.from({ length: lines }, (_, line) => `${line} line of text\n`).join('');

try {
  fs.mkdirSync(at('data/below'), { recursive: true });
  for (let file = 0; file < 20; file += 1) fs.writeFileSync(at(`data/below/${file}`), text(100 + file));
  const store = `--store=${at('keep')}`;
  const data = `--state-dir=${at('data')}`;
  await program.runProgram(['capture', data, store]);
  fs.writeFileSync(at('data/below/3'), text(120));
  fs.writeFileSync(at('data/large'), Buffer.alloc(3 << 20, 'page of a larger file'));
  await program.runProgram(['capture', data, store]);
  await program.runProgram(['recover', `--state-dir=${at('again')}`, store]);
  // A single file has one kept code for all commands.
  if (given === undefined) keepOwn(['recover', `--state-dir=${at('own')}`, store]);
  const application = `require('fs').writeFileSync(${JSON.stringify(at('data/below/4'))}, 'new'); setTimeout(() => {}, 200)`;
  const command = ['--', process.execPath, '-e', application];
  await program.runProgram([data, store, ...command]);
  await program.runProgram([data, store, '--log-format=json', ...command]);
  await program.runProgram(['timeline', store]);
  await program.runProgram(['delta', at('data/below/3'), at('data/large'), at('delta')]);
  await program.runProgram(['patch', at('data/below/3'), at('delta'), at('large')]);
  keep();
} finally {
  fs.rmSync(place, { recursive: true, force: true });
}

/** Code of one command alone, by a process that has run nothing else; without it there is that of all. @param {string[]} words */
function keepOwn(words) {
  spawnSync(process.execPath, [script, '--own', ...words], { stdio: 'ignore' });
}

// Libraries may keep the process alive.
process.exit(process.exitCode);
