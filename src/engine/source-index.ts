/** Interfaces for files that do not fit memory: a digest fed piece by piece, and a sparse index of a long source. */
import type { HashAlgo } from './engine.js';

/** A digest that is fed piece by piece; one call at a time. */
export interface StreamDigest {
  /** Await each before the next. Fast when every piece but the last is a multiple of 64 KiB. */
  update(data: Uint8Array): Promise<void>;
  /** The digest, 32 bytes; nothing may follow. */
  finish(): Buffer;
}

/**
 * Remembers where samples of a source are, in at most 56 MiB, and says which ranges of the source resemble a window of a
 * target. The step between two samples is 256 bytes, for sources above 1 GiB a 4,194,304th of their length; an equal
 * stretch of a step and 32 bytes is found wherever it went.
 */
export interface SourceIndex {
  /** Takes the next bytes of the source; await each before the next. Samples across two calls are left out. */
  add(data: Uint8Array, offset: number): Promise<void>;
  /**
   * Pairs (offset, length): ranges of the source, ascending and apart, at most `budget` bytes together.
   * @param inPlace what the source has at `targetOffset`: as long as `target`, shorter where the source ends
   */
  find(target: Uint8Array, targetOffset: number, inPlace: Uint8Array, budget: number): Promise<Float64Array>;
}

/** What an engine offers for files that do not fit memory. */
export interface LongFileVerbs {
  createDigest(algo: HashAlgo): StreamDigest;
  /** The index of a source of this many bytes (`docs/format-delta.md`, windows). */
  createSourceIndex(sourceBytes: number): SourceIndex;
}
