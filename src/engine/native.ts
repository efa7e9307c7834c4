/** The native addon as an `Engine`: packs paths, turns raw errors into ours, keeps the caller's stack. */
import {
  type BytePath,
  DiffKeeperError,
  ERROR_CODES,
  type ErrorCode,
  packPaths,
  pathBytes,
  pathFromBytes,
  systemCode,
  throwIfAborted,
  unlessAborted,
  unpackPaths,
} from '../core/core.js';
import type { Engine, FileScan, SourceIndex, StatIndex, StreamDigest, TreeChanges } from './engine.js';
import type { FileWriter, WriterVerbs } from './file-writer.js';
import type { RawAddon, RawChanges, RawFileScan, RawStatIndex } from './raw-addon.js';
import type { RunVerbs } from './run-verbs.js';
import { packRegions } from './tensor-region.js';
import type { TransferVerbs } from './transfer-verbs.js';

const NO_OPTIONS = {};

function isOurCode(code: string): code is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(code);
}

/** Ours for DK_ codes; system errors and wrong arguments stay what they are. */
function translate(error: unknown): unknown {
  const code = systemCode(error);
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError || !isOurCode(code)) {
    return error;
  }
  return new DiffKeeperError(code, error.message, {}, error);
}

/**
 * Waits for a native job. Its error comes from another thread without a stack, so it gets the caller's: those who wait for
 * this one, as V8 still knows them when the job has failed. To note the stack before each job was a
 * sixteenth of what the main thread of a sidecar does.
 */
async function crossing<T>(job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (raw) {
    const error = translate(raw);
    if (error instanceof Error) {
      const frames = new Error().stack?.split('\n').slice(2).join('\n') ?? '';
      error.stack = `${error.name}: ${error.message}\n${frames}`;
    }
    throw error;
  }
}

/** Settles early when the signal fires. The job itself runs on and its result is dropped. */
async function abortable<T>(job: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal);
  if (signal === undefined) return crossing(job);
  return unlessAborted(crossing(job), signal);
}

function treeChanges(raw: RawChanges): TreeChanges {
  return { paths: unpackPaths(raw.paths, raw.count), kinds: raw.kinds, rows: raw.rows, scanned: raw.scanned };
}

function wrapIndex(raw: RawStatIndex): StatIndex {
  return {
    get count() {
      return raw.count;
    },
    load: (bytes) => raw.load(bytes),
    save: () => raw.save(),
    put: (paths, rows, trusted) => raw.put(packPaths(paths), paths.length, rows, trusted),
    remove: (paths) => raw.remove(packPaths(paths), paths.length),
    get: (path) => raw.get(pathBytes(path)),
    scan: async (options) =>
      treeChanges(
        await crossing(() =>
          raw.scan({
            root: options.root,
            directories: packPaths(options.directories),
            directoryCount: options.directories.length,
            recursive: options.recursive,
            enterAdded: options.enterAdded,
            skip: packPaths(options.skip),
            skipCount: options.skip.length,
          }),
        ),
      ),
    scanPaths: async ({ root, paths }) =>
      treeChanges(await crossing(() => raw.scanPaths({ root, paths: packPaths(paths), pathCount: paths.length }))),
  };
}

function wrapScan(raw: RawFileScan): FileScan {
  return {
    row: raw.row,
    map: () => crossing(() => raw.map()),
    hold: (into) => crossing(() => raw.hold(into)),
    clone: (directory) => crossing(() => raw.clone(directory)),
    renew: async (tables) => {
      const row = await crossing(() => raw.renew(tables));
      return row && wrapScan({ ...raw, row });
    },
    next: (dataBytesMax) => crossing(() => raw.next(dataBytesMax)),
    finish: () => crossing(() => raw.finish()),
    close: () => crossing(() => raw.close()),
  };
}

function wrapWriter(raw: FileWriter): FileWriter {
  return {
    write: (position, bytes, direct) => crossing(() => raw.write(position, bytes, direct)),
    finish: (size) => crossing(() => raw.finish(size)),
  };
}

function wrapDigest(raw: StreamDigest): StreamDigest {
  return { update: (data) => crossing(() => raw.update(data)), finish: () => raw.finish() };
}

