/** Keeps caches from telling what they describe and hold; in a store that is not encrypted it changes nothing. */
import type { StoreKeys } from '../crypt/crypt.js';

export interface CacheGuard {
  /** Nothing that names or shows content may be written in the clear. */
  readonly sealed: boolean;
  /** Stands in the clear in the place of bytes that say what a cache is about; the same for the same bytes. */
  describe(bytes: Buffer): Buffer;
  /** @param about as `describe` gave it */
  seal(bytes: Buffer, about: Buffer): Buffer;
  /** Undefined when it is not what `seal` gave. */
  open(bytes: Buffer, about: Buffer): Buffer | undefined;
}

export const OPEN_GUARD: CacheGuard = {
  sealed: false,
  describe: (bytes) => bytes,
  seal: (bytes) => bytes,
  open: (bytes) => bytes,
};

export function cacheGuard(keys: StoreKeys | null): CacheGuard {
  if (keys === null) return OPEN_GUARD;
  return {
    sealed: true,
    describe: (bytes) => keys.fileNames.name(bytes),
    seal: (bytes, about) => keys.files.seal(bytes, about),
    open: (bytes, about) => keys.files.open(bytes, about) ?? undefined,
  };
}
