/** The states of the older system's recovery figures, made again: what it names in counts and sizes, with seeded content. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../lib/seeded-data.mjs';

/**
 * @typedef {object} RecoveryCase
 * @property {string} title
 * @property {number} versions captured one after the other; of the last one the recover is measured
 * @property {(state: string) => void} make
 * @property {(state: string, version: number) => void} [change] before each capture but the first
 */

/**
 * Equal files `f-0`, `f-1`, ...
 * @param {string} seed
 * @param {number} count
 * @param {number} bytes
 * @returns {RecoveryCase['make']}
 */
const files = (seed, count, bytes) => (state) => {
  const random = new SeededRandom(seed);
  for (let index = 0; index < count; index += 1) {
    const directory = join(state, `d-${index % 6}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `f-${index}`), random.halfCompressible(bytes));
  }
};

const CHAIN = { files: 100, bytes: 189_000, versions: 11 };

/** @type {Readonly<Record<string, RecoveryCase>>} */
export const RECOVERY_CASES = {
  'few-small': { title: '61 small files, 4 KB each', versions: 1, make: files('few', 61, 4096) },
  'ten-files': { title: '10 files of 10 KB', versions: 1, make: files('ten', 10, 10_240) },
  'one-large': { title: 'one file of 10 MB', versions: 1, make: files('one', 1, 10_485_760) },
  chains: {
    title: '100 files, 18.9 MB in all, after 10 changes of each',
    versions: CHAIN.versions,
    make: files('chain', CHAIN.files, CHAIN.bytes),
    change: (state, version) => {
      const random = new SeededRandom(`chain ${version}`);
      for (let index = 0; index < CHAIN.files; index += 1) {
        const file = join(state, `d-${index % 6}`, `f-${index}`);
        const content = readFileSync(file);
        // Ten words somewhere: each version is a small delta against the one before.
        for (let word = 0; word < 10; word += 1) {
          content.write(random.words(5), random.below(content.length - 100));
        }
        writeFileSync(file, content);
      }
    },
  },
};