function wrapSourceIndex(raw: SourceIndex): SourceIndex {
  return {
    add: (data, offset) => crossing(() => raw.add(data, offset)),
    find: (target, targetOffset, inPlace, budget) => crossing(() => raw.find(target, targetOffset, inPlace, budget)),
  };
}

type FileVerbs = Pick<
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
  | keyof RunVerbs
  | keyof WriterVerbs
>;

function wrapFiles(raw: RawAddon): FileVerbs {
  const packed = (paths: readonly BytePath[]) => ({ paths: packPaths(paths), pathCount: paths.length });
  return {
    createStatIndex: () => wrapIndex(raw.createStatIndex()),
    readFiles: (options) => crossing(() => raw.readFiles({ ...options, ...packed(options.paths) })),
    openFileScan: async (options) =>
      wrapScan(await crossing(() => raw.openFileScan({ ...options, path: pathBytes(options.path) }))),
    placeFiles: (batch) => crossing(() => raw.placeFiles({ ...batch, ...packed(batch.paths) })),
    async placeOpen(root, path) {
      const { fd, temporary } = await crossing(() => raw.placeOpen(root, pathBytes(path)));
      return { fd, temporary: pathFromBytes(temporary) };
    },
    placeCommit: (options) =>
      crossing(() =>
        raw.placeCommit({ ...options, temporary: pathBytes(options.temporary), path: pathBytes(options.path) }),
      ),
    placeLink: (root, existing, path) => crossing(() => raw.placeLink(root, pathBytes(existing), pathBytes(path))),
    preallocate: (fd, offset, bytes) => raw.preallocate(fd, offset, bytes),
    syncFileSystem: (directory) => crossing(() => raw.syncFileSystem(directory)),
    readRuns: (fd, runs, into, direct = false) => crossing(() => raw.readRuns(fd, runs, into, direct)),
    readChain: (fd, place, algo) => crossing(() => raw.readChain(fd, place, algo)),
    followChains: (places) => crossing(() => raw.followChains(places)),
    decodeChains: (batch) => crossing(() => raw.decodeChains(batch)),
    async openGroup(fd, group, algo, wanted) {
      const opened = await crossing(() => raw.openGroup(fd, group, algo, wanted));
      if (!opened) return null;
      return {
        copy: (from, into) => opened.copy(from, into),
        fetch: (from, length) => crossing(() => opened.fetch(from, length)),
      };
    },
    readSlices: (fds, slices, range, into) => crossing(() => raw.readSlices(fds, slices, range, into)),
    prefetchSlices: (fds, slices, range) => crossing(() => raw.prefetchSlices(fds, slices, range)),
    prefetchRuns: (fd, runs) => crossing(() => raw.prefetchRuns(fd, runs)),
    openFileWriter: (fd, algo) => wrapWriter(raw.openFileWriter(fd, algo)),
    alignedBuffer: (bytes) => raw.alignedBuffer(bytes),
  };
}

function wrapTransfers(raw: RawAddon): TransferVerbs {
  return {
    groupValues: (data, firstGroup) => crossing(() => raw.groupValues(data, firstGroup)),
    groupValuesSync: (data, firstGroup) => raw.groupValuesSync(data, firstGroup),
    rootOfGroups: (groups, tail) => raw.rootOfGroups(groups, tail),
    xxh3Groups: (data, seed) => raw.xxh3Groups(data, seed),
    xxh3Wide: (data, seed) => raw.xxh3Wide(data, seed),
    socketFigures: (fd) => raw.socketFigures(fd),
    tuneSocket: (fd, tuning) =>
      raw.tuneSocket(
        fd,
        tuning.congestion ?? '',
        tuning.unsentBytes ?? 0,
        tuning.userTimeoutMs ?? 0,
        tuning.sendBufferBytes ?? 0,
        tuning.receiveBufferBytes ?? 0,
      ),
  };
}

