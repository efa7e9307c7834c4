/** One trial in a process of its own. The argument is JSON; one line of JSON comes back on stdout. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { olderFigures } from './older-system.mjs';
import { dictionary, long, noise } from './other-trials.mjs';
import { delay, links, pageMode } from './paced-trials.mjs';
import { olderDelta, xbzrleBytes, zstdAlone, zstdPatch } from './peers.mjs';
import { WORKLOADS } from './workloads.mjs';

const { loadEngine, StateDecoder, StateEncoder } = await import(
  pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href
);

/** Calls and milliseconds before anything counts, as those of `older-path.go`: compilers and memory have come to rest then. */
const WARM = { calls: 3, ms: 250 };

/**
 * What one call takes: wall and processor milliseconds, the median of some. What came of it is checked each time, off the clock.
 * @template T
 * @param {number} times
 * @param {() => Promise<T>} call
 * @param {(made: T) => void} [check]
 */
async function timed(times, call, check = () => {}) {
  const begun = performance.now();
  for (let i = 0; i < WARM.calls || performance.now() - begun < WARM.ms; i += 1) check(await call());
  const walls = [];
  const cpus = [];
  for (let i = 0; i < times; i += 1) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const made = await call();
    walls.push(performance.now() - start);
    const { user, system } = process.cpuUsage(cpu);
    cpus.push((user + system) / 1000);
    check(made);
  }
  return { wallMs: median(walls), cpuMs: median(cpus) };
}

/** Fails unless this state came back. @param {Buffer} state */
const comes =
  (state) =>
  (/** @type {{ bytes: Buffer }} */ { bytes }) => {
    if (!bytes.equals(state)) throw new Error('another state came back');
  };

/**
 * Delta of one pair of states, through encoder and decoder, verified.
 * @param {Buffer} source
 * @param {Buffer} target
 * @param {number} times
 */
async function pairTrial(source, target, times) {
  const encoder = new StateEncoder({ deltasMax: Number.POSITIVE_INFINITY, level: 3, minCompressionRatio: 1 });
  const decoder = new StateDecoder();
  const full = await encoder.encode('vm-1', source);
  await decoder.decode(full.parts);
  let message = await encoder.encode('vm-1', target);
  const encode = await timed(times, async () => {
    message = await encoder.encode('vm-1', target);
  });
  // As whoever follows a state does: into the same memory again and again.
  const into = Buffer.alloc(target.length);
  const decode = await timed(times, () => decoder.decode(message.parts, { into }), comes(target));
  const { kind, engines, messageBytes } = message;
  await encoder.close();
  await decoder.close();
  return { full: full.messageBytes, bytes: messageBytes, kind, engines, encode, decode, stateBytes: target.length };
}

/**
 * First messages, each of a key that the encoder has not seen, and what the same state takes coded alone.
 * @param {Buffer} state
 * @param {{ times: number, level: number, directory: string, older: import('./older-system.mjs').OlderBuild }} how
 */
async function firstTrial(state, { times, level, directory, older: build }) {
  // As after some hours: what is kept is as much as may be kept, and each new baseline takes the place of an older one.
  const encoder = new StateEncoder({ level, memoryBytesMax: 4 * state.length });
  const decoder = new StateDecoder();
  let keys = 0;
  let message = await encoder.encode('vm-0', state);
  const encode = await timed(times, async () => {
    keys += 1;
    message = await encoder.encode(`vm-${keys}`, state);
  });
  const decode = await timed(times, () => decoder.decode(message.parts), comes(state));
  const { kind, engines, messageBytes } = message;
  if (kind !== 'full') throw new Error('a first message is no delta');
  await encoder.close();
  await decoder.close();
  const engine = loadEngine();
  let bytes = 0;
  const older = await timed(Math.max(3, times >> 1), async () => {
    bytes = (await engine.compress(state, { level })).length;
  });
  return {
    own: { full: messageBytes, bytes: messageBytes, kind, engines, encode, decode, stateBytes: state.length },
    older: { bytes, ...older },
    olderOwn: olderFigures(build, { directory, target: state, level, times }),
    zstd: zstdAlone(directory, state, level),
  };
}

/** @param {{ name: string, times: number, directory: string, older: import('./older-system.mjs').OlderBuild }} job */
async function workload({ name, times, directory, older: build }) {
  const { make, full = false, level = 3 } = /** @type {typeof WORKLOADS[string]} */ (WORKLOADS[name]);
  const { source, target, bound } = make();
  if (full) return firstTrial(target, { times, level, directory, older: build });
  const own = await pairTrial(source, target, times);
  const engine = loadEngine();
  let olderBytes = 0;
  const older = await timed(Math.max(3, times >> 1), async () => {
    olderBytes = (await olderDelta(engine, source, target)).length;
  });
  return {
    own,
    bound,
    older: { bytes: olderBytes, ...older },
    olderOwn: olderFigures(build, { directory, source, target, level, times }),
    xbzrle: xbzrleBytes(source, target),
    zstd: zstdPatch(directory, source, target),
  };
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

/** 100 keys from 10 workers: every update decodes to what was written, in order. @param {{ rounds: number }} job */
async function concurrency({ rounds }) {
  const encoder = new StateEncoder({ statesAtOnce: 8 });
  const decoder = new StateDecoder();
  const bases = Array.from({ length: 100 }, (_, i) => Buffer.alloc(256 << 10, `VM_${i}_PAGE_`));
  const versions = new Uint32Array(100);
  const last = new Uint32Array(100);
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
        const { bytes } = await decoder.decode(message.parts);
        if (!bytes.equals(state)) lost += 1;
        last[key] = Math.max(version, /** @type {number} */ (last[key]));
        rssMax = Math.max(rssMax, process.memoryUsage.rss());
      }
    }
  };
  await Promise.all(Array.from({ length: 10 }, (_, i) => work(i)));
  const seconds = (performance.now() - start) / 1000;
  for (const [key, version] of versions.entries()) if (last[key] !== version) lost += 1;
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
