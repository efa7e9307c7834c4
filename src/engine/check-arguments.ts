/**
 * Checks of arguments, shared by both engines so that a wrong call fails alike on
 * either. Wrong types are TypeError, wrong values RangeError, paths that leave
 * the root DK_UNSAFE_PATH.
 */
import { type BytePath, DiffKeeperError, isSafePath, nearestWithinLimits, pathToText } from '../core/core.js';
import {
  type CutOptions,
  type DecodeBatch,
  type EncodeBatch,
  FROM_ITEMS,
  IN_DATA,
  type PlaceBatch,
  type SliceBatch,
  type SliceVerify,
  STAT_COLUMNS,
  ZERO_BYTES,
} from './engine.js';

const CUT_BYTES_MIN = 64;
const CUT_BYTES_MAX = 2 ** 30;
const LEVEL_MAX = 19;
const U64_MAX = 2n ** 64n - 1n;

/** Fails unless the value is a Uint8Array (a Buffer is one). */
export function checkBytes(value: unknown, name: string): void {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${name} must be a Uint8Array, not ${typeof value}`);
}

/** Fails unless the value is `true` or `false`. */
export function checkBoolean(value: unknown, name: string): void {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be a boolean, not ${typeof value}`);
}

/** Fails unless the value is text that can name a file. */
export function checkFilePath(value: unknown, name: string): void {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, not ${typeof value}`);
  if (value === '' || value.includes('\0'))
    throw new RangeError(`${name} must be a path without NUL, not ${JSON.stringify(value)}`);
}

const VERIFIES: readonly SliceVerify[] = ['all', 'ends', 'none'];

/** Fails unless the value is a digest algorithm. */
export function checkAlgo(value: unknown): void {
  if (value !== 'blake3' && value !== 'sha256') {
    throw new TypeError(`algo must be 'blake3' or 'sha256', not ${String(value)}`);
  }
}

/** Fails unless the value is an integer from `least` to `most`. */
export function checkInteger(value: unknown, name: string, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${typeof value}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be an integer from ${least} to ${most}, not ${value}`);
  }
}

/** Fails unless the value is a seed of XXH3: a bigint of 64 bits. */
export function checkSeed(seed: unknown): void {
  if (typeof seed !== 'bigint') throw new TypeError(`seed must be a bigint, not ${typeof seed}`);
  if (seed < 0n || seed > U64_MAX) throw new RangeError('seed must be from 0 to 2^64 - 1');
}

/** Fails unless the value is a zstd level. */
export function checkLevel(value: unknown): void {
  checkInteger(value, 'level', 1, LEVEL_MAX);
}

/** Fails unless the value names an effort. */
export function checkEffort(value: unknown): void {
  if (value !== 'fast' && value !== 'balanced' && value !== 'max') {
    throw new TypeError(`effort must be 'fast', 'balanced' or 'max', not ${String(value)}`);
  }
}

/** Fails unless the path lies below the root; the empty path is the root itself. */
export function checkBytePath(path: BytePath): void {
  if (typeof path !== 'string') throw new TypeError(`a path must be a string, not ${typeof path}`);
  if (path === '' || isSafePath(path)) return;
  const text = pathToText(path);
  const why = nearestWithinLimits(path) === path ? 'does not stay below the root' : 'is too long';
  throw new DiffKeeperError('DK_UNSAFE_PATH', `the path ${JSON.stringify(text)} ${why}`, { path: text });
}

/** As `checkBytePath`, for something that cannot be the root. */
export function checkEntryPath(path: BytePath): void {
  checkBytePath(path);
  if (path === '') throw new DiffKeeperError('DK_UNSAFE_PATH', 'the empty path is the root, not an entry below it');
}

/** Fails unless the lengths add up to the bytes. */
export function checkPieces(bytes: Uint8Array, lengths: Uint32Array, name: string): void {
  checkBytes(bytes, name);
  if (!(lengths instanceof Uint32Array)) throw new TypeError(`the lengths of ${name} must be a Uint32Array`);
  const sum = lengths.reduce((total, length) => total + length, 0);
  if (sum !== bytes.length)
    throw new RangeError(`the lengths of ${name} add up to ${sum}, not to its ${bytes.length} bytes`);
}

function checkCount(actual: number, expected: number, name: string): void {
  if (actual !== expected) throw new RangeError(`${name} must have ${expected} elements, not ${actual}`);
}

/** Fails unless there is one stat row per entry. */
export function checkRows(rows: BigInt64Array, count: number): void {
  if (!(rows instanceof BigInt64Array)) throw new TypeError('rows must be a BigInt64Array');
  checkCount(rows.length, count * STAT_COLUMNS, 'rows');
}

/** Fails unless the sizes are in order and within what the mask can express. */
export function checkCut(options: CutOptions): void {
  checkInteger(options.minBytes, 'minBytes', CUT_BYTES_MIN, CUT_BYTES_MAX);
  checkInteger(options.averageBytes, 'averageBytes', options.minBytes, CUT_BYTES_MAX);
  checkInteger(options.maxBytes, 'maxBytes', options.averageBytes, CUT_BYTES_MAX);
}

