/** Trials of the history figures, each in a process of its own. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../lib/tools.mjs';
import { answerTrial } from '../lib/trial-process.mjs';
import { configState, pageState } from './history-states.mjs';

const { capture, condense, diff, openCaptureSession, openStore, recover } = await import(
  pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href
);
const FILE = 'state.bin';

/** @param {string} file */
async function digestOf(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * Captures versions from the one after `from` up to `to`.
 * @param {{ what: 'pages' | 'config', state: string, store: string, from: number, to: number, bytes: number, sampleEvery: number, keep: readonly number[] }} job
 */
async function grow({ what, state, store: place, from, to, bytes, sampleEvery, keep }) {
  mkdirSync(state, { recursive: true });
  const file = join(state, FILE);
  const options = { bytes, seed: from + 1, lines: from > 0 && what === 'config' ? readLines(file) : [] };
  const source = what === 'pages' ? pageState(file, options) : configState(file, options);
  const store = await openStore(place, { create: true });
  const session = await openCaptureSession(store, state);
  const deltas = [];
  /** @type {Record<string, string>} */
  const digests = {};
  let captureMs = 0;
  for (let version = from + 1; version <= to; version += 1) {
    const sampled = version > 1 && version % sampleEvery === 0;
    const before = sampled ? readFileSync(file) : null;
    if (version === 1) source.make();
    else source.change();
    const start = performance.now();
    const { checkpoint } = await session.capture(version === 1 ? {} : { marks: [FILE] });
    captureMs += performance.now() - start;
    if (checkpoint?.sequence !== version) throw new Error(`version ${version} became ${checkpoint?.sequence}`);
    if (before) deltas.push((await diff(before, readFileSync(file))).length);
    if (keep.includes(version)) digests[version] = await digestOf(file);
  }
  await session.close();
  const { packBytes, depths } = await store.stats();
  await store.close();
  // What LevelDB has of it once it is closed.
  const again = await openStore(place);
  const { metaBytes } = await again.stats();
  await again.close();
  return { packBytes, metaBytes, depths, deltas, digests, captureMs };
}

/** @param {string} file */
const readLines = (file) => readFileSync(file, 'utf8').trimEnd().split('\n');

/** One state alone. @param {{ state: string, store: string }} job */
async function plain({ state, store: place }) {
  const store = await openStore(place, { create: true });
  await capture(store, state);
  const { packBytes } = await store.stats();
  await store.close();
  return { packBytes };
}

/** Writes the packs of a store anew, densely. @param {{ store: string }} job */
async function condensed({ store: place }) {
  const store = await openStore(place);
  const start = performance.now();
  const { packs } = await condense(store);
  const ms = performance.now() - start;
  const { packBytes } = await store.stats();
  const { damage } = await store.verify();
  await store.close();
  if (damage.length > 0) throw new Error('a condensed store is damaged');
  return { packs, packBytes, ms };
}

/** @param {{ store: string, target: string, at: number, digest: string }} job */
async function bringBack({ store: place, target, at, digest }) {
  const store = await openStore(place);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const { damaged } = await recover(store, target, { at });
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await store.close();
  const same = damaged.length === 0 && (await digestOf(join(target, FILE))) === digest;
  rmSync(target, { recursive: true });
  if (!same) throw new Error(`version ${at} came back as another one`);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

await answerTrial({ grow, plain, condense: condensed, recover: bringBack });
