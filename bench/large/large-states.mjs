/** A very large file, and very many small ones. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../lib/seeded-data.mjs';

const BLOCK = 1 << 20;
const CHANGED_SHARE = 0.2;
const PER_DIRECTORY = 200;

/** Half random, half of four bits a byte: what a database's file is like to a compressor. */
const block = (/** @type {SeededRandom} */ random) => random.halfCompressible(BLOCK);

/** @param {string} file @param {number} bytes */
export function makeLargeFile(file, bytes) {
  const random = new SeededRandom('large');
  const handle = openSync(file, 'wx');
  for (let at = 0; at < bytes; at += BLOCK) writeSync(handle, block(random), 0, Math.min(BLOCK, bytes - at), at);
  closeSync(handle);
}

/** Rewrites a fifth of the file's blocks, wherever they are. @param {string} file @param {number} bytes @param {number} version */
export function changeLargeFile(file, bytes, version) {
  const random = new SeededRandom(`large ${version}`);
  const blocks = Math.floor(bytes / BLOCK);
  const left = Array.from({ length: blocks }, (_, index) => index);
  const handle = openSync(file, 'r+');
  for (let count = Math.round(blocks * CHANGED_SHARE); count > 0; count -= 1) {
    const [index = 0] = left.splice(random.below(left.length), 1);
    writeSync(handle, block(random), 0, BLOCK, index * BLOCK);
  }
  closeSync(handle);
}

const nameOf = (/** @type {number} */ index) => join(`d-${Math.floor(index / PER_DIRECTORY)}`, `f-${index}`);

/** @param {string} state @param {number} count */
export function makeManyFiles(state, count) {
  const random = new SeededRandom('many');
  for (let index = 0; index < count; index += 1) {
    if (index % PER_DIRECTORY === 0) mkdirSync(join(state, `d-${index / PER_DIRECTORY}`));
    writeFileSync(join(state, nameOf(index)), random.words(random.logUniform(20, 600)));
  }
}

/** Rewrites one file in a hundred. @param {string} state @param {number} count @param {number} version */
export function changeManyFiles(state, count, version) {
  const random = new SeededRandom(`many ${version}`);
  for (let left = Math.ceil(count / 100); left > 0; left -= 1) {
    writeFileSync(join(state, nameOf(random.below(count))), random.words(random.logUniform(20, 600)));
  }
}
