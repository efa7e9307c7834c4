/**
 * What the addon exports, before it becomes an `Engine`. Lists of paths cross as
 * one NUL-joined buffer and a count; everything else is as in the interface.
 */

import type { ChainVerbs } from './chain-verbs.js';
import type { ContentVerbs } from './content-verbs.js';
import type {
  CompressOptions,
  CopiedDigest,
  DecodeBatch,
  DecodedBatch,
  Effort,
  EncodeBatch,
  EncodedBatch,
  FileBatch,
  FileScan,
  GroupDigest,
  GroupDigestKind,
  HashAlgo,
  ScanTables,
  SliceBatch,
  SourceIndex,
  SparseDelta,
  StreamDigest,
} from './engine.js';
import type { FileWriter } from './file-writer.js';
import type { FileSlices, GroupPlace, GroupStretch, OpenedGroup, SliceRange } from './run-verbs.js';

/** Changes as they cross. */
export interface RawChanges {
  readonly paths: Buffer;
  readonly count: number;
  readonly kinds: Uint8Array;
  readonly rows: BigInt64Array;
  readonly scanned: number;
}

export interface RawStatIndex {
  readonly count: number;
  load(bytes: Uint8Array): boolean;
  save(): Buffer;
  put(paths: Buffer, count: number, rows: BigInt64Array, trusted: Uint8Array): void;
  remove(paths: Buffer, count: number): void;
  get(path: Buffer): BigInt64Array | undefined;
  scan(options: {
    root: string;
    directories: Buffer;
    directoryCount: number;
    recursive: boolean;
    enterAdded: boolean;
    skip: Buffer;
    skipCount: number;
  }): Promise<RawChanges>;
  scanPaths(options: { root: string; paths: Buffer; pathCount: number }): Promise<RawChanges>;
}

/** A renewed scan is the same handle. */
export interface RawFileScan extends Omit<FileScan, 'renew'> {
  /** Row of the file as it is now; undefined when the scan cannot begin anew. */
  renew(tables: ScanTables): Promise<BigInt64Array | undefined>;
}

export interface RawAddon extends ChainVerbs, ContentVerbs {
  info(): { readonly simd: string; readonly threads: number; readonly versions: Record<string, string> };
  digest(algo: HashAlgo, data: Uint8Array): Buffer;
  digestAsync(algo: HashAlgo, data: Uint8Array): Promise<Buffer>;
  digestMany(algo: HashAlgo, data: Uint8Array, lengths: Uint32Array): Promise<Buffer>;
  digestFile(algo: HashAlgo, path: string): Promise<Buffer>;
  createDigest(algo: HashAlgo): StreamDigest;
  createSourceIndex(sourceBytes: number): SourceIndex;
  merkleRoot(algo: HashAlgo, leaves: Uint8Array): Buffer;
  xxh3(data: Uint8Array, seed: bigint): bigint;
  compress(data: Uint8Array, options: CompressOptions): Promise<Buffer>;
  decompress(
    data: Uint8Array,
    options: { readonly decodedBytes: number; readonly context?: Uint8Array; readonly dictionary?: Uint8Array },
  ): Promise<Buffer>;
  xorDiff(source: Uint8Array, target: Uint8Array, level: number): Promise<Buffer>;
  xorPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  /** `simd` lowers the vector level, for tests; the payload does not depend on it. */
  alignDiff(source: Uint8Array, target: Uint8Array, effort: Effort, simd?: string): Promise<Buffer>;
  alignPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  /** Four numbers per region: begin, bytes, width, source (-1: none). */
  tensorDiff(
    source: Uint8Array,
    target: Uint8Array,
    effort: Effort,
    regions: Float64Array,
    simd?: string,
  ): Promise<Buffer>;
  tensorPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number, simd?: string): Promise<Buffer>;
  /** `simd` lowers the vector level, for tests; the payload does not depend on it. */
  sparseDiff(
    source: Uint8Array,
    target: Uint8Array,
    level: number,
    groups?: Uint8Array,
    kind?: GroupDigestKind,
    simd?: string,
  ): Promise<SparseDelta>;
  /** With `into` no `data` comes back. */
  sparsePatch(
    source: Uint8Array,
    payload: Uint8Array,
    targetBytes: number,
    groups?: Uint8Array,
    into?: Uint8Array,
    kind?: GroupDigestKind,
    simd?: string,
  ): Promise<GroupDigest & { readonly data: Buffer }>;
  sparseDiffSync(
    source: Uint8Array,
    target: Uint8Array,
    level: number,
    groups: Uint8Array,
    kind: GroupDigestKind,
    changedMax: number,
  ): Buffer | undefined;
  sparsePatchSync(
    source: Uint8Array,
    payload: Uint8Array,
    targetBytes: number,
    groups: Uint8Array,
    into: Uint8Array,
    kind: GroupDigestKind,
    changedMax: number,
  ): Buffer | undefined;
  groupDigest(data: Uint8Array, copy?: boolean, kind?: GroupDigestKind): Promise<CopiedDigest>;
  copyBytes(data: Uint8Array): Promise<Buffer>;
  createRoom(bytes: number): Buffer;
  copyRanges(into: Uint8Array, from: Uint8Array, ranges: Float64Array): Promise<void>;
  equalBytes(one: Uint8Array, other: Uint8Array): Promise<boolean>;
  xxh3Async(data: Uint8Array, seed?: bigint): Promise<bigint>;
  holdSpareMemory(bytesMax: number): void;
  releaseSpareMemory(): void;
  pageHashes(data: Uint8Array, seed: Uint8Array): Promise<Buffer>;
  trainDictionary(samples: Uint8Array, lengths: Uint32Array, bytesMax: number): Promise<Buffer>;
  bsdiffDiff(source: Uint8Array, target: Uint8Array, windowBytes?: number): Promise<Buffer>;
  bsdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  vcdiffDiff(source: Uint8Array, target: Uint8Array, checksum: boolean): Promise<Buffer>;
  vcdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  encodeBlobs(batch: EncodeBatch): Promise<EncodedBatch>;
  decodeBlobs(batch: DecodeBatch): Promise<DecodedBatch>;
  decodeSlices(batch: SliceBatch): Promise<DecodedBatch>;
  createStatIndex(): RawStatIndex;
  readFiles(options: {
    root: string;
    paths: Buffer;
    pathCount: number;
    fileBytesMax: number;
    totalBytesMax: number;
    algo: HashAlgo;
  }): Promise<FileBatch>;
  openFileScan(options: {
    root: string;
    path: Buffer;
    algo: HashAlgo;
    seed: Uint8Array;
    pages: Uint8Array;
    groups: Uint8Array;
    sourceBytes: number;
  }): Promise<RawFileScan>;
  placeFiles(batch: {
    root: string;
    paths: Buffer;
    pathCount: number;
    rows: BigInt64Array;
    lengths: Uint32Array;
    data: Uint8Array;
    xattrLengths: Uint32Array;
    xattrs: Uint8Array;
    owner: boolean;
  }): Promise<Int32Array>;
  placeOpen(root: string, path: Buffer): Promise<{ readonly fd: number; readonly temporary: Buffer }>;
  placeCommit(options: {
    root: string;
    fd: number;
    temporary: Buffer;
    path: Buffer;
    row: BigInt64Array;
    xattrs: Uint8Array;
    owner: boolean;
  }): Promise<void>;
  placeLink(root: string, existing: Buffer, path: Buffer): Promise<void>;
  preallocate(fd: number, offset: number, bytes: number): void;
  syncFileSystem(directory: string): Promise<boolean>;
  readRuns(fd: number, runs: Float64Array, into: Uint8Array, direct: boolean): Promise<Float64Array>;
  openGroup(fd: number, group: GroupPlace, algo: HashAlgo, wanted: GroupStretch): Promise<OpenedGroup | null>;
  readSlices(fds: Int32Array, slices: FileSlices, range: SliceRange, into: Uint8Array): Promise<Uint32Array>;
  prefetchSlices(fds: Int32Array, slices: FileSlices, range: SliceRange): Promise<void>;
  prefetchRuns(fd: number, runs: Float64Array): Promise<void>;
  openFileWriter(fd: number, algo: HashAlgo): FileWriter;
  alignedBuffer(bytes: number): Buffer;
  groupValues(data: Uint8Array, firstGroup: number): Promise<Buffer>;
  groupValuesSync(data: Uint8Array, firstGroup: number): Buffer;
  rootOfGroups(groups: Uint8Array, tail: Uint8Array): Buffer;
  xxh3Groups(data: Uint8Array, seed: bigint): Buffer;
  xxh3Wide(data: Uint8Array, seed: bigint): Buffer;
  socketFigures(fd: number): Float64Array | undefined;
  /** An empty name and 0 leave the setting as it is. */
  tuneSocket(
    fd: number,
    congestion: string,
    unsentBytes: number,
    userTimeoutMs: number,
    sendBufferBytes: number,
    receiveBufferBytes: number,
  ): boolean;
}

