/** Puts the argument checks in front of an implementation, so that neither has to repeat them. */
import { constants } from 'node:buffer';
import {
  checkAlgo,
  checkBytePath,
  checkBytes,
  checkDecodeBatch,
  checkEffort,
  checkEncodeBatch,
  checkEntryPath,
  checkFilePath,
  checkInteger,
  checkLevel,
  checkPieces,
  checkPlaceBatch,
  checkRows,
  checkSeed,
  checkSliceBatch,
} from './check-arguments.js';
import { guardContent } from './content-verbs.js';
import { type Engine, LEVEL_DEFAULT, type StatIndex } from './engine.js';
import { checkTables, guardScan } from './file-scan.js';
import { guardWriter } from './file-writer.js';
import { guardDeltaFiles, guardDigest, guardSourceIndex } from './guarded-deltas.js';
import { guardStates } from './guarded-states.js';
import { guardRuns } from './run-verbs.js';
import { guardTransfers } from './transfer-verbs.js';

const BYTES_MAX = Math.min(constants.MAX_LENGTH, 2 ** 32 - 1);
const SEED_BYTES = 16;
const FILE_BYTES_MAX = 2 ** 44;

type Hashing = Pick<
  Engine,
  'digest' | 'digestAsync' | 'digestMany' | 'digestFile' | 'createDigest' | 'createSourceIndex' | 'merkleRoot' | 'xxh3'
>;
type Coding = Pick<
  Engine,
  | 'compress'
  | 'decompress'
  | 'xorDiff'
  | 'xorPatch'
  | 'alignDiff'
  | 'alignPatch'
  | 'encodeBlobs'
  | 'decodeBlobs'
  | 'decodeSlices'
>;
type Files = Pick<
  Engine,
  | 'createStatIndex'
  | 'readFiles'
  | 'openFileScan'
  | 'placeFiles'
  | 'placeOpen'
  | 'placeCommit'
  | 'placeLink'
  | 'preallocate'
  | 'syncFileSystem'
>;

function guardHashing(inner: Engine): Hashing {
  return {
    digest(algo, data) {
      checkAlgo(algo);
      checkBytes(data, 'data');
      return inner.digest(algo, data);
    },
    async digestAsync(algo, data) {
      checkAlgo(algo);
      checkBytes(data, 'data');
      return inner.digestAsync(algo, data);
    },
    async digestMany(algo, data, lengths) {
      checkAlgo(algo);
      checkPieces(data, lengths, 'data');
      return inner.digestMany(algo, data, lengths);
    },
    async digestFile(algo, path, signal) {
      checkAlgo(algo);
      checkFilePath(path, 'path');
      return inner.digestFile(algo, path, signal);
    },
    createDigest(algo) {
      checkAlgo(algo);
      return guardDigest(inner.createDigest(algo));
    },
    createSourceIndex(sourceBytes) {
      checkInteger(sourceBytes, 'sourceBytes', 0, FILE_BYTES_MAX);
      return guardSourceIndex(inner.createSourceIndex(sourceBytes));
    },
    merkleRoot(algo, leaves) {
      checkAlgo(algo);
      checkBytes(leaves, 'leaves');
      if (leaves.length % 32 !== 0) throw new RangeError(`leaves must be 32 bytes each, not ${leaves.length} in all`);
      return inner.merkleRoot(algo, leaves);
    },
    xxh3(data, seed = 0n) {
      checkBytes(data, 'data');
      checkSeed(seed);
      return inner.xxh3(data, seed);
    },
  };
}

function checkPrefixes(options: { readonly context?: Uint8Array; readonly dictionary?: Uint8Array }): void {
  if (options.context !== undefined) checkBytes(options.context, 'context');
  if (options.dictionary !== undefined) checkBytes(options.dictionary, 'dictionary');
  if (options.context !== undefined && options.dictionary !== undefined) {
    throw new TypeError('context and dictionary exclude each other');
  }
}

