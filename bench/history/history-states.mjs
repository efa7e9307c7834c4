/** The two histories: a large file of which random pages change, and a small text of which some lines do. */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { SeededRandom } from '../lib/seeded-data.mjs';

const PAGE_BYTES = 4096;
const PAGES_SHARE = 0.01;
const LINES = 200;
const LINES_CHANGED = 2;

/**
 * @typedef {object} HistoryState
 * @property {() => void} make version 1
 * @property {() => void} change the next version
 */

/**
 * Incompressible pages; each version replaces one in a hundred, wherever they are, by others.
 * @param {string} file
 * @param {{ bytes: number, seed?: number }} options `seed`: the version that it stands at
 * @returns {HistoryState}
 */
export function pageState(file, { bytes, seed = 1 }) {
  const random = new SeededRandom(`pages ${seed}`);
  return {
    make: () => {
      writeFileSync(file, '');
      const handle = openSync(file, 'r+');
      for (let at = 0; at < bytes; at += 1 << 20) writeSync(handle, random.bytes(Math.min(1 << 20, bytes - at)), 0);
      closeSync(handle);
    },
    change: () => {
      const handle = openSync(file, 'r+');
      const pages = bytes / PAGE_BYTES;
      for (let count = 0; count < Math.max(1, pages * PAGES_SHARE); count += 1) {
        writeSync(handle, random.bytes(PAGE_BYTES), 0, PAGE_BYTES, random.below(pages) * PAGE_BYTES);
      }
      closeSync(handle);
    },
  };
}

/**
 * A configuration of about 10 KB; each version changes two lines.
 * @param {string} file
 * @param {{ seed?: number, lines?: string[] }} options `lines`: what it stands at
 * @returns {HistoryState & { lines: string[] }}
 */
export function configState(file, { seed = 1, lines = [] } = {}) {
  const random = new SeededRandom(`config ${seed}`);
  const line = (/** @type {number} */ index) => `setting_${index} = "${random.words(6)} ${random.below(1e6)}"`;
  const write = () => writeFileSync(file, `${lines.join('\n')}\n`);
  return {
    lines,
    make: () => {
      for (let index = 0; index < LINES; index += 1) lines.push(line(index));
      write();
    },
    change: () => {
      for (let count = 0; count < LINES_CHANGED; count += 1) {
        const index = random.below(LINES);
        lines[index] = line(index);
      }
      write();
    },
  };
}
