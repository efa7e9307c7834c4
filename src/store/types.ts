/** What the rooms above see of a store. */
import type { BytePath, Clock, Logger } from '../core/core.js';
import type { StoreKey } from '../crypt/crypt.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { Checkpoint, Digest, Extent, Version } from '../format/format.js';
import type { CacheGuard } from './cache-guard.js';
import type { PrunePolicy } from './prune-policy.js';
import type { EntriesOptions, OnUnreadable, VersionReader, VersionSummary } from './reading-types.js';
import type {
  CondenseOptions,
  CondenseReport,
  PruneOptions,
  PruneReport,
  RebuildOptions,
  RebuildReport,
  VerifyOptions,
  VerifyReport,
} from './report-types.js';

export * from './report-types.js';

export interface StoreOptions {
  /** Create the store when the directory is missing or empty. Default false. */
  readonly create?: boolean;
  /** Digest of a new store, default `blake3`; an existing store keeps its own. */
  readonly hashAlgo?: HashAlgo;
  /** No byte is ever more than this many deltas away from absolute bytes; 1-64, default 10. */
  readonly snapshotInterval?: number;
  /** zstd level for stored bytes, 1-19; default 3, or what a capture finds out to be enough for the file. */
  readonly level?: number;
  /** Encrypt a new store; needs `key`. What stands is encrypted or not from its beginning. Default false. */
  readonly encrypt?: boolean;
  /** Opens an encrypted store; a new one is made for it. Not for a store that is not encrypted. */
  readonly key?: StoreKey;
  /**
   * Before a repair: write `DIFFKEEPER` anew from the packs when it and its copy are lost, or name another store, and put
   * packs aside that cannot be read, with copies of the rest in their place. Default false: DK_NO_STORE, DK_IO.
   */
  readonly restoreMarker?: boolean;
  readonly engine?: Engine;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Bytes to be stored. At most `LIMITS.blobBytes`. */
export interface BlobInput {
  readonly bytes: Uint8Array;
  /** Digest of `bytes`; computed when absent. */
  readonly digest?: Digest;
  readonly kind: 'blob' | 'recipe';
  /** Older bytes that may help to code this blob. Used when it pays and the depth allows. */
  readonly context?: BlobContext;
  /**
   * Where no context helps, look for a stored blob that resembles this one, to code it against: for whole contents of 4 KiB
   * to `LIMITS.smallFileBytes`. Default false.
   */
  readonly similar?: boolean;
  /** TRY bits of the engines that may be used with the context; default all. */
  readonly tries?: number;
  /** Keep the bytes at hand for some seconds, as far as there is room: they will be older bytes themselves soon. */
  readonly keep?: boolean;
  /** zstd level when these bytes are coded on their own, 1-19; default that of the store. */
  readonly level?: number;
}

export interface BlobContext {
  /** The older bytes themselves: what `extents` gather to. */
  readonly bytes: Uint8Array;
  /** Where they are stored; zeros are not allowed here. */
  readonly extents: readonly Extent[];
  /** The context has the layout of the target (same offsets), so that XOR is worth trying. */
  readonly aligned: boolean;
}

export interface BlobInfo {
  readonly digest: Digest;
  readonly pack: number;
  readonly offset: number;
  /** Bytes of the whole record in its pack. */
  readonly recordBytes: number;
  readonly decodedBytes: number;
  /** Coded layers between this blob and absolute bytes. */
  readonly depth: number;
}

export interface CommitFacts {
  readonly frozen?: boolean;
  readonly pauseMs?: number;
  readonly tag?: string;
  /** Commit even when nothing changed (a tag, an explicit request). Default false. */
  readonly force?: boolean;
}

/** One checkpoint in the making. Only one at a time per store; nothing is visible before `commit` resolves. */
export interface Transaction {
  /**
   * Stores blobs that the store does not have yet, coded in one batch, and appends them to the open pack.
   * Returns the digests, in order. Safe to call many times; bytes may be reused once it resolves.
   */
  storeBlobs(inputs: readonly BlobInput[]): Promise<Digest[]>;
  /** Whether these blobs are stored or staged. */
  hasBlobs(digests: readonly Digest[]): Promise<boolean[]>;
  /** Recipe for content given as extents (merged where they touch; `size` in all): coded against the source version's. */
  storeRecipe(options: {
    readonly extents: readonly Extent[];
    readonly size: number;
    readonly digest: Digest;
    readonly source?: Version;
  }): Promise<Version['recipe']>;
  /** Adds a version, also over an earlier one of its path. False: there is nothing new in it that the store can hold. */
  put(version: Version): boolean;
  /** Adds a removal of exactly this path. False in schema 1, which has none. */
  remove(path: BytePath): boolean;
  readonly changes: number;
  /** Makes bytes durable (fdatasync), then names them (synchronous metadata batch). Null when nothing changed. */
  commit(facts?: CommitFacts): Promise<Checkpoint | null>;
  /** Forgets the checkpoint in the making. Appended blobs stay as unnamed bytes until compaction. */
  abort(): Promise<void>;
}

/** What made the store smaller than all versions whole, bytes; below 0 what cost more than it saved. */
export interface StoreSavings {
  /** Content that is stored once: equal files, equal pieces, stretches that did not change, runs of zeros. */
  readonly dedupBytes: number;
  /** Of what is stored: against older bytes, and against others that it resembles. */
  readonly deltaBytes: number;
  /** Of what is stored: compressed by itself. */
  readonly compressionBytes: number;
  /** Of what is stored: compressed with a dictionary. */
  readonly dictionaryBytes: number;
  /** By dense packs: what their records would take one by one. */
  readonly denseBytes: number;
  /**
   * What packs hold besides: records of versions, checkpoints and recipes, dictionaries, headers of packs, and contents
   * that no checkpoint has any more. `originalBytes` less all savings, plus this, is `packBytes`.
   */
  readonly otherBytes: number;
}

export interface PackLiveness {
  readonly pack: number;
  readonly bytes: number;
  /** Bytes of records that there are checkpoints for: blobs that they need, their versions, and they themselves. */
  readonly liveBytes: number;
}

export interface StatsOptions {
  /** Find out what each pack is needed for; reads all versions and recipes. Default false. */
  readonly liveness?: boolean;
}

export interface StoreStats {
  readonly path: string;
  readonly id: string;
  readonly hashAlgo: HashAlgo;
  /** Absent for schema 1, which cannot be. */
  readonly encrypted?: boolean;
  readonly checkpoints: number;
  readonly entries: number;
  /** Files among the entries; null where damaged metadata hides some. */
  readonly files: number | null;
  readonly treeBytes: number;
  readonly versions: number;
  readonly blobs: number;
  /** Bytes of all packs and of the metadata on disk. */
  readonly packBytes: number;
  readonly metaBytes: number;
  /** Content bytes of all versions: what keeping every version whole would take. */
  readonly originalBytes: number;
  /** Number of blobs per depth, index 0 = absolute. */
  readonly depths: readonly number[];
  /** Absent where nothing is known of it (schema 1). */
  readonly savings?: StoreSavings;
  /** With `liveness`. */
  readonly packs?: readonly PackLiveness[];
}

/** What became of the metadata. */
export interface MendedFacts {
  /** Another one after each rebuild, and when content was found lost: what was learned of the store before does not count. */
  readonly generation: bigint;
  /** Up to this checkpoint the packs themselves are known to lack something: a rebuild gives nothing more. 0: nothing is known. */
  readonly sequence: number;
}

export interface Store {
  readonly path: string;
  /** 32 hex digits, made at creation. */
  readonly id: string;
  readonly hashAlgo: HashAlgo;
  /** What everything in `cachePath` and `quarantinePath` has to go through. */
  readonly guard: CacheGuard;
  readonly engine: Engine;
  readonly snapshotInterval: number;
  /** zstd level that the store was opened with; undefined when none was asked for. */
  readonly level: number | undefined;
  /** False in schema 1: the newest content of each file is all there is. */
  readonly keepsHistory: boolean;
  /** 16 secret bytes for page hashes. */
  readonly seed: Buffer;
  /** Newest checkpoint; null for an empty store. */
  readonly newest: Checkpoint | null;
  readonly mended: MendedFacts;
  /** Advisory files (stat index, page tables); anything in it may be deleted at any time. */
  readonly cachePath: string;
  /** Damaged things are described here. */
  readonly quarantinePath: string;
  begin(): Transaction;
  /** Newest version of each path; undefined when it does not exist (or was removed) at the newest checkpoint. */
  heads(paths: readonly BytePath[]): Promise<(Version | undefined)[]>;
  /** Those of the paths whose newest version is known not to be readable any more: to be stored anew, whatever changed. */
  lostHeads(paths: readonly BytePath[]): Promise<ReadonlySet<BytePath>>;
  /**
   * Live entries, in batches, sorted by (parent directory, name); of a past checkpoint when `at` is given. With
   * `onUnreadable` it goes on past versions whose records are damaged; without it the first one throws DK_CORRUPT_*.
   */
  entries(options?: EntriesOptions): AsyncIterable<Version[]>;
  /** All versions of one path, newest first, removals included. `onUnreadable` as for `entries`. */
  versions(path: BytePath, options?: { readonly onUnreadable?: OnUnreadable }): AsyncIterable<VersionSummary>;
  /** What a checkpoint wrote. `onUnreadable` as for `entries`. */
  changes(sequence: number, options?: { readonly onUnreadable?: OnUnreadable }): Promise<Version[]>;
  /** Checkpoints, newest first. */
  checkpoints(options?: { readonly limit?: number }): AsyncIterable<Checkpoint>;
  /** The checkpoint of this sequence number, or the newest one not after this moment. Throws DK_NOT_FOUND. */
  checkpointAt(at: number | Date): Promise<Checkpoint>;

