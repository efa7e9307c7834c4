/** Shapes of what crosses when blobs are coded and decoded: see `Engine`. */
import type { HashAlgo } from './engine.js';

export interface EncodeBatch {
  readonly targets: Uint8Array;
  readonly targetLengths: Uint32Array;
  /** Older bytes, concatenated; `contextLengths[i]` is 0 for an item without. */
  readonly contexts: Uint8Array;
  readonly contextLengths: Uint32Array;
  /** TRY bits per item. Raw is always a candidate. Incompressible data is detected cheaply. */
  readonly tries: Uint8Array;
  /** zstd level, 1-19. */
  readonly level: number;
}
export interface EncodedBatch {
  readonly codecs: Uint8Array;
  readonly payloadLengths: Uint32Array;
  readonly payloads: Buffer;
}
export interface DecodeBatch {
  readonly payloads: Uint8Array;
  readonly payloadLengths: Uint32Array;
  readonly codecs: Uint8Array;
  readonly decodedLengths: Uint32Array;
  readonly contexts: Uint8Array;
  readonly contextLengths: Uint32Array;
  /** 32 bytes per item: what the decoded bytes must digest to. */
  readonly digests: Uint8Array;
  readonly algo: HashAlgo;
}
export interface DecodedBatch {
  /** Decoded bytes, concatenated by `decodedLengths` (failed items leave their room zeroed). */
  readonly data: Buffer;
  /** 0 good; 1 the payload does not decode; 2 it decodes to other bytes than the digest says; 3 its context is not good. */
  readonly status: Uint8Array;
}

/** Buffer number of context bytes that are all zero. */
export const ZERO_BYTES = 0xffffffff;

/** From here on, up to ZERO_BYTES, buffer numbers of context bytes mean items of the batch: FROM_ITEMS + item. */
export const FROM_ITEMS = 0x80000000;

/** Place of a slice that goes to `data`. */
export const IN_DATA = 0xffffffff;

/** See `SliceBatch.verify`. */
export type SliceVerify = 'all' | 'ends' | 'none';

/** Blobs of which only parts are wanted. Nothing needs to be joined: payloads and contexts are pieces of `buffers`. */
export interface SliceBatch {
  readonly buffers: readonly Uint8Array[];
  /** One triple (buffer, offset, length) per item. */
  readonly payloads: Uint32Array;
  readonly codecs: Uint8Array;
  /** At most 16 MiB each. */
  readonly decodedLengths: Uint32Array;
  /**
   * Context pieces per item, and all of them: triples (buffer, offset, length), where the buffer may be ZERO_BYTES, or
   * an earlier item of the batch, whose decoded bytes are meant: a chain of deltas is decoded in one call.
   */
  readonly contextCounts: Uint32Array;
  readonly contexts: Uint32Array;
  /** Slices per item, and all of them: pairs (offset, length) within the decoded bytes. */
  readonly sliceCounts: Uint32Array;
  readonly slices: Uint32Array;
  /** Memory of the caller's that slices may go to instead of `data`. Not to be touched until the call resolves. */
  readonly target: Uint8Array;
  /** Per slice: where in `target` it goes, or IN_DATA. Slices in `target` must not overlap. */
  readonly places: Uint32Array;
  /** 32 bytes per item: what the decoded bytes must digest to. */
  readonly digests: Uint8Array;
  /**
   * Which items must have their digests; the others are only decoded. `ends`: those that slices are taken of, in whose
   * digests shows what is wrong with the others. `none`: for who compares a digest of what all of it makes. Default `all`.
   */
  readonly verify?: SliceVerify;
  readonly algo: HashAlgo;
}
