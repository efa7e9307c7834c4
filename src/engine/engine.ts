/**
 * Door of the room `engine`: the one interface to everything that is computed over bytes in bulk or asks the kernel for what
 * Node does not offer. Two implementations: the native addon and a pure-TypeScript twin, held to the same conformance suite.
 * All batches are flat: one crossing per unit of work.
 */
import type { BytePath } from '../core/core.js';
import type { DecodeBatch, DecodedBatch, EncodeBatch, EncodedBatch, SliceBatch } from './blob-batches.js';
import type { ContentVerbs } from './content-verbs.js';
import type { FileScan } from './file-scan.js';
import type { WriterVerbs } from './file-writer.js';
import type { RunVerbs } from './run-verbs.js';
import type { LongFileVerbs } from './source-index.js';
import type { StateVerbs } from './state-verbs.js';
import type { TensorVerbs } from './tensor-region.js';
import type { TransferVerbs } from './transfer-verbs.js';

export {
  type DecodeBatch,
  type DecodedBatch,
  type EncodeBatch,
  type EncodedBatch,
  FROM_ITEMS,
  IN_DATA,
  type SliceBatch,
  type SliceVerify,
  ZERO_BYTES,
} from './blob-batches.js';
export type { ChainBatch, ChainPlace, FollowedChains, RecordPlaces } from './chain-verbs.js';
export { type CutOptions, SKETCH_FEATURES } from './content-verbs.js';
export type { FileScan, HeldFile, ScanResult, ScanStep, ScanTables } from './file-scan.js';
export type { FileWriter } from './file-writer.js';
export { quickListHead } from './quick-list.js';
export {
  type FileSlices,
  type GroupPlace,
  type GroupStretch,
  NO_FILE,
  type OpenedGroup,
  type SliceRange,
} from './run-verbs.js';
export type { SourceIndex, StreamDigest } from './source-index.js';
export {
  type CopiedDigest,
  copyRange,
  FROM_ZEROS,
  type GroupDigest,
  type GroupDigestKind,
  type SparseDelta,
  type SparseSync,
  type StateVerbs,
} from './state-verbs.js';
export type { TensorRegion } from './tensor-region.js';
export { SOCKET_FIGURES, type SocketTuning } from './transfer-verbs.js';
export { frameContentBytes } from './zstd-frame.js';

export type HashAlgo = 'blake3' | 'sha256';

