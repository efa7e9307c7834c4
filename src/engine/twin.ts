/**
 * The engine in TypeScript: for machines without the addon, and as the second
 * opinion that the native engine is tested against. Slower by an order of
 * magnitude. Known limits: no extended attributes, mtime to the microsecond,
 * parents are checked but not held while placing, at most 1 GiB per zstd call.
 */
import { copyRange, type Engine, type EngineInfo, FROM_ZEROS, LEVEL_DEFAULT } from './engine.js';
import { twinWriter } from './file-writer.js';
import { twinRuns } from './run-verbs.js';
import { twinTransfers } from './transfer-verbs.js';
import { alignPatchNow } from './twin-align-decode.js';
import { alignDiffNow } from './twin-align-encode.js';
import { decodeBlobs, encodeBlobs } from './twin-blobs.js';
import { bsdiffDiffNow } from './twin-bsdiff-diff.js';
import { bsdiffPatchNow } from './twin-bsdiff-patch.js';
import { trainDictionaryNow } from './twin-dictionary.js';
import { openFileScan } from './twin-file-scan.js';
import { digestBytes, digestLong, digestPieces, merkleRoot, warmHashes, yieldTurn } from './twin-hash.js';
import { hashPages } from './twin-pages.js';
import { placeCommit, placeFiles, placeLink, placeOpen } from './twin-place.js';
import { readFiles } from './twin-read.js';
import { twinContent } from './twin-sketch.js';
import { decodeSlices } from './twin-slices.js';
import { twinLongFiles } from './twin-source-index.js';
import { groupDigestOf, sparseDiffNow, sparsePatchNow } from './twin-sparse.js';
import { TwinStatIndex } from './twin-stat-index.js';
import { tensorPatchNow } from './twin-tensor-decode.js';
import { tensorDiffNow } from './twin-tensor-encode.js';
import { vcdiffDiffNow } from './twin-vcdiff-diff.js';
import { vcdiffPatchNow } from './twin-vcdiff-patch.js';
import { xorDiffNow, xorPatchNow } from './twin-xor.js';
import { xxh3 } from './twin-xxh3.js';
import { compressNow, decompressNow, warmZstd } from './twin-zstd.js';

/** Copied before others get their turn. */
const TURN_BYTES = 1 << 20;
/** Exact versions that package.json pins; a test holds the two together. */
const TWIN_VERSIONS = { 'zstd-wasm': '0.0.27', 'hash-wasm': '4.13.0' };

async function copyRanges(into: Uint8Array, from: Uint8Array, ranges: Float64Array): Promise<void> {
  let since = 0;
  for (let i = 0; i < ranges.length; i += 3) {
    const to = ranges[i] as number;
    const start = ranges[i + 1] as number;
    const length = ranges[i + 2] as number;
    for (let at = 0; at < length; at += TURN_BYTES) {
      const part = Math.min(TURN_BYTES, length - at);
      copyRange(into, from, { to: to + at, start: start === FROM_ZEROS ? start : start + at, length: part });
      since += part;
      if (since < TURN_BYTES) continue;
      since = 0;
      await yieldTurn();
    }
  }
}

async function copyBytes(data: Uint8Array): Promise<Buffer> {
  const copy = Buffer.allocUnsafeSlow(data.length);
  await copyRanges(copy, data, Float64Array.of(0, 0, data.length));
  return copy;
}

async function equalBytes(one: Uint8Array, other: Uint8Array): Promise<boolean> {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += TURN_BYTES) {
    if (at > 0) await yieldTurn();
    if (Buffer.compare(one.subarray(at, at + TURN_BYTES), other.subarray(at, at + TURN_BYTES)) !== 0) return false;
  }
  return true;
}

async function copiedInto(into: Uint8Array, data: Uint8Array): Promise<Buffer> {
  await copyRanges(into, data, Float64Array.of(0, 0, data.length));
  return Buffer.from(into.buffer, into.byteOffset, data.length);
}

/** The collector's memory is all there is. */
const twinMemory: Pick<
  Engine,
  | 'groupDigest'
  | 'copyBytes'
  | 'createRoom'
  | 'copyRanges'
  | 'equalBytes'
  | 'xxh3Async'
  | 'holdSpareMemory'
  | 'releaseSpareMemory'
