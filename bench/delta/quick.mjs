#!/usr/bin/env node
// Deltas of a few pairs, ours beside zstd, xdelta3 and bsdiff: bytes, CPU seconds of diff and patch, each round trip
// checked. A minute's look while tuning; the full table is made by the benchmark proper.
//
//   node bench/delta/quick.mjs [folder for the pairs] [name...]
//
// The tools count with their start and file access; ours counts with BLAKE3 of both sides and the container.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { diff, patch } from '../../dist/esm/index.js';
import { makePairs, PAIRS } from './quick-pairs.mjs';

const [root = path.join(os.tmpdir(), 'diffkeeper-delta-pairs'), ...wanted] = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : Object.keys(PAIRS);
/** bsdiff takes a second per megabyte. */
const BSDIFF_BYTES_MAX = 12 << 20;
const LEVELS = { fast: 3, balanced: 9, max: 19 };

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** CPU seconds, user and system, of a command. */
function timed(command, args) {
  const run = spawnSync('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', command, ...args], {
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
  const [user, system] = run.stderr.trim().split('\n').at(-1).split(' ').map(Number);
  return user + system;
}

function tools(source, target, delta, result, bytes) {
  const zstd = (level) => ({
    diff: ['zstd', ['-q', '-f', `-${level}`, '--long=31', `--patch-from=${source}`, target, '-o', delta]],
    patch: ['zstd', ['-q', '-f', '-d', '--long=31', `--patch-from=${source}`, delta, '-o', result]],
  });
  const xdelta = (level) => ({
    diff: ['xdelta3', ['-f', `-${level}`, '-B', '1000000000', '-e', '-s', source, target, delta]],
    patch: ['xdelta3', ['-f', '-B', '1000000000', '-d', '-s', source, delta, result]],
  });
  const all = { 'zstd -3': zstd(3), 'zstd -19': zstd(19), 'xdelta3 -1': xdelta(1), 'xdelta3 -9': xdelta(9) };
  if (bytes <= BSDIFF_BYTES_MAX) {
    all.bsdiff = { diff: ['bsdiff', [source, target, delta]], patch: ['bspatch', [source, result, delta]] };
  }
  return all;
}

function row(name, tool, bytes, diffSeconds, patchSeconds, good) {
  const cells = [name.padEnd(16), tool.padEnd(15), String(bytes).padStart(10), diffSeconds.toFixed(3).padStart(9)];
  console.log(`${cells.join(' ')} ${patchSeconds.toFixed(3).padStart(9)} ${good ? '' : ' WRONG'}`);
  if (!good) process.exitCode = 1;
}

async function ours(name, source, target) {
  for (const [effort, level] of Object.entries(LEVELS)) {
    const before = process.cpuUsage();
    const delta = await diff(source, target, { engine: 'align', level });
    const between = process.cpuUsage();
    const made = await patch(source, delta);
    const after = process.cpuUsage();
    const seconds = (from, to) => (to.user + to.system - from.user - from.system) / 1e6;
    row(name, `align ${effort}`, delta.length, seconds(before, between), seconds(between, after), made.equals(target));
  }
}

makePairs(root, names);
console.log(`${'pair'.padEnd(16)} ${'tool'.padEnd(15)}      bytes  diff CPU patch CPU`);
for (const name of names) {
  const files = ['source', 'target', 'delta', 'result'].map((file) => path.join(root, name, file));
  const [sourceFile, targetFile, deltaFile, resultFile] = files;
  const [source, target] = [fs.readFileSync(sourceFile), fs.readFileSync(targetFile)];
  await ours(name, source, target);
  for (const [tool, commands] of Object.entries(tools(...files, target.length))) {
    const diffSeconds = timed(...commands.diff);
    const patchSeconds = timed(...commands.patch);
    const good = digest(fs.readFileSync(resultFile)) === digest(target);
    row(name, tool, fs.statSync(deltaFile).size, diffSeconds, patchSeconds, good);
  }
  fs.rmSync(deltaFile);
  fs.rmSync(resultFile);
}
