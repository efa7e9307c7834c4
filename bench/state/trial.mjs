/** One trial in a process of its own. The argument is JSON; one line of JSON comes back on stdout. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../lib/tools.mjs';
import { openPair } from './coded-states.mjs';
import { dictionary, long, noise } from './other-trials.mjs';
import { delay, links } from './paced-trials.mjs';
import { pageMode } from './page-trials.mjs';
import { xbzrleBytes, zstdPatch } from './peers.mjs';
import { timed } from './timed-calls.mjs';
import { workload } from './workload-trial.mjs';

const { StateDecoder, StateEncoder } = await import(pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href);

/**
 * Delta of one pair of states, through encoder and decoder, verified.
 * @param {Buffer} source
 * @param {Buffer} target
 * @param {number} times
 */
async function pairTrial(source, target, times) {
  const pair = await openPair(source, target);
  const encode = await timed(times, () => pair.encode());
  const decode = await timed(times, () => pair.decode(), pair.check);
  await pair.close();
  return { ...pair.facts(), encode, decode };
}

/**
 * States of a file series, each against the one before.
 * @param {{ files: readonly string[], directory: string, times: number }} job
 */
async function series({ files, directory, times }) {
  const rows = [];
  for (let i = 1; i < files.length; i += 1) {
    const source = readFileSync(/** @type {string} */ (files[i - 1]));
    const target = readFileSync(/** @type {string} */ (files[i]));
    const own = await pairTrial(source, target, times);
    rows.push({ own, xbzrle: xbzrleBytes(source, target), zstd: zstdPatch(directory, source, target) });
  }
  return { rows };
}

/** Memory and time over many keys. @param {{ keys: number, bytes: number }} job */
async function scaling({ keys, bytes }) {
  const encoder = new StateEncoder();
  const state = Buffer.alloc(bytes, 'VM_MEMORY_PAGE_CONTENT_');
  const before = process.memoryUsage().rss;
  const start = performance.now();
  for (let i = 0; i < keys; i += 1) await encoder.encode(`vm-${i}`, state);
  const fullMs = (performance.now() - start) / keys;
  const again = performance.now();
  for (let i = 0; i < keys; i += 1) {
    state.writeUInt32LE(i, 4096);
    await encoder.encode(`vm-${i}`, state);
  }
  const deltaMs = (performance.now() - again) / keys;
  const { baselineMemoryBytes, deltaHits } = encoder.metrics();
  return { keys, fullMs, deltaMs, deltaHits, baselineMemoryBytes, rssBytes: process.memoryUsage().rss - before };
}

/**
 * 100 keys from 10 workers: every update decodes to what was written, messages and states of a key come in the order of the calls, and
 * what came last at the decoder is what was written last. @param {{ rounds: number }} job
 */
async function concurrency({ rounds }) {
  const encoder = new StateEncoder({ statesAtOnce: 8 });
  const decoder = new StateDecoder();
  const bases = Array.from({ length: 100 }, (_, i) => Buffer.alloc(256 << 10, `VM_${i}_PAGE_`));
  const versions = new Uint32Array(100);
  const coded = new Uint32Array(100);
  /** @type {Buffer[]} */
  const newest = [];
  let lost = 0;
  let rssMax = 0;
  const start = performance.now();
  /** @param {number} worker */
  const work = async (worker) => {
    for (let round = 0; round < rounds; round += 1) {
      for (let i = 0; i < 100; i += 1) {
        const key = (i + worker * 10) % 100;
        const version = /** @type {number} */ (versions[key]) + 1;
        versions[key] = version;
        const state = Buffer.from(/** @type {Buffer} */ (bases[key]));
        state.writeUInt32LE(version, 4096 * (version % 60));
        const message = await encoder.encode(`vm-${key}`, state);
        if (version !== /** @type {number} */ (coded[key]) + 1) lost += 1;
        coded[key] = version;
        const { bytes } = await decoder.decode(message.parts);
        if (!bytes.equals(state)) lost += 1;
        newest[key] = bytes;
        rssMax = Math.max(rssMax, process.memoryUsage.rss());
      }
    }
  };
  await Promise.all(Array.from({ length: 10 }, (_, i) => work(i)));
  const seconds = (performance.now() - start) / 1000;
  for (const [key, version] of versions.entries()) {
    const state = Buffer.from(/** @type {Buffer} */ (bases[key]));
    state.writeUInt32LE(version, 4096 * (version % 60));
    if (coded[key] !== version || !newest[key]?.equals(state)) lost += 1;
  }
  const { operations, deltaHitRate, failures } = encoder.metrics();
  return { operations, deltaHitRate, failures, lost, rssMax, perSecond: operations / seconds };
}

const KINDS = { workload, series, scaling, concurrency, dictionary, noise, long, delay, pageMode, links };
const job = JSON.parse(process.argv[2] ?? '{}');
const directory = mkdtempSync(join(job.directory, 'trial-'));
try {
  const result = await KINDS[/** @type {keyof typeof KINDS} */ (job.kind)]({ ...job, directory });
  console.log(JSON.stringify(result));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
