/** The argument checks of the engines with file formats of their own, as `guarded-engine.ts` has them for the rest. */
import { constants } from 'node:buffer';
import { checkBytes, checkInteger } from './check-arguments.js';
import type { Engine } from './engine.js';

const BYTES_MAX = Math.min(constants.MAX_LENGTH, 2 ** 32 - 1);

/** Functions that these checks stand in front of. */
export type DeltaFiles = Pick<Engine, 'bsdiffDiff' | 'bsdiffPatch' | 'vcdiffDiff' | 'vcdiffPatch'>;

function checkPair(source: unknown, other: unknown, name: string): void {
  checkBytes(source, 'source');
  checkBytes(other, name);
}

/** Checks arguments, then calls `inner`. */
export function guardDeltaFiles(inner: Engine): DeltaFiles {
  return {
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
      if (typeof checksum !== 'boolean') throw new TypeError(`checksum must be a boolean, not ${typeof checksum}`);
      return inner.vcdiffDiff(source, target, checksum);
    },
    async vcdiffPatch(source, delta, targetBytesMax) {
      checkPair(source, delta, 'delta');
      checkInteger(targetBytesMax, 'targetBytesMax', 0, BYTES_MAX);
      return inner.vcdiffPatch(source, delta, targetBytesMax);
    },
  };
}
