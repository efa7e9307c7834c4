/** The argument checks of the engines with file formats of their own, as `guarded-engine.ts` has them for the rest. */
import { constants } from 'node:buffer';
import { checkBoolean, checkBytes, checkEffort, checkInteger } from './check-arguments.js';
import type { Engine, SourceIndex, StreamDigest, TensorRegion } from './engine.js';

const FILE_BYTES_MAX = 2 ** 44;
const BYTES_MAX = Math.min(constants.MAX_LENGTH, 2 ** 32 - 1);

/** Functions that these checks stand in front of. */
export type DeltaFiles = Pick<
  Engine,
  'tensorDiff' | 'tensorPatch' | 'bsdiffDiff' | 'bsdiffPatch' | 'vcdiffDiff' | 'vcdiffPatch'
>;

function checkPair(source: unknown, other: unknown, name: string): void {
  checkBytes(source, 'source');
  checkBytes(other, name);
}

/** Fails unless the regions ascend, do not overlap and lie in the target. */
function checkRegions(regions: readonly TensorRegion[], targetBytes: number): void {
  if (!Array.isArray(regions)) throw new TypeError(`regions must be an array, not ${typeof regions}`);
  let end = 0;
  for (const { begin, bytes, width, source } of regions) {
    checkInteger(begin, 'begin', end, targetBytes);
    checkInteger(bytes, 'bytes', 0, targetBytes - begin);
    if (width !== 2 && width !== 4 && width !== 8) throw new RangeError(`width must be 2, 4 or 8, not ${width}`);
    if (source !== undefined) checkInteger(source, 'source', 0, Number.MAX_SAFE_INTEGER);
    end = begin + bytes;
  }
}

/** Checks arguments, then calls `inner`. */
export function guardDeltaFiles(inner: Engine): DeltaFiles {
  return {
    async tensorDiff(source, target, effort, regions) {
      checkPair(source, target, 'target');
      checkEffort(effort);
      checkRegions(regions, target.length);
      return inner.tensorDiff(source, target, effort, regions);
    },
    async tensorPatch(source, payload, targetBytes) {
      checkPair(source, payload, 'payload');
      checkInteger(targetBytes, 'targetBytes', 0, BYTES_MAX);
      return inner.tensorPatch(source, payload, targetBytes);
    },
    async bsdiffDiff(source, target) {
      checkPair(source, target, 'target');
      return inner.bsdiffDiff(source, target);
    },
    async bsdiffPatch(source, delta, targetBytesMax) {
      checkPair(source, delta, 'delta');
      checkInteger(targetBytesMax, 'targetBytesMax', 0, BYTES_MAX);
      return inner.bsdiffPatch(source, delta, targetBytesMax);
    },
    async vcdiffDiff(source, target, checksum) {
      checkPair(source, target, 'target');
      checkBoolean(checksum, 'checksum');
      return inner.vcdiffDiff(source, target, checksum);
    },
    async vcdiffPatch(source, delta, targetBytesMax) {
      checkPair(source, delta, 'delta');
      checkInteger(targetBytesMax, 'targetBytesMax', 0, BYTES_MAX);
      return inner.vcdiffPatch(source, delta, targetBytesMax);
    },
  };
}

/** Checks arguments, then calls `inner`. */
export function guardDigest(inner: StreamDigest): StreamDigest {
  return {
    async update(data) {
      checkBytes(data, 'data');
      return inner.update(data);
    },
    finish: () => inner.finish(),
  };
}

/** Checks arguments, then calls `inner`. */
export function guardSourceIndex(inner: SourceIndex): SourceIndex {
  return {
    async add(data, offset) {
      checkBytes(data, 'data');
      checkInteger(offset, 'offset', 0, FILE_BYTES_MAX);
      return inner.add(data, offset);
    },
    async find(target, targetOffset, inPlace, budget) {
      checkBytes(target, 'target');
      checkBytes(inPlace, 'inPlace');
      checkInteger(targetOffset, 'targetOffset', 0, FILE_BYTES_MAX);
      checkInteger(budget, 'budget', 0, 2 ** 30);
      return inner.find(target, targetOffset, inPlace, budget);
    },
  };
}
