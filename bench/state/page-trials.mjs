/** Deltas with nothing of a baseline in memory but a hash for each page, its bytes gone or in a store, beside a copy in memory. */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';

const { openBaselineStore, openStore, StateDecoder, StateEncoder } = await import(
  pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href
);

const PAGE_BYTES = 4096;

/** One page in a hundred. @param {Buffer} state @param {SeededRandom} random @returns {number[]} offsets */
function somePages(state, random) {
  const pages = state.length / PAGE_BYTES;
  return Array.from({ length: Math.ceil(pages / 100) }, () => random.below(pages) * PAGE_BYTES);
}

/**
 * Rewrites one page in a hundred with noise.
 * @param {Buffer} state @param {SeededRandom} random
 */
export function rewritePages(state, random) {
  for (const at of somePages(state, random)) random.bytes(PAGE_BYTES).copy(state, at);
}

/** Changes a word in one page in a hundred. @param {Buffer} state @param {SeededRandom} random */
function touchPages(state, random) {
  for (const at of somePages(state, random)) random.bytes(8).copy(state, at + random.below(PAGE_BYTES - 8));
}

const CHANGES = { rewritten: rewritePages, touched: touchPages };
/** Where the bytes of the baseline are. */
const KEEPS = /** @type {const} */ ([
  { name: 'pages', keep: 'pages', stored: false },
  { name: 'pages, bytes in a store', keep: 'pages', stored: true },
  { name: 'copy', keep: 'copy', stored: false },
]);
/** Encodes before those that count. */
const WARM = 2;

/**
 * One delta again and again, decoded and compared each time.
 * @param {{ bytes: number, times: number, directory: string }} job
 * @param {typeof KEEPS[number]} how
 * @param {keyof typeof CHANGES} change
 */
async function pageRow({ bytes, times, directory }, how, change) {
  const random = new SeededRandom('state page mode');
  const state = random.bytes(bytes);
  const folder = mkdtempSync(join(directory, 'pages-'));
  const store = how.stored ? await openStore(folder, { create: true }) : undefined;
  const encoder = new StateEncoder({
    ...{ keep: how.keep, level: 3, deltasMax: Number.POSITIVE_INFINITY },
    ...(store && { store: openBaselineStore(store) }),
  });
  const decoder = new StateDecoder();
  try {
    await decoder.decode((await encoder.encode('vm-1', state)).parts);
    CHANGES[change](state, random);
    const [cpus, walls] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    let messageBytes = 0;
    for (let i = 0; i < times + WARM; i += 1) {
      const [before, start] = [process.cpuUsage(), performance.now()];
      const message = await encoder.encode('vm-1', state);
      walls.push(performance.now() - start);
      const { user, system } = process.cpuUsage(before);
      cpus.push((user + system) / 1000);
      messageBytes = message.messageBytes;
      if (message.kind !== 'delta') throw new Error('no delta');
      if (!(await decoder.decode(message.parts)).bytes.equals(state)) throw new Error('another state came back');
    }
    const { baselineMemoryBytes: memoryBytes } = encoder.metrics();
    const medians = { cpuMs: median(cpus.slice(WARM)), wallMs: median(walls.slice(WARM)) };
    return { keep: how.name, change, messageBytes, memoryBytes, ...medians };
  } finally {
    await encoder.close();
    await decoder.close();
    await store?.close();
    rmSync(folder, { recursive: true });
  }
}

/** @param {{ bytes: number, times: number, directory: string }} job */
export async function pageMode(job) {
  const rows = [];
  for (const change of /** @type {const} */ (['rewritten', 'touched']))
    for (const how of KEEPS) rows.push(await pageRow(job, how, change));
  return { bytes: job.bytes, rows };
}
