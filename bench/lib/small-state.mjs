/** The state of the scenario `durable`: some small files, of which one is rewritten at a time. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from './seeded-data.mjs';

export const FILES = 100;
const BYTES = 10 << 10;
const DIRECTORIES = 10;
const random = new SeededRandom('durable');
const nameOf = (/** @type {number} */ index) => join(`part-${index % DIRECTORIES}`, `settings-${index}.bin`);

/** @param {string} state */
export function makeSmallState(state) {
  for (let index = 0; index < FILES; index += 1) {
    if (index < DIRECTORIES) mkdirSync(join(state, `part-${index}`), { recursive: true });
    writeFileSync(join(state, nameOf(index)), random.halfCompressible(BYTES));
  }
}

/**
 * The application's write: one file gets new content.
 * @param {string} state
 * @returns {number} the moment after it was closed, on the clock of `performance.now`
 */
export function changeSmallState(state) {
  writeFileSync(join(state, nameOf(random.below(FILES))), random.halfCompressible(BYTES));
  return performance.now();
}