  blobInfos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]>;
  /** Decoded and verified blobs, in order; a damaged or missing one is an Error in its place. */
  readBlobs(digests: readonly Digest[]): Promise<(Buffer | Error)[]>;
  reader(version: Version): VersionReader;

  /** A write of the metadata failed and it could not be opened again: `reopen` must succeed before the next write. */
  readonly needsReopen: boolean;
  /** After a failed metadata write: opens the metadata again and rolls forward. A failed commit does it by itself. */
  reopen(): Promise<void>;
  stats(options?: StatsOptions): Promise<StoreStats>;
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  /**
   * Drops checkpoints that the policy does not keep, and gives back their space; captures wait only for its last step.
   * Throws DK_CORRUPT_* when the store is damaged and `allowDamaged` is not set.
   */
  prune(policy: PrunePolicy, options?: PruneOptions): Promise<PruneReport>;
  /**
   * Writes packs of many small versions anew, densely: nothing is dropped, they take a fifth or less of the room, and a past
   * version takes some milliseconds more to read. Captures wait only while a pack is replaced. Throws DK_UNSUPPORTED for an
   * encrypted store and for schema 1; DK_DISK_FULL, DK_IO.
   */
  condense(options?: CondenseOptions): Promise<CondenseReport>;
  /**
   * Gives a checkpoint another tag, durably; an empty one takes it away. Writes the history anew, during which captures
   * wait. Throws DK_NOT_FOUND, RangeError above 1,024 bytes, DK_CORRUPT_* when the history is damaged.
   */
  retag(sequence: number, tag: string): Promise<Checkpoint>;
  /** Resolves when a transaction that is begun now need not wait for a prune. */
  quiet(): Promise<void>;
  /** Rebuilds the metadata from the packs; what they have lost and it still has is written into packs again before. */
  rebuildIndex(options?: RebuildOptions): Promise<RebuildReport>;
  close(): Promise<void>;
}