/** Codec of a blob's payload. The numbers are stored in packs: never change, never reuse. */
export const CODEC = { raw: 0, zstd: 1, zstdContext: 2, xor: 3, align: 4, tensor: 5 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

/** What `encodeBlobs` may try for an item: bits, the smallest result wins, ties go to the cheaper to decode. */
export const TRY = { zstd: 1, zstdContext: 2, xor: 4 } as const;

/** zstd level where none was asked for. */
export const LEVEL_DEFAULT = 3;

/** How much time an engine may take for a smaller result. */
export type Effort = 'fast' | 'balanced' | 'max';

export interface EngineInfo {
  /** Which implementation runs: a silent fallback would be a bug. */
  readonly kind: 'native' | 'typescript';
  /** SIMD level that dispatch chose: `avx512`, `avx2`, `sse2`, `neon`, `portable`; `none` for the twin. */
  readonly simd: string;
  /** Worker threads of the engine's own pool; 0 for the twin. */
  readonly threads: number;
  /** Versions of what is inside, for example `{ zstd: '1.5.7', blake3: '1.8.5', xxhash: '0.8.3' }`. */
  readonly versions: Readonly<Record<string, string>>;
  /** File the addon was loaded from; absent for the twin. */
  readonly path?: string;
  /** Why the addon was not loaded; absent when it was. */
  readonly fallbackReason?: string;
}

/** Columns of one stat row (see `STAT_COLUMNS`), kept in a BigInt64Array, `STAT_COLUMNS` values per entry. */
export const STAT = {
  /** ENTRY type below, or a negative errno when the entry could not be read. */
  type: 0,
  /** Permission bits only (07777). */
  mode: 1,
  uid: 2,
  gid: 3,
  size: 4,
  mtimeNs: 5,
  ctimeNs: 6,
  ino: 7,
  dev: 8,
  nlink: 9,
  /** 512-byte blocks in use: smaller than size/512 means sparse. */
  blocks: 10,
} as const;
export const STAT_COLUMNS = 11;

/** Entry types. Stored in version records: never change, never reuse. */
export const ENTRY = { removed: 0, file: 1, directory: 2, symlink: 3, special: 4 } as const;
export type EntryType = (typeof ENTRY)[keyof typeof ENTRY];

export const CHANGE = { added: 1, changed: 2, removed: 3 } as const;

export interface TreeChanges {
  readonly paths: BytePath[];
  /** CHANGE value per path. */
  readonly kinds: Uint8Array;
  /** Stat rows; a removed path has zeros. */
  readonly rows: BigInt64Array;
  /** Entries looked at. */
  readonly scanned: number;
}

/**
 * Remembers the stat of every captured entry, so that an unchanged one costs a
 * stat and nothing else. An entry counts as unchanged when type, mode, uid, gid,
 * size, mtime, ctime, inode, device and nlink are all equal and it is trusted.
 * Not trusted (always reported as changed) are entries put with `trusted: false`:
 * files written so shortly before the scan that a later write could leave the
 * same ctime.
 */
export interface StatIndex {
  readonly count: number;
  /** Replaces the content by what `save` wrote; false (and empty) when the bytes are damaged. */
  load(bytes: Uint8Array): boolean;
  /** Sorted by path, checksummed. */
  save(): Buffer;
  put(paths: readonly BytePath[], rows: BigInt64Array, trusted: Uint8Array): void;
  /** Removes the paths and everything below them. */
  remove(paths: readonly BytePath[]): void;
  get(path: BytePath): BigInt64Array | undefined;
  /**
   * Compares directories with what is remembered. Lists each of `directories` ('' = the root) and, when
   * `recursive`, every remembered directory below; an unknown directory is reported as added and is entered only
   * when `enterAdded`. Paths in `skip` are neither reported nor entered. Does not follow symbolic links. Never
   * changes the index. An entry that vanishes while scanning counts as removed. Runs off the event loop.
   */
  scan(options: {
    readonly root: string;
    readonly directories: readonly BytePath[];
    readonly recursive: boolean;
    readonly enterAdded: boolean;
    readonly skip: readonly BytePath[];
  }): Promise<TreeChanges>;
  /** As `scan`, for exactly these paths (not their children). */
  scanPaths(options: { readonly root: string; readonly paths: readonly BytePath[] }): Promise<TreeChanges>;
}

/** Result of reading whole small files and symbolic links. */
export interface FileBatch {
  /** How many of the paths were handled: fewer than asked when `totalBytesMax` was reached (at least 1). */
  readonly done: number;
  /** 0 read; 1 changed while reading (try again); 2 larger than `fileBytesMax` (row valid, no data); negative errno. */
  readonly status: Int32Array;
  readonly rows: BigInt64Array;
  /** Bytes of each entry in `data`, in order (0 for directories, special files and failures). Link text for symlinks. */
  readonly lengths: Uint32Array;
  readonly data: Buffer;
  /** 32 bytes per entry: digest of its bytes. */
  readonly digests: Buffer;
  /** Encoded extended attributes per entry (see `docs/format.md`, xattr list), in order. */
  readonly xattrLengths: Uint32Array;
  readonly xattrs: Buffer;
}

export interface PlaceBatch {
  /** Existing directory that nothing may leave, not even through a symbolic link inside it. */
  readonly root: string;
  readonly paths: readonly BytePath[];
  /** Stat rows: type, mode, uid, gid, mtimeNs are used. */
  readonly rows: BigInt64Array;
  readonly lengths: Uint32Array;
  /** File contents or link texts. */
  readonly data: Uint8Array;
  readonly xattrLengths: Uint32Array;
  readonly xattrs: Uint8Array;
  /** Set uid and gid (needs privilege). */
  readonly owner: boolean;
}

export interface CompressOptions {
  /** 1-19, default `LEVEL_DEFAULT`. */
  readonly level?: number;
  /** Older bytes used as prefix; switches long-distance matching on for inputs over 1 MiB. */
  readonly context?: Uint8Array;
  /** Long-distance matching without a context, too, where the engine has it (the twin has not). Default false. */
  readonly longDistance?: boolean;
  /** Matches reach back 2^windowLog bytes at most (10-27), where the engine has it (the twin has not). Default: as far as the level has it. */
  readonly windowLog?: number;
  /** Trained dictionary, loaded as such. Not together with `context`. */
  readonly dictionary?: Uint8Array;
}

export interface Engine
  extends ContentVerbs,
    LongFileVerbs,
    RunVerbs,
    StateVerbs,
    TensorVerbs,
    TransferVerbs,
    WriterVerbs {
  readonly info: EngineInfo;
  /** Digest of bytes, 32 bytes. Synchronous: for inputs up to about 1 MiB. */
  digest(algo: HashAlgo, data: Uint8Array): Buffer;
  /** Digest off the event loop; threads for large inputs. */
  digestAsync(algo: HashAlgo, data: Uint8Array): Promise<Buffer>;
  /** Digests of consecutive pieces: 32 bytes each. */
  digestMany(algo: HashAlgo, data: Uint8Array, lengths: Uint32Array): Promise<Buffer>;
  /** Digest of a file's content, streamed with bounded memory. `path` is absolute. */
  digestFile(algo: HashAlgo, path: string, signal?: AbortSignal): Promise<Buffer>;
  /**
   * RFC 6962 shaped Merkle root of 32-byte leaves: node = H(0x01 || left || right), the left side takes the largest
   * power of two below the count; one leaf is its own root; no leaf gives H(empty).
   */
  merkleRoot(algo: HashAlgo, leaves: Uint8Array): Buffer;
  /** XXH3-64 of bytes. */
  xxh3(data: Uint8Array, seed?: bigint): bigint;
  compress(data: Uint8Array, options?: CompressOptions): Promise<Buffer>;
  /** Throws DK_CORRUPT_DELTA when the frame is damaged or does not decode to exactly `decodedBytes`. */
  decompress(
    data: Uint8Array,
    options: { readonly decodedBytes: number; readonly context?: Uint8Array; readonly dictionary?: Uint8Array },
  ): Promise<Buffer>;
  /** The `xor` engine: payload that turns `source` into `target` (docs/format.md, xor). */
  xorDiff(source: Uint8Array, target: Uint8Array, level: number): Promise<Buffer>;
  xorPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  /** The `align` engine: payload that turns `source` into `target` (docs/format-align.md). */
  alignDiff(source: Uint8Array, target: Uint8Array, effort: Effort): Promise<Buffer>;
  /** Throws DK_CORRUPT_DELTA when the payload does not decode to exactly `targetBytes`. */
  alignPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  /** BSDIFF40 file that turns `source` into `target` (docs/format-bsdiff.md). */
  bsdiffDiff(source: Uint8Array, target: Uint8Array): Promise<Buffer>;
  /** The file says how long the target is: DK_LIMIT above `targetBytesMax`, DK_CORRUPT_DELTA when it is damaged. */
  bsdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  /** VCDIFF file (docs/format-vcdiff.md); with `checksum` every window carries an Adler-32, as xdelta3 has it. */
  vcdiffDiff(source: Uint8Array, target: Uint8Array, checksum: boolean): Promise<Buffer>;
  /** As `bsdiffPatch`; DK_UNSUPPORTED for secondary compression and code tables of its own. */
  vcdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  encodeBlobs(batch: EncodeBatch): Promise<EncodedBatch>;
  decodeBlobs(batch: DecodeBatch): Promise<DecodedBatch>;
  /**
   * As `decodeBlobs`, but `data` is the slices in order, but for those that go to `target` (all zeroed where the item failed).
   * Items are verified whole, as far as `verify` asks for it.
   */
  decodeSlices(batch: SliceBatch): Promise<DecodedBatch>;
  createStatIndex(): StatIndex;
  readFiles(options: {
    readonly root: string;
    readonly paths: readonly BytePath[];
    readonly fileBytesMax: number;
    readonly totalBytesMax: number;
    readonly algo: HashAlgo;
  }): Promise<FileBatch>;
  /** Opens a regular file for scanning; never follows a symbolic link. Rejects with the system error. */
  openFileScan(options: {
    readonly root: string;
    readonly path: BytePath;
    readonly algo: HashAlgo;
    /** 16 bytes, secret of the store: nobody can prepare two pages that hash alike. */
    readonly seed: Uint8Array;
    /** Page table and group values of the source version; empty for a first version. */
    readonly pages: Uint8Array;
    readonly groups: Uint8Array;
    /** Size of the file those tables describe. */
    readonly sourceBytes: number;
  }): Promise<FileScan>;
  /**
   * Creates or replaces whole entries: files through a temporary name and rename, symbolic links, directories
   * (parents are made as needed with mode 0700 until their own row comes). Status per item: 0 or negative errno.
   */
  placeFiles(batch: PlaceBatch): Promise<Int32Array>;
  /** Creates a temporary file next to `path`, below `root` only; returns its descriptor and its path below root. */
  placeOpen(root: string, path: BytePath): Promise<{ readonly fd: number; readonly temporary: BytePath }>;
  /** Sets attributes of the temporary file and renames it into place. The caller closes the descriptor afterwards. */
  placeCommit(options: {
    readonly root: string;
    readonly fd: number;
    readonly temporary: BytePath;
    readonly path: BytePath;
    readonly row: BigInt64Array;
    readonly xattrs: Uint8Array;
    readonly owner: boolean;
  }): Promise<void>;
  /** Makes `path` a hard link to `existing`, both below `root`, replacing what is there. */
  placeLink(root: string, existing: BytePath, path: BytePath): Promise<void>;
  /** Reserves disk blocks without changing the file's length; no-op where the system has no such call. */
  preallocate(fd: number, offset: number, bytes: number): void;
  /**
   * Makes everything durable that was written to the file system holding this directory (absolute path). False where
   * the system has no such call: then each file has to be synced. Rejects with the system error.
   */
  syncFileSystem(directory: string): Promise<boolean>;
}
