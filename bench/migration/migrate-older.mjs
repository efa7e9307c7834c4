/**
 * What a migration costs: a store of the older system (schema 1, 2,000 files, 181.5 MB of content) is made with a seed and
 * migrated in a process of its own; what comes out is compared with what went in, file by file.
 *
 *   npm run bench:migration [-- --files=2000 --megabytes=181.5 --runs=3 --seed=8]
 *
 * The older program took 19-21 s (4.9 s of processor time) for such a store of 82 MB, which grew to 176-281 MB.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { CLI } from '../lib/tools.mjs';

const OLDER = { wallSeconds: 19, cpuSeconds: 4.9, storeMegabytes: 82, grownMegabytes: 176 };
/** Share of bytes that nothing compresses: makes gzip of the whole come to 45 %, as in the older figures. */
const RANDOM_SHARE = 0.14;
const MEGABYTE = 1e6;

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '2000' },
    megabytes: { type: 'string', default: '181.5' },
    runs: { type: 'string', default: '3' },
    seed: { type: 'string', default: '8' },
  },
});
const fileCount = Number(values.files);
const totalBytes = Number(values.megabytes) * MEGABYTE;

/**
 * Text of few words with stretches of noise.
 * @param {SeededRandom} random
 * @param {number} bytes
 */
function content(random, bytes) {
  const parts = [];
  for (let length = 0; length < bytes; ) {
    const piece = Math.min(bytes - length, 4096);
    const noise = random.below(1000) < RANDOM_SHARE * 1000;
    parts.push(noise ? random.bytes(piece) : words(random, piece));
    length += piece;
  }
  return Buffer.concat(parts);
}

/**
 * @param {SeededRandom} random
 * @param {number} bytes
 */
function words(random, bytes) {
  let text = '';
  while (text.length < bytes)
    text += `${random.below(100000).toString(36)} ${random.pick(['error', 'state', 'request'])} `;
  return Buffer.from(text.slice(0, bytes));
}

/**
 * Writes the files; sizes from half to one and a half times the mean.
 * @param {string} directory
 */
function makeState(directory) {
  const random = new SeededRandom(`migration ${values.seed}`);
  const mean = totalBytes / fileCount;
  let left = totalBytes;
  for (let at = 0; at < fileCount; at += 1) {
    const bytes = at === fileCount - 1 ? left : Math.round(mean * (0.5 + random.below(1000) / 1000));
    const size = Math.max(0, Math.min(left, Math.round(bytes)));
    left -= size;
    const file = join(directory, `d${at % 40}`, `file-${at}.dat`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content(random, size));
  }
}

/**
 * @param {readonly string[]} args
 * @returns {{ wallSeconds: number, cpuSeconds: number, peakMegabytes: number }}
 */
function timed(args) {
  const result = spawnSync('/usr/bin/time', ['-f', '%e %U %S %M', process.execPath, CLI, ...args], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`diffkeeper ${args.join(' ')}: ${result.stderr}`);
  const [wall = 0, user = 0, system = 0, kilobytes = 0] = (result.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  return { wallSeconds: wall, cpuSeconds: user + system, peakMegabytes: (kilobytes * 1024) / MEGABYTE };
}

/**
 * Digest of every file below a directory.
 * @param {string} directory
 */
function digests(directory) {
  const found = new Map();
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const full = join(entry.parentPath, entry.name);
    found.set(full.slice(directory.length), createHash('sha256').update(readFileSync(full)).digest('hex'));
  }
  return found;
}

/** @param {string} directory */
function directoryBytes(directory) {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

/** @param {readonly number[]} numbers */
function median(numbers) {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}

const work = mkdtempSync(join(tmpdir(), 'dk-bench-migration-'));
try {
  const state = join(work, 'state');
  makeState(state);
  const wanted = digests(state);
  timed(['import', '--from=dir', `--store=${join(work, 'maker')}`, state]);
  const older = join(work, 'older.bolt');
  timed(['export', `--store=${join(work, 'maker')}`, '--format=v1', older]);
  const olderBytes = statSync(older).size;
  const runs = [];
  let storeBytes = 0;
  for (let run = 0; run < Number(values.runs); run += 1) {
    const file = join(work, `run-${run}`, 'db.bolt');
    mkdirSync(dirname(file));
    copyFileSync(older, file);
    runs.push(timed(['migrate', `--store=${file}`]));
    storeBytes = directoryBytes(`${file}.store`);
    const out = join(work, `out-${run}`);
    timed(['recover', `--store=${file}`, `--state-dir=${out}`]);
    const got = digests(out);
    const wrong = [...wanted].filter(([name, digest]) => got.get(name) !== digest).length;
    if (wrong > 0 || got.size !== wanted.size)
      throw new Error(`${wrong} of ${wanted.size} files are wrong, ${got.size} came back`);
    for (const gone of [dirname(file), out]) rmSync(gone, { recursive: true });
  }
  const wallSeconds = median(runs.map((run) => run.wallSeconds));
  const cpuSeconds = median(runs.map((run) => run.cpuSeconds));
  const peakMegabytes = Math.max(...runs.map((run) => run.peakMegabytes));
  const result = {
    files: wanted.size,
    contentMegabytes: totalBytes / MEGABYTE,
    olderMegabytes: olderBytes / MEGABYTE,
    storeMegabytes: storeBytes / MEGABYTE,
    wallSeconds,
    cpuSeconds,
    peakMegabytes,
    older: OLDER,
    runs,
  };
  console.log(JSON.stringify(result, null, 2));
  console.log(`time: 1/${(OLDER.wallSeconds / wallSeconds).toFixed(1)} of the older program's (wanted: 1/5 at most)`);
  console.log(`size: ${((storeBytes / olderBytes) * 100).toFixed(0)} % of the older store (wanted: below 100 %)`);
  console.log(`memory: ${peakMegabytes.toFixed(0)} MB at most (wanted: below 200 MB)`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
