/** Trials of the state encoder that are no pairs of states: dictionaries, noise, and a state of more than 4 GiB. */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';

const { StateDecoder, StateEncoder } = await import(pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href);

/** Small states of two kinds: records of a cache, and pages of memory that look alike. */
const KINDS = {
  record: (/** @type {SeededRandom} */ random, /** @type {number} */ i) =>
    Buffer.from(
      `{"session":"${random.bytes(24).toString('hex')}","user":{"name":"user-${random.below(1e6)}","roles":["reader","writer"],` +
        `"locale":"en-GB"},"issued":${1_700_000_000 + i * 61},"expires":${1_700_003_600 + i * 61},"flags":{"beta":false,"mfa":true}}`,
    ),
  page: (/** @type {SeededRandom} */ random) => {
    // An environment, mapped files and pointers, as the first page of a stack holds them.
    const places = [
      '/usr/lib/x86_64-linux-gnu',
      '/usr/local/share/applications',
      '/var/lib/postgresql/15/main',
      '/srv/worker/data',
    ];
    const names = [
      'PATH',
      'HOME',
      'LD_LIBRARY_PATH',
      'XDG_RUNTIME_DIR',
      'HOSTNAME',
      'PWD',
      'LANG',
      'SESSION',
      'MAIL',
      'SHELL',
    ];
    const page = Buffer.alloc(4096);
    for (let at = 0; at < 3000; ) {
      const place = places[random.below(places.length)];
      const text = `${names[random.below(names.length)]}=${place}/lib${random.below(5000)}.so.${random.below(9)}\0`;
      at += page.write(text, at, 'latin1');
      random.bytes(8).copy(page, at);
      at += 8;
    }
    return page;
  },
};

/**
 * Mean bytes of first messages of one class, with a dictionary and without; the dictionary is trained on other states.
 * @param {{ states: number }} job
 */
export async function dictionary({ states }) {
  /** @type {Record<string, { stateBytes: number, alone: number, trained: number, dictionaries: number }>} */
  const found = {};
  for (const [name, make] of Object.entries(KINDS)) {
    const random = new SeededRandom(`state dictionary ${name}`);
    const all = Array.from({ length: 2 * states }, (_, i) => make(random, i));
    const sums = [];
    let trained = 0;
    for (const dictionaries of [false, true]) {
      const encoder = new StateEncoder({ dictionaries });
      const decoder = new StateDecoder();
      let bytes = 0;
      for (const [i, state] of all.entries()) {
        const message = await encoder.encode(`${name}-${i}-state`, state);
        const back = await decoder.decode(message.parts);
        if (!back.bytes.equals(state)) throw new Error('another state came back');
        if (i >= states) bytes += message.messageBytes;
        // Training goes on beside the encoder.
        if (dictionaries && i === states - 1) await new Promise((resolve) => setTimeout(resolve, 3000));
      }
      trained = encoder.metrics().dictionariesTrained;
      sums.push(bytes / states);
      await encoder.close();
      await decoder.close();
    }
    const [alone = 0, withOne = 0] = sums;
    found[name] = { stateBytes: all[0]?.length ?? 0, alone, trained: withOne, dictionaries: trained };
  }
  return found;
}

/** What cannot be compressed, beside a copy of it in memory. @param {{ bytes: number, times: number }} job */
export async function noise({ bytes, times }) {
  const state = new SeededRandom('state noise').bytes(bytes);
  const copy = Buffer.alloc(bytes);
  const walls = {
    encode: /** @type {number[]} */ ([]),
    copy: /** @type {number[]} */ ([]),
    kept: /** @type {number[]} */ ([]),
    digest: /** @type {number[]} */ ([]),
  };
  const encoder = new StateEncoder({ memoryBytesMax: 3 * bytes });
  const decoder = new StateDecoder();
  let added = 0;
  // As many as the encoder keeps baselines.
  const copies = [];
  for (let i = 0; i <= times; i += 1) {
    let start = performance.now();
    const message = await encoder.encode(`noise-${i}`, state);
    const encode = performance.now() - start;
    start = performance.now();
    state.copy(copy);
    const copied = performance.now() - start;
    start = performance.now();
    copies.push(Buffer.from(state));
    const kept = performance.now() - start;
    if (copies.length > 3) copies.shift();
    start = performance.now();
    createHash('sha256').update(state).digest();
    const digest = performance.now() - start;
    if (i === 0 && !(await decoder.decode(message.parts)).bytes.equals(state))
      throw new Error('another state came back');
    added = message.messageBytes - bytes;
    // The first one finds the memory.
    if (i > 0)
      for (const [name, ms] of Object.entries({ encode, copy: copied, kept, digest }))
        walls[/** @type {keyof typeof walls} */ (name)].push(ms);
  }
  await encoder.close();
  await decoder.close();
  return {
    bytes,
    added,
    encodeMs: median(walls.encode),
    copyMs: median(walls.copy),
    keptMs: median(walls.kept),
    sha256Ms: median(walls.digest),
  };
}

/** Writes text pages, and random ones at each `step`th place. @param {string} file @param {number} bytes @param {string} seed */
function writeLong(file, bytes, seed) {
  const random = new SeededRandom(seed);
  const piece = Buffer.alloc(4 << 20, 'VM_MEMORY_PAGE_CONTENT_');
  const fd = openSync(file, 'w');
  for (let at = 0; at < bytes; at += piece.length) {
    random.bytes(4096).copy(piece, random.below(1023) * 4096);
    writeSync(fd, piece, 0, Math.min(piece.length, bytes - at), at);
  }
  closeSync(fd);
}

/** Rewrites pages of it. @param {string} file @param {number} count */
function changeLong(file, count) {
  const random = new SeededRandom('state long changes');
  const pages = statSync(file).size >> 12;
  const fd = openSync(file, 'r+');
  for (let i = 0; i < count; i += 1) writeSync(fd, random.bytes(4096), 0, 4096, random.below(pages) * 4096);
  closeSync(fd);
}

/**
 * A file beyond 4 GiB, and then the same with some pages rewritten, as streams from encoder to decoder; page hashes are all that
 * the encoder keeps.
 * @param {{ bytes: number, changes: number, directory: string }} job
 */
export async function long({ bytes, changes, directory }) {
  const file = join(directory, 'long');
  writeLong(file, bytes, 'state long');
  const encoder = new StateEncoder({ keep: 'pages', memoryBytesMax: 2 ** 33 });
  const decoder = new StateDecoder({ stateBytesMax: 2 ** 33, memoryBytesMax: 2 ** 33 });
  const turns = [];
  for (const turn of ['first', 'changed']) {
    if (turn === 'changed') changeLong(file, changes);
    const wanted = createHash('sha256');
    for await (const piece of createReadStream(file, { highWaterMark: 8 << 20 })) wanted.update(piece);
    const digest = wanted.digest('hex');
    const made = createHash('sha256');
    let messageBytes = 0;
    const counted = async function* () {
      for await (const piece of encoder.encodeStream('long', { file })) {
        messageBytes += piece.length;
        yield piece;
      }
    };
    const start = performance.now();
    let stateBytes = 0;
    for await (const segment of decoder.decodeStream(counted())) {
      stateBytes += segment.length;
      made.update(segment);
    }
    const ms = performance.now() - start;
    if (stateBytes !== bytes || made.digest('hex') !== digest) throw new Error('another state came back');
    turns.push({ turn, messageBytes, ms });
  }
  const { baselineMemoryBytes, deltaHits } = encoder.metrics();
  await encoder.close();
  await decoder.close();
  return { bytes, turns, deltaHits, baselineMemoryBytes };
}