> = {
  async groupDigest(data, copy, kind) {
    const digested = await groupDigestOf(data, kind);
    return copy ? { ...digested, copy: await copyBytes(data) } : digested;
  },
  copyBytes,
  createRoom: (bytes) => Buffer.allocUnsafeSlow(bytes),
  copyRanges,
  equalBytes,
  xxh3Async: async (data, seed) => xxh3(data, seed),
  holdSpareMemory: () => undefined,
  releaseSpareMemory: () => undefined,
};

/** Nothing of it is quick here: zstd and hashes are WebAssembly that may have to be loaded first. */
const twinSync: Pick<Engine, 'sparseDiffSync' | 'sparsePatchSync'> = {
  sparseDiffSync: () => undefined,
  sparsePatchSync: () => undefined,
};

/** Those that need nothing prepared. */
const SIMPLE_VERBS = { ...twinRuns, ...twinContent, ...twinTransfers, ...twinWriter, ...twinSync };

/** Makes the engine. @param fallbackReason why the addon is not used, shown by `engineInfo` */
export function createTwin(fallbackReason?: string): Engine {
  // Digests work without it, only slower; whoever needs it awaits it and sees the failure.
  warmHashes().catch(() => undefined);
  const info: EngineInfo = {
    kind: 'typescript',
    simd: 'none',
    threads: 0,
    versions: TWIN_VERSIONS,
    ...(fallbackReason === undefined ? {} : { fallbackReason }),
  };
  return {
    info,
    digest: digestBytes,
    digestAsync: digestLong,
    digestMany: digestPieces,
    ...twinLongFiles,
    merkleRoot,
    xxh3,
    async compress(data, options = {}) {
      await warmZstd();
      return compressNow(data, { ...options, level: options.level ?? LEVEL_DEFAULT });
    },
    async decompress(data, options) {
      await warmZstd();
      return decompressNow(data, options);
    },
    async xorDiff(source, target, level) {
      await warmZstd();
      return xorDiffNow(source, target, level);
    },
    async xorPatch(source, payload, targetBytes) {
      await warmZstd();
      return xorPatchNow(source, payload, targetBytes);
    },
    async alignDiff(source, target, effort) {
      await warmZstd();
      return alignDiffNow(source, target, effort);
    },
    async alignPatch(source, payload, targetBytes) {
      await warmZstd();
      return alignPatchNow(source, payload, targetBytes);
    },
    async tensorDiff(source, target, effort, regions) {
      await warmZstd();
      return tensorDiffNow(source, target, effort, regions);
    },
    async tensorPatch(source, payload, targetBytes) {
      await warmZstd();
      return tensorPatchNow(source, payload, targetBytes);
    },
    async sparseDiff(source, target, level, groups, kind) {
      await warmZstd();
      return sparseDiffNow(source, target, level, groups, kind);
    },
    async sparsePatch(source, payload, targetBytes, groups, into, kind) {
      await warmZstd();
      const made = await sparsePatchNow(source, payload, targetBytes, groups, kind);
      return into === undefined ? made : { ...made, data: await copiedInto(into, made.data) };
    },
    ...twinMemory,
    pageHashes: hashPages,
    trainDictionary: async (samples, lengths, bytesMax) => trainDictionaryNow(samples, lengths, bytesMax),
    bsdiffDiff: async (source, target) => bsdiffDiffNow(source, target),
    bsdiffPatch: async (source, delta, targetBytesMax) => bsdiffPatchNow(source, delta, targetBytesMax),
    vcdiffDiff: async (source, target, checksum) => vcdiffDiffNow(source, target, checksum),
    vcdiffPatch: async (source, delta, targetBytesMax) => vcdiffPatchNow(source, delta, targetBytesMax),
    encodeBlobs,
    decodeBlobs,
    decodeSlices,
    createStatIndex: () => new TwinStatIndex(),
    readFiles,
    openFileScan,
    placeFiles,
    placeOpen,
    placeCommit,
    placeLink,
    // Node has no call that reserves blocks.
    preallocate() {},
    // Nor one that syncs more than one file.
    syncFileSystem: async () => false,
    ...SIMPLE_VERBS,
  };
}
