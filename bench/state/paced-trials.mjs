/** Trials of the state encoder beside other work: how long the event loop waits, and links. */

import { rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { mean, median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { rewritePages } from './page-trials.mjs';

const { loadEngine, StateDecoder, StateEncoder } = await import(
  pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href
);

/** Finest that the histogram samples; what it adds to each delay. */
const RESOLUTION_MS = 1;

/** Before and after a call: the histogram counts nothing before its first tick, and finalizers come after the result. */
const TICKS_MS = 5;

/**
 * One call, and how long it held the event loop up. A histogram of its own: one that is switched off and on again counts
 * the time in between as a delay.
 * @template T
 * @param {() => Promise<T>} call
 * @returns {Promise<{ made: T, delayMs: number }>}
 */
async function heldUp(call) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  await sleep(TICKS_MS);
  const made = await call();
  await sleep(TICKS_MS);
  histogram.disable();
  return { made, delayMs: Math.max(0, histogram.max / 1e6 - RESOLUTION_MS) };
}

/** Calls before those that count: they warm the code and find the memory. */
const WARM = 2;

/** Share of the calls that are left out of `mostMs`: the machine has other things to do now and then. */
const RARE = 0.05;

/** What some calls come to. @param {string} state @param {readonly number[]} delays */
function waits(state, delays) {
  const sorted = [...delays].sort((one, other) => one - other);
  const mostMs = /** @type {number} */ (sorted[Math.ceil(sorted.length * (1 - RARE)) - 1]);
  return { state, maxMs: Math.max(...delays), mostMs, medianMs: median(delays) };
}

/** @param {number} times @param {(i: number) => Promise<void>} once @param {readonly number[][]} taken what is filled by it */
async function warmed(times, once, taken) {
  for (let i = 0; i < times + WARM; i += 1) {
    if (i === WARM) for (const delays of taken) delays.length = 0;
    await once(i);
  }
}

/**
 * Longest time that the event loop was held up while a state was encoded, or decoded: first messages, which are copied as
 * baselines, and deltas; into memory of the caller and of their own. Nothing else runs. Beside it, after each kind, what holds
 * the loop up with none of ours at work but single jobs: zstd of a text and a copy of it at once, which is the least that an
 * encoder with a baseline does, and Node reading a file. Memory for so many bytes makes V8 collect garbage, whoever gets it.
 * @param {{ bytes: number, times: number, directory: string }} job
 */
export async function delay({ bytes, times, directory }) {
  const random = new SeededRandom('state delay');
  const text = Buffer.alloc(bytes, 'VM_MEMORY_PAGE_CONTENT_');
  const kinds = { noise: random.bytes(bytes), text: Buffer.from(text) };
  const into = Buffer.alloc(bytes);
  const file = join(directory, 'delay');
  writeFileSync(file, text);
  const engine = loadEngine();
  const plain = {
    'zstd of the text alone, and a copy of it': () =>
      Promise.all([engine.compress(text, { level: 3 }), engine.copyBytes(text)]),
    'Node reads a file of that length': () => readFile(file),
  };
  /** @type {Map<string, number[]>} */
  const plainDelays = new Map(Object.keys(plain).map((name) => [name, []]));
  const rows = [];
  for (const [name, state] of Object.entries(kinds)) {
    const encoder = new StateEncoder({ memoryBytesMax: 3 * bytes, level: 3, deltasMax: Number.POSITIVE_INFINITY });
    const decoder = new StateDecoder();
    for (const turn of ['first message', 'delta']) {
      rows.push(...(await codedDelays({ name, state, turn, times, into, random, encoder, decoder })));
      for (const [what, call] of Object.entries(plain)) {
        /** @type {number[]} */
        const delays = [];
        await warmed(times, async () => void delays.push((await heldUp(call)).delayMs), [delays]);
        plainDelays.get(what)?.push(...delays);
      }
    }
    await encoder.close();
    await decoder.close();
  }
  rmSync(file);
  return { bytes, times, rows, plain: [...plainDelays].map(([what, delays]) => waits(what, delays)) };
}

/**
 * One kind of message of one kind of state.
 * @param {{ name: string, state: Buffer, turn: string, times: number, into: Buffer, random: SeededRandom, encoder: any, decoder: any }} job
 */
async function codedDelays({ name, state, turn, times, into, random, encoder, decoder }) {
  /** @type {number[][]} */
  const [encoded, decoded, apart] = [[], [], []];
  const isDelta = turn === 'delta';
  const once = async (/** @type {number} */ i) => {
    if (isDelta) rewritePages(state, random);
    const { made: message, delayMs } = await heldUp(() => encoder.encode(isDelta ? 'vm' : `vm-${i}`, state));
    const back = await heldUp(() => decoder.decode(message.parts, { into }));
    const own = await heldUp(() => decoder.decode(message.parts));
    for (const { made } of [back, own]) if (!made.bytes.equals(state)) throw new Error('another state came back');
    if (i === 0 && isDelta && message.kind !== 'full') throw new Error('the first message is a delta');
    encoded.push(delayMs);
    decoded.push(back.delayMs);
    apart.push(own.delayMs);
  };
  await warmed(times, once, [encoded, decoded, apart]);
  return [
    waits(`${name}, ${turn}, encoded`, encoded),
    waits(`${name}, ${turn}, decoded`, decoded),
    { ...waits(`${name}, ${turn}, decoded into memory of its own`, apart), own: true },
  ];
}

/** Records of a cache: text of which levels make something. @param {SeededRandom} random @param {number} bytes */
function records(random, bytes) {
  const parts = [];
  for (let length = 0; length < bytes; ) {
    const text =
      `{"session":"${random.bytes(6).toString('hex')}","user":"user-${random.below(5000)}","roles":["reader","writer"],` +
      `"path":"/srv/worker/${random.below(300)}/data.${random.below(9)}","issued":${1_700_000_000 + random.below(90_000)}}\n`;
    parts.push(text);
    length += text.length;
  }
  return Buffer.from(parts.join('')).subarray(0, bytes);
}

/**
 * First messages of one class, one after the other; each is decoded and compared.
 * @param {object} options
 */
function pacedCoder(options) {
  const encoder = new StateEncoder({ dictionaries: false, ...options });
  const decoder = new StateDecoder();
  let count = 0;
  return {
    /** @param {Buffer} state */
    async code(state) {
      count += 1;
      const start = performance.now();
      const message = await encoder.encode(`cache-${count}`, state);
      const codingMs = performance.now() - start;
      if (!(await decoder.decode(message.parts)).bytes.equals(state)) throw new Error('another state came back');
      return { level: encoder.metrics().level, codingMs, messageBytes: message.messageBytes };
    },
    async close() {
      await encoder.close();
      await decoder.close();
    },
  };
}

/** Bytes a second of a link that takes no time. */
const AT_ONCE = 1e15;

/** What a fixed level is asked for by; 0, without zstd, is what such a link gets, but for the tries. @param {number} level */
const fixedAt = (level) => (level === 0 ? { linkBytesPerSecond: AT_ONCE } : { level });

/** Levels that a link may want are measured by turns with what is chosen, up to this one; higher ones once, before. */
const BY_TURNS_MAX = 6;

/** @param {readonly { codingMs: number, messageBytes: number }[]} all */
const middleOf = (all) => ({
  codingMs: median(all.map(({ codingMs }) => codingMs)),
  messageBytes: mean(all.map(({ messageBytes }) => messageBytes)),
});

/**
 * @template T
 * @param {readonly T[]} all @param {SeededRandom} random @returns {T[]}
 */
function shuffled(all, random) {
  const rest = [...all];
  return all.map(() => /** @type {T} */ (rest.splice(random.below(rest.length), 1)[0]));
}

/**
 * Bandwidth-aware coding beside every fixed level, for links of some rates.
 * @param {{ bytes: number, count: number, rates: readonly number[], levels: readonly number[] }} job rates in Mbit/s; level 0: as they are
 */
export async function links({ bytes, count, rates, levels }) {
  const random = new SeededRandom('state links');
  const states = Array.from({ length: 4 }, () => records(random, bytes));
  const stateAt = (/** @type {number} */ i) => /** @type {Buffer} */ (states[i % states.length]);
  const high = [];
  for (const level of levels.filter((one) => one > BY_TURNS_MAX)) {
    const coder = pacedCoder(fixedAt(level));
    const all = [];
    for (let i = 0; i < 6; i += 1) all.push(await coder.code(stateAt(i)));
    await coder.close();
    high.push({ level, ...middleOf(all.slice(2)) });
  }
  const rows = [];
  for (const mbits of rates) {
    const rate = mbits * 125_000;
    const chosen = pacedCoder({ linkBytesPerSecond: rate });
    const beside = levels
      .filter((level) => level <= BY_TURNS_MAX)
      .map((level) => ({ level, coder: pacedCoder(fixedAt(level)), all: /** @type {any[]} */ ([]) }));
    const all = /** @type {any[]} */ ([]);
    // In another order each time: whoever comes first fetches the state from memory, and finds the caches full of other things.
    const sides = [{ coder: chosen, all }, ...beside];
    for (let i = 0; i < count; i += 1) {
      for (const { coder, all: theirs } of shuffled(sides, random)) theirs.push(await coder.code(stateAt(i)));
    }
    for (const { close } of [chosen, ...beside.map(({ coder }) => coder)]) await close();
    const lastThird = (/** @type {typeof all} */ made) => made.slice(-Math.ceil(count / 3));
    const sent = (/** @type {{ codingMs: number, messageBytes: number }} */ { codingMs, messageBytes }) =>
      codingMs + (messageBytes / rate) * 1000;
    const fixed = [
      ...beside.map((one) => ({
        level: one.level,
        ...middleOf(lastThird(one.all).filter(({ level }) => level === one.level)),
      })),
      ...high,
    ];
    const totals = fixed.map((one) => ({ level: one.level, ms: sent(one) }));
    const best = totals.reduce((least, one) => (one.ms < least.ms ? one : least));
    const used = new Map();
    for (const { level } of lastThird(all)) used.set(level, (used.get(level) ?? 0) + 1);
    const [most = 0] = [...used].sort((a, b) => b[1] - a[1])[0] ?? [];
    const totalOf = (/** @type {number} */ level) => totals.find((one) => one.level === level)?.ms ?? Number.NaN;
    // Of the level that is chosen as it was measured; what it costs to try others by what those took beside it.
    const tries = mean(lastThird(all).map(({ level }) => totalOf(level))) - totalOf(most);
    const ms =
      median(
        lastThird(all)
          .filter(({ level }) => level === most)
          .map(sent),
      ) + tries;
    rows.push({ mbits, chosen: most, ms, best, totals });
  }
  return { bytes, levels, rows };
}