/** Makes the engine of a loaded addon. @param path file it was loaded from */
export function wrapAddon(raw: RawAddon, path: string): Engine {
  const { simd, threads, versions } = raw.info();
  return {
    info: { kind: 'native', simd, threads, versions, path },
    digest: (algo, data) => raw.digest(algo, data),
    digestAsync: (algo, data) => crossing(() => raw.digestAsync(algo, data)),
    digestMany: (algo, data, lengths) => crossing(() => raw.digestMany(algo, data, lengths)),
    digestFile: (algo, file, signal) => abortable(() => raw.digestFile(algo, file), signal),
    createDigest: (algo) => wrapDigest(raw.createDigest(algo)),
    createSourceIndex: (sourceBytes) => wrapSourceIndex(raw.createSourceIndex(sourceBytes)),
    merkleRoot: (algo, leaves) => raw.merkleRoot(algo, leaves),
    xxh3: (data, seed = 0n) => raw.xxh3(data, seed),
    compress: (data, options) => crossing(() => raw.compress(data, options ?? NO_OPTIONS)),
    decompress: (data, options) => crossing(() => raw.decompress(data, options)),
    xorDiff: (source, target, level) => crossing(() => raw.xorDiff(source, target, level)),
    xorPatch: (source, payload, targetBytes) => crossing(() => raw.xorPatch(source, payload, targetBytes)),
    alignDiff: (source, target, effort) => crossing(() => raw.alignDiff(source, target, effort)),
    alignPatch: (source, payload, targetBytes) => crossing(() => raw.alignPatch(source, payload, targetBytes)),
    tensorDiff: (source, target, effort, regions) =>
      crossing(() => raw.tensorDiff(source, target, effort, packRegions(regions))),
    tensorPatch: (source, payload, targetBytes) => crossing(() => raw.tensorPatch(source, payload, targetBytes)),
    sparseDiff: (source, target, level, groups, kind) =>
      crossing(() => raw.sparseDiff(source, target, level, groups, kind)),
    async sparsePatch(source, payload, bytes, groups, into, kind) {
      const made = await crossing(() => raw.sparsePatch(source, payload, bytes, groups, into, kind));
      return into === undefined ? made : { ...made, data: Buffer.from(into.buffer, into.byteOffset, bytes) };
    },
    sparseDiffSync: (source, target, { level, groups, kind, changedMax }) =>
      raw.sparseDiffSync(source, target, level, groups, kind, changedMax),
    sparsePatchSync: (source, payload, into, { groups, kind, changedMax }) =>
      raw.sparsePatchSync(source, payload, into.length, groups, into, kind, changedMax),
    groupDigest: (data, copy, kind) => crossing(() => raw.groupDigest(data, copy, kind)),
    copyBytes: (data) => crossing(() => raw.copyBytes(data)),
    createRoom: (bytes) => raw.createRoom(bytes),
    copyRanges: (into, from, ranges) => crossing(() => raw.copyRanges(into, from, ranges)),
    equalBytes: (one, other) => crossing(() => raw.equalBytes(one, other)),
    xxh3Async: (data, seed) => crossing(() => raw.xxh3Async(data, seed)),
    holdSpareMemory: (bytesMax) => raw.holdSpareMemory(bytesMax),
    releaseSpareMemory: () => raw.releaseSpareMemory(),
    pageHashes: (data, seed) => crossing(() => raw.pageHashes(data, seed)),
    trainDictionary: (samples, lengths, bytes) => crossing(() => raw.trainDictionary(samples, lengths, bytes)),
    bsdiffDiff: (source, target) => crossing(() => raw.bsdiffDiff(source, target)),
    bsdiffPatch: (source, delta, bytesMax) => crossing(() => raw.bsdiffPatch(source, delta, bytesMax)),
    vcdiffDiff: (source, target, checksum) => crossing(() => raw.vcdiffDiff(source, target, checksum)),
    vcdiffPatch: (source, delta, bytesMax) => crossing(() => raw.vcdiffPatch(source, delta, bytesMax)),
    sketchMany: (data, pieces) => crossing(() => raw.sketchMany(data, pieces)),
    cut: (data, options) => crossing(() => raw.cut(data, options)),
    encodeBlobs: (batch) => crossing(() => raw.encodeBlobs(batch)),
    decodeBlobs: (batch) => crossing(() => raw.decodeBlobs(batch)),
    decodeSlices: (batch) => crossing(() => raw.decodeSlices(batch)),
    ...wrapFiles(raw),
    ...wrapTransfers(raw),
  };
}
