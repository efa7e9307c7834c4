/** The argument checks of what the state encoder uses, as `guarded-engine.ts` has them for the rest. */
import { constants } from 'node:buffer';
import { checkBoolean, checkBytes, checkInteger, checkLevel, checkPieces, checkSeed } from './check-arguments.js';
import { type Engine, FROM_ZEROS, type SparseSync, type StateVerbs } from './engine.js';

const BYTES_MAX = Math.min(constants.MAX_LENGTH, 2 ** 32 - 1);
const SEED_BYTES = 16;
const DICTIONARY_BYTES = { min: 128, max: 1 << 20 } as const;

const RANGES_MAX = 2 ** 20;

function checkRanges(memory: { readonly roomBytes: number; readonly fromBytes: number }, ranges: Float64Array): void {
  if (!(ranges instanceof Float64Array)) throw new TypeError('ranges must be a Float64Array');
  if (ranges.length % 3 !== 0 || ranges.length / 3 > RANGES_MAX) {
    throw new RangeError(`ranges must be at most ${RANGES_MAX} rows of three numbers`);
  }
  for (let i = 0; i < ranges.length; i += 3) {
    const from = ranges[i + 1];
    const length = ranges[i + 2] as number;
    checkInteger(length, 'length', 0, BYTES_MAX);
    checkInteger(ranges[i], 'to', 0, memory.roomBytes - length);
    if (from !== FROM_ZEROS) checkInteger(from, 'from', 0, memory.fromBytes - length);
  }
}

function checkKind(kind: unknown): void {
  if (kind === undefined || kind === 'blake3' || kind === 'xxh3') return;
  throw new TypeError(`kind must be 'blake3' or 'xxh3', not ${String(kind)}`);
}

function checkSync({ groups, kind, changedMax }: SparseSync): void {
  checkBytes(groups, 'groups');
  checkKind(kind);
  checkInteger(changedMax, 'changedMax', 0, BYTES_MAX);
}

function checkRoom(into: Uint8Array, bytes: number): void {
  checkBytes(into, 'into');
  if (into.length < bytes) throw new RangeError(`into must have at least ${bytes} bytes, not ${into.length}`);
}

/** Checks arguments, then calls `inner`. */
export function guardStates(inner: Engine): StateVerbs {
  return {
    async sparseDiff(source, target, level, groups, kind) {
      checkBytes(source, 'source');
      checkBytes(target, 'target');
      checkLevel(level);
      if (groups !== undefined) checkBytes(groups, 'groups');
      checkKind(kind);
      return inner.sparseDiff(source, target, level, groups, kind);
    },
    async sparsePatch(source, payload, targetBytes, groups, into, kind) {
      checkBytes(source, 'source');
      checkBytes(payload, 'payload');
      checkInteger(targetBytes, 'targetBytes', 0, BYTES_MAX);
      if (groups !== undefined) checkBytes(groups, 'groups');
      if (into !== undefined) checkRoom(into, targetBytes);
      checkKind(kind);
      return inner.sparsePatch(source, payload, targetBytes, groups, into, kind);
    },
    sparseDiffSync(source, target, how) {
      checkBytes(source, 'source');
      checkBytes(target, 'target');
      checkLevel(how.level);
      checkSync(how);
      return inner.sparseDiffSync(source, target, how);
    },
    sparsePatchSync(source, payload, into, how) {
      checkBytes(source, 'source');
      checkBytes(payload, 'payload');
      checkBytes(into, 'into');
      checkSync(how);
      return inner.sparsePatchSync(source, payload, into, how);
    },
    async groupDigest(data, copy, kind) {
      checkBytes(data, 'data');
      if (copy !== undefined) checkBoolean(copy, 'copy');
      checkKind(kind);
      return inner.groupDigest(data, copy, kind);
    },
    createRoom(bytes) {
      checkInteger(bytes, 'bytes', 0, BYTES_MAX);
      return inner.createRoom(bytes);
    },
    async copyRanges(into, from, ranges) {
      checkBytes(into, 'into');
      checkBytes(from, 'from');
      checkRanges({ roomBytes: into.length, fromBytes: from.length }, ranges);
      return inner.copyRanges(into, from, ranges);
    },
    async equalBytes(one, other) {
      checkBytes(one, 'one');
      checkBytes(other, 'other');
      return inner.equalBytes(one, other);
    },
    async xxh3Async(data, seed = 0n) {
      checkBytes(data, 'data');
      checkSeed(seed);
      return inner.xxh3Async(data, seed);
    },
    async copyBytes(data) {
      checkBytes(data, 'data');
      return inner.copyBytes(data);
    },
    holdSpareMemory(bytesMax) {
      checkInteger(bytesMax, 'bytesMax', 0, BYTES_MAX);
      inner.holdSpareMemory(bytesMax);
    },
    releaseSpareMemory() {
      inner.releaseSpareMemory();
    },
    async pageHashes(data, seed) {
      checkBytes(data, 'data');
      checkBytes(seed, 'seed');
      if (seed.length !== SEED_BYTES) throw new RangeError(`seed must have ${SEED_BYTES} bytes, not ${seed.length}`);
      return inner.pageHashes(data, seed);
    },
    async trainDictionary(samples, lengths, bytesMax) {
      checkPieces(samples, lengths, 'samples');
      checkInteger(bytesMax, 'bytesMax', DICTIONARY_BYTES.min, DICTIONARY_BYTES.max);
      return inner.trainDictionary(samples, lengths, bytesMax);
    },
  };
}
