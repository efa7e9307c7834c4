/** One large file, a fifth of whose bytes is changed in place over five versions, in runs and in scattered pages. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { VersionTrials, versionCount } from '../lib/version-trials.mjs';

const BYTES = 1 << 30;
const CHANGES = 5;
const SHARE_PER_CHANGE = 0.04;
/** Of the changed bytes, those in contiguous runs; the rest in pages here and there. */
const SHARE_IN_RUNS = 0.6;
const PAGE = 4096;
const PIECE = 8 << 20;
const RUN_MIN = 64 << 10;
const RUN_MAX = 4 << 20;

/** @param {number} scale */
const sizeOf = (scale) => Math.max(256, Math.round((BYTES * scale) / PAGE)) * PAGE;

/**
 * @param {string} state
 * @param {number} scale
 */
function make(state, scale) {
  const random = new SeededRandom('big-file 1');
  const handle = openSync(join(state, 'volume.img'), 'w');
  for (let left = sizeOf(scale); left > 0; left -= PIECE)
    writeSync(handle, random.halfCompressible(Math.min(PIECE, left)));
  closeSync(handle);
}

/**
 * @param {string} state
 * @param {number} version
 * @param {number} scale
 */
function change(state, version, scale) {
  const random = new SeededRandom(`big-file ${version}`);
  const size = sizeOf(scale);
  const handle = openSync(join(state, 'volume.img'), 'r+');
  /** @param {number} length */
  const write = (length) => {
    const at = random.below((size - length) / PAGE + 1) * PAGE;
    writeSync(handle, random.halfCompressible(length), 0, length, at);
  };
  const all = size * SHARE_PER_CHANGE;
  let runs = all * SHARE_IN_RUNS;
  while (runs >= PAGE) {
    const length = Math.floor(Math.min(random.logUniform(RUN_MIN, RUN_MAX), runs) / PAGE) * PAGE;
    write(length);
    runs -= length;
  }
  for (let pages = (all * (1 - SHARE_IN_RUNS)) / PAGE; pages >= 1; pages -= 1) write(PAGE);
  closeSync(handle);
}

/** @type {import('../lib/bench-types.js').Scenario} */
export const bigFile = {
  name: 'big-file',
  title: 'One large file',
  laterName: 'capture after 4 % of the bytes were changed in place',
  describe: (scale, quick) =>
    `One file of ${Math.round(sizeOf(scale) / (1 << 20))} MiB, compressible to about three quarters; ${versionCount(CHANGES + 1, quick) - 1} later versions, ` +
    'each with 4 % of the bytes rewritten in place: 60 % of them in runs of 64 KiB to 4 MiB, the rest in scattered 4 KiB pages.',
  // Whole copies by two tools for each version, and what all bring back.
  needsBytes: (scale) => scale * BYTES * 22,
  run: (context) =>
    new VersionTrials({ name: 'big-file', versions: CHANGES + 1, make, change, removeAfterTrial: true }, context).run(),
};