/** Fails unless all parts of the batch describe the same items. */
export function checkEncodeBatch(batch: EncodeBatch): void {
  checkPieces(batch.targets, batch.targetLengths, 'targets');
  checkPieces(batch.contexts, batch.contextLengths, 'contexts');
  const count = batch.targetLengths.length;
  checkCount(batch.contextLengths.length, count, 'contextLengths');
  checkBytes(batch.tries, 'tries');
  checkCount(batch.tries.length, count, 'tries');
  checkLevel(batch.level);
}

/** Fails unless all parts of the batch describe the same items and the result fits a buffer. */
export function checkDecodeBatch(batch: DecodeBatch, bytesMax: number): void {
  checkPieces(batch.payloads, batch.payloadLengths, 'payloads');
  checkPieces(batch.contexts, batch.contextLengths, 'contexts');
  checkBytes(batch.codecs, 'codecs');
  checkBytes(batch.digests, 'digests');
  checkAlgo(batch.algo);
  const count = batch.codecs.length;
  checkCount(batch.payloadLengths.length, count, 'payloadLengths');
  checkCount(batch.contextLengths.length, count, 'contextLengths');
  checkCount(batch.decodedLengths.length, count, 'decodedLengths');
  checkCount(batch.digests.length, count * 32, 'digests');
  const decoded = batch.decodedLengths.reduce((total, length) => total + length, 0);
  if (decoded > bytesMax) throw new RangeError(`decodedLengths add up to ${decoded}, more than ${bytesMax}`);
}

/** Fails unless every piece lies in its buffer and every slice in its item. */
export function checkSliceBatch(batch: SliceBatch, bytesMax: number): void {
  const count = batch.codecs.length;
  checkAlgo(batch.algo);
  if (!VERIFIES.includes(batch.verify ?? 'all')) {
    throw new TypeError(`verify must be 'all', 'ends' or 'none', not ${String(batch.verify)}`);
  }
  checkCount(batch.decodedLengths.length, count, 'decodedLengths');
  checkCount(batch.digests.length, count * 32, 'digests');
  checkCount(batch.payloads.length, count * 3, 'payloads');
  checkCount(batch.contextCounts.length, count, 'contextCounts');
  checkCount(batch.sliceCounts.length, count, 'sliceCounts');
  checkCount(batch.contexts.length, sum(batch.contextCounts) * 3, 'contexts');
  checkCount(batch.slices.length, sum(batch.sliceCounts) * 2, 'slices');
  checkBytes(batch.target, 'target');
  checkCount(batch.places.length, batch.slices.length / 2, 'places');
  for (let item = 0; item < count; item += 1) checkTriple(batch.buffers, batch.payloads, item);
  checkContexts(batch);
  let bytes = 0;
  let slice = 0;
  for (const [item, slices] of batch.sliceCounts.entries()) {
    for (const end = slice + slices; slice < end; slice += 1) {
      const length = batch.slices[2 * slice + 1] ?? 0;
      bytes += length;
      if ((batch.slices[2 * slice] ?? 0) + length > (batch.decodedLengths[item] ?? 0)) {
        throw new RangeError(`slice ${slice} leaves its item`);
      }
      const place = batch.places[slice] ?? 0;
      if (place !== IN_DATA && place + length > batch.target.length) {
        throw new RangeError(`slice ${slice} leaves the target`);
      }
    }
  }
  if (bytes > bytesMax) throw new RangeError(`the slices add up to ${bytes}, more than ${bytesMax}`);
}

function checkContexts({ buffers, contexts, contextCounts, decodedLengths }: SliceBatch): void {
  let piece = 0;
  for (const [item, pieces] of contextCounts.entries()) {
    for (const end = piece + pieces; piece < end; piece += 1) {
      const buffer = contexts[3 * piece] ?? 0;
      if (buffer === ZERO_BYTES) continue;
      if (buffer < FROM_ITEMS) {
        checkTriple(buffers, contexts, piece);
        continue;
      }
      const earlier = buffer - FROM_ITEMS;
      const last = (contexts[3 * piece + 1] ?? 0) + (contexts[3 * piece + 2] ?? 0);
      if (earlier >= item || last > (decodedLengths[earlier] ?? 0)) {
        throw new RangeError(`piece ${piece} lies in no earlier item`);
      }
    }
  }
}

function checkTriple(buffers: readonly Uint8Array[], triples: Uint32Array, index: number): void {
  const length = buffers[triples[3 * index] ?? 0]?.length ?? -1;
  if ((triples[3 * index + 1] ?? 0) + (triples[3 * index + 2] ?? 0) > length) {
    throw new RangeError(`piece ${index} lies outside its buffer`);
  }
}

function sum(values: Uint32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Fails unless all parts of the batch describe the same items and every path stays below the root. */
export function checkPlaceBatch(batch: PlaceBatch): void {
  checkFilePath(batch.root, 'root');
  const count = batch.paths.length;
  batch.paths.forEach(checkBytePath);
  checkRows(batch.rows, count);
  checkPieces(batch.data, batch.lengths, 'data');
  checkPieces(batch.xattrs, batch.xattrLengths, 'xattrs');
  checkCount(batch.lengths.length, count, 'lengths');
  checkCount(batch.xattrLengths.length, count, 'xattrLengths');
}