const NAMES: readonly (keyof RawAddon)[] = [
  'info',
  'digest',
  'digestAsync',
  'digestMany',
  'digestFile',
  'createDigest',
  'createSourceIndex',
  'merkleRoot',
  'xxh3',
  'compress',
  'decompress',
  'xorDiff',
  'xorPatch',
  'alignDiff',
  'alignPatch',
  'tensorDiff',
  'tensorPatch',
  'sparseDiff',
  'sparsePatch',
  'sparseDiffSync',
  'sparsePatchSync',
  'groupDigest',
  'copyBytes',
  'createRoom',
  'copyRanges',
  'equalBytes',
  'xxh3Async',
  'holdSpareMemory',
  'releaseSpareMemory',
  'pageHashes',
  'trainDictionary',
  'bsdiffDiff',
  'bsdiffPatch',
  'vcdiffDiff',
  'vcdiffPatch',
  'cut',
  'sketchMany',
  'encodeBlobs',
  'decodeBlobs',
  'decodeSlices',
  'createStatIndex',
  'readFiles',
  'openFileScan',
  'placeFiles',
  'placeOpen',
  'placeCommit',
  'placeLink',
  'preallocate',
  'syncFileSystem',
  'readRuns',
  'readChain',
  'followChains',
  'decodeChains',
  'openGroup',
  'readSlices',
  'prefetchSlices',
  'prefetchRuns',
  'openFileWriter',
  'alignedBuffer',
  'groupValues',
  'groupValuesSync',
  'rootOfGroups',
  'xxh3Groups',
  'xxh3Wide',
  'socketFigures',
  'tuneSocket',
];

/** Fails with the missing names unless all functions are there: a file from another version may load. */
export function checkAddon(addon: unknown): RawAddon {
  const exported = (typeof addon === 'object' && addon !== null ? addon : {}) as Record<string, unknown>;
  const missing = NAMES.filter((name) => typeof exported[name] !== 'function');
  if (missing.length > 0) throw new Error(`the addon lacks ${missing.join(', ')}: it belongs to another version`);
  return addon as RawAddon;
}