function guardCoding(inner: Engine): Coding {
  return {
    async compress(data, options = {}) {
      checkBytes(data, 'data');
      const level = options.level ?? LEVEL_DEFAULT;
      checkLevel(level);
      checkPrefixes(options);
      return inner.compress(data, { ...options, level });
    },
    async decompress(data, options) {
      checkBytes(data, 'data');
      checkInteger(options.decodedBytes, 'decodedBytes', 0, BYTES_MAX);
      checkPrefixes(options);
      return inner.decompress(data, options);
    },
    async xorDiff(source, target, level) {
      checkBytes(source, 'source');
      checkBytes(target, 'target');
      checkLevel(level);
      return inner.xorDiff(source, target, level);
    },
    async xorPatch(source, payload, targetBytes) {
      checkBytes(source, 'source');
      checkBytes(payload, 'payload');
      checkInteger(targetBytes, 'targetBytes', 0, BYTES_MAX);
      return inner.xorPatch(source, payload, targetBytes);
    },
    async alignDiff(source, target, effort) {
      checkBytes(source, 'source');
      checkBytes(target, 'target');
      checkEffort(effort);
      return inner.alignDiff(source, target, effort);
    },
    async alignPatch(source, payload, targetBytes) {
      checkBytes(source, 'source');
      checkBytes(payload, 'payload');
      checkInteger(targetBytes, 'targetBytes', 0, BYTES_MAX);
      return inner.alignPatch(source, payload, targetBytes);
    },
    async encodeBlobs(batch) {
      checkEncodeBatch(batch);
      return inner.encodeBlobs(batch);
    },
    async decodeBlobs(batch) {
      checkDecodeBatch(batch, BYTES_MAX);
      return inner.decodeBlobs(batch);
    },
    async decodeSlices(batch) {
      checkSliceBatch(batch, BYTES_MAX);
      return inner.decodeSlices(batch);
    },
  };
}

function guardIndex(inner: StatIndex): StatIndex {
  return {
    get count() {
      return inner.count;
    },
    load(bytes) {
      checkBytes(bytes, 'bytes');
      return inner.load(bytes);
    },
    save: () => inner.save(),
    put(paths, rows, trusted) {
      paths.forEach(checkBytePath);
      checkRows(rows, paths.length);
      checkBytes(trusted, 'trusted');
      if (trusted.length !== paths.length) throw new RangeError(`trusted must have ${paths.length} elements`);
      inner.put(paths, rows, trusted);
    },
    remove(paths) {
      paths.forEach(checkBytePath);
      inner.remove(paths);
    },
    get(path) {
      checkBytePath(path);
      return inner.get(path);
    },
    async scan(options) {
      checkFilePath(options.root, 'root');
      options.directories.forEach(checkBytePath);
      options.skip.forEach(checkBytePath);
      return inner.scan(options);
    },
    async scanPaths(options) {
      checkFilePath(options.root, 'root');
      options.paths.forEach(checkBytePath);
      return inner.scanPaths(options);
    },
  };
}

function guardFiles(inner: Engine): Files {
  return {
    createStatIndex: () => guardIndex(inner.createStatIndex()),
    async readFiles(options) {
      checkFilePath(options.root, 'root');
      checkAlgo(options.algo);
      options.paths.forEach(checkBytePath);
      checkInteger(options.fileBytesMax, 'fileBytesMax', 0, BYTES_MAX);
      checkInteger(options.totalBytesMax, 'totalBytesMax', 0, BYTES_MAX);
      return inner.readFiles(options);
    },
    async openFileScan(options) {
      checkFilePath(options.root, 'root');
      checkEntryPath(options.path);
      checkAlgo(options.algo);
      checkBytes(options.seed, 'seed');
      if (options.seed.length !== SEED_BYTES) throw new RangeError(`seed must be ${SEED_BYTES} bytes`);
      checkTables(options);
      return guardScan(await inner.openFileScan(options));
    },
    async placeFiles(batch) {
      checkPlaceBatch(batch);
      return inner.placeFiles(batch);
    },
    async placeOpen(root, path) {
      checkFilePath(root, 'root');
      checkEntryPath(path);
      return inner.placeOpen(root, path);
    },
    async placeCommit(options) {
      checkFilePath(options.root, 'root');
      checkInteger(options.fd, 'fd', 0, 2 ** 31 - 1);
      checkEntryPath(options.temporary);
      checkEntryPath(options.path);
      checkRows(options.row, 1);
      checkBytes(options.xattrs, 'xattrs');
      return inner.placeCommit(options);
    },
    async placeLink(root, existing, path) {
      checkFilePath(root, 'root');
      checkEntryPath(existing);
      checkEntryPath(path);
      return inner.placeLink(root, existing, path);
    },
    preallocate(fd, offset, bytes) {
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      checkInteger(offset, 'offset', 0, Number.MAX_SAFE_INTEGER);
      checkInteger(bytes, 'bytes', 0, Number.MAX_SAFE_INTEGER);
      inner.preallocate(fd, offset, bytes);
    },
    async syncFileSystem(directory) {
      checkFilePath(directory, 'directory');
      return inner.syncFileSystem(directory);
    },
  };
}

/** The engine with every argument checked before it is used. */
export function guardEngine(inner: Engine): Engine {
  return {
    info: inner.info,
    ...guardHashing(inner),
    ...guardCoding(inner),
    ...guardContent(inner),
    ...guardDeltaFiles(inner),
    ...guardStates(inner),
    ...guardFiles(inner),
    ...guardRuns(inner),
    ...guardTransfers(inner),
    ...guardWriter(inner),
  };
}
