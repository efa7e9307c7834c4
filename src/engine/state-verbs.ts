/** What the state encoder uses of an engine, beside the verbs of `Engine` that all share. */

/** Where a range of zeros comes from, in the rows of `copyRanges`. */
export const FROM_ZEROS = -1;

/** Copies one such row, at once. */
export function copyRange(
  into: Uint8Array,
  from: Uint8Array,
  { to, start, length }: { readonly to: number; readonly start: number; readonly length: number },
): void {
  if (start === FROM_ZEROS) into.fill(0, to, to + length);
  else into.set(from.subarray(start, start + length), to);
}

/**
 * Digests that are made of the values of groups of 64 KiB: BLAKE3, 32 bytes, and the quick one of docs/format-state.md, 16
 * bytes, which finds damage and proves nothing to somebody who is out to deceive.
 */
export type GroupDigestKind = 'blake3' | 'xxh3';

export interface GroupDigest {
  /** Of the kind that was asked for; empty when none was. */
  readonly digest: Buffer;
  /** As many bytes as the digest has per full 64 KiB group but the last; may be empty. Good for these bytes and this kind only. */
  readonly groups: Buffer;
}

export interface CopiedDigest extends GroupDigest {
  /** The bytes themselves, when a copy was asked for. */
  readonly copy?: Buffer;
}

export interface SparseDelta extends GroupDigest {
  readonly payload: Buffer;
}

/** What a sparse verb on this thread needs beside the bytes; `groups` and `kind` as for `sparseDiff`. */
export interface SparseSync {
  readonly groups: Uint8Array;
  readonly kind: GroupDigestKind;
  /** Bytes that may differ. */
  readonly changedMax: number;
}

export interface StateVerbs {
  /**
   * The `sparse` engine: payload that turns `source` into `target` (docs/format-sparse.md). With `groups` the
   * digest of the target comes along, of `kind` (default `blake3`); groups of this kind that `groupDigest` or a former call gave
   * for the source make it cheap (of another length than the source has: ignored).
   */
  sparseDiff(
    source: Uint8Array,
    target: Uint8Array,
    level: number,
    groups?: Uint8Array,
    kind?: GroupDigestKind,
  ): Promise<SparseDelta>;
  /**
   * Throws DK_CORRUPT_DELTA when the payload does not decode to exactly `targetBytes`. With `into` (at least as long, neither
   * shared nor resizable, and no part of the others) the target is made there and `data` is a view of it; after a failure
   * it holds anything.
   */
  sparsePatch(
    source: Uint8Array,
    payload: Uint8Array,
    targetBytes: number,
    groups?: Uint8Array,
    into?: Uint8Array,
    kind?: GroupDigestKind,
  ): Promise<GroupDigest & { readonly data: Buffer }>;
  /**
   * As `sparseDiff`, but on this thread: for what takes no longer than waking another one. Digest (16 or 32 bytes, by `kind`) and
   * payload, one behind the other; undefined when more bytes differ, and whenever an engine has no quick way.
   */
  sparseDiffSync(
    source: Uint8Array,
    target: Uint8Array,
    how: SparseSync & { readonly level: number },
  ): Buffer | undefined;
  /**
   * As `sparsePatch` into all of `into`, but on this thread. The digest of what is there now; undefined for damage, and as for
   * `sparseDiffSync`: then it holds anything.
   */
  sparsePatchSync(source: Uint8Array, payload: Uint8Array, into: Uint8Array, how: SparseSync): Buffer | undefined;
  /**
   * Digest of `kind` (default `blake3`), with the values that make that of a slightly changed copy cheap; with `copy` (default
   * false) one is made on the way. Throws TypeError for a `copy` that is no boolean or another kind.
   */
  groupDigest(data: Uint8Array, copy?: boolean, kind?: GroupDigestKind): Promise<CopiedDigest>;
  /**
   * Memory for a result, off the heap. It holds ANYTHING, bytes of others too: write all of it before it goes to anybody.
   */
  createRoom(bytes: number): Buffer;
  /**
   * Copies ranges of `from` into `into`, off this thread where the engine can. Rows of `ranges`: offset in `into`, offset in
   * `from` or `FROM_ZEROS`, length. `from` may be shared memory; `into` must not, and nobody may touch it meanwhile.
   */
  copyRanges(into: Uint8Array, from: Uint8Array, ranges: Float64Array): Promise<void>;
  /** Whether both hold the same bytes, off this thread where the engine can. They may overlap. */
  equalBytes(one: Uint8Array, other: Uint8Array): Promise<boolean>;
  /** As `xxh3`, off this thread where the engine can. */
  xxh3Async(data: Uint8Array, seed?: bigint): Promise<bigint>;
  /** A copy that nobody else holds, made off this thread where the engine can. */
  copyBytes(data: Uint8Array): Promise<Buffer>;
  /**
   * Large results are made in memory that is used again from now on: up to `bytesMax` bytes (of the process, by its last
   * caller) are kept when they are collected, until they lie idle for some seconds. One `releaseSpareMemory` for each.
   */
  holdSpareMemory(bytesMax: number): void;
  /** After the last one nothing is kept. */
  releaseSpareMemory(): void;
  /** XXH3-128 of every 4 KiB page (the last may be shorter), 16 bytes each, seeded with the XXH3-64 of 16 bytes. */
  pageHashes(data: Uint8Array, seed: Uint8Array): Promise<Buffer>;
  /** Raw-content dictionary of at most `bytesMax` bytes from samples of one kind; of little use when they share nothing. */
  trainDictionary(samples: Uint8Array, lengths: Uint32Array, bytesMax: number): Promise<Buffer>;
}
