/**
 * Keys of the metadata. One letter, then bytes whose order is the order we list in:
 *
 *   b digest[32]                       blob index
 *   h parent 0x00 name                 head: newest version of a path
 *   v parent 0x00 name 0x00 u64 BE     where a version's record is
 *   c u64 BE                           checkpoint
 *   d directory                        Merkle digest of a directory
 *   l parent 0x00 name                  head that cannot be read back in full: a capture takes the path anew
 *   m digest[32]                       blob that is in no pack any more
 *   s name                             single facts
 */
import { type BytePath, pathJoin, pathName, pathParent } from '../core/core.js';

export const KEY_LETTER = {
  blob: 0x62,
  head: 0x68,
  version: 0x76,
  checkpoint: 0x63,
  directory: 0x64,
  lostHead: 0x6c,
  lostBlob: 0x6d,
  single: 0x73,
};

export const NEWEST_KEY = Buffer.from('snewest', 'latin1');
export const PRUNE_KEY = Buffer.from('sprune', 'latin1');
export const UNSEALED_KEY = Buffer.from('sunsealed', 'latin1');
/** Number of a pack that is being replaced by a dense one: what names places in it may be older than its file. */
export const CONDENSING_KEY = Buffer.from('scondensing', 'latin1');
/** How many packs have been replaced by dense ones: places learned before that do not count any more. */
export const CONDENSED_KEY = Buffer.from('scondensed', 'latin1');
export const GAPS_KEY = Buffer.from('sgaps', 'latin1');
/** See `Mended`. */
export const MENDED_KEY = Buffer.from('smended', 'latin1');

function sequenceBytes(sequence: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(sequence));
  return bytes;
}

export function blobKey(digest: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(33);
  key[0] = KEY_LETTER.blob;
  key.set(digest, 1);
  return key;
}

/** Key of a blob that is lost. */
export function lostBlobKey(digest: Uint8Array): Buffer {
  const key = blobKey(digest);
  key[0] = KEY_LETTER.lostBlob;
  return key;
}

export function headKey(path: BytePath): Buffer {
  return Buffer.from(`h${pathParent(path)}\0${pathName(path)}`, 'latin1');
}

/** Key of a path whose head is lost. */
export function lostHeadKey(path: BytePath): Buffer {
  const key = headKey(path);
  key[0] = KEY_LETTER.lostHead;
  return key;
}

export function headPath(key: Buffer): BytePath {
  const split = key.indexOf(0, 1);
  return pathJoin(key.toString('latin1', 1, split), key.toString('latin1', split + 1));
}

export function versionKey(path: BytePath, sequence: number): Buffer {
  return Buffer.concat([Buffer.from(`v${pathParent(path)}\0${pathName(path)}\0`, 'latin1'), sequenceBytes(sequence)]);
}

/** Sequence of a checkpoint key. */
export function checkpointSequence(key: Buffer): number {
  return Number(key.readBigUInt64BE(1));
}

/** Path and sequence of a version key. */
export function versionKeyFacts(key: Buffer): { readonly path: BytePath; readonly sequence: number } {
  const split = key.indexOf(0, 1);
  return {
    path: pathJoin(key.toString('latin1', 1, split), key.toString('latin1', split + 1, key.length - 9)),
    sequence: Number(key.readBigUInt64BE(key.length - 8)),
  };
}

export function checkpointKey(sequence: number): Buffer {
  return Buffer.concat([Buffer.from('c', 'latin1'), sequenceBytes(sequence)]);
}

export function directoryKey(directory: BytePath): Buffer {
  return Buffer.from(`d${directory}`, 'latin1');
}

export interface KeyRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

/** Keys begin with a letter. */
export const EVERYTHING: KeyRange = { gte: Buffer.of(0), lt: Buffer.of(0xff) };

/** Every key that begins with these bytes (the last byte must be below 255). */
export function prefixRange(prefix: Buffer): KeyRange {
  const lt = Buffer.from(prefix);
  lt[lt.length - 1] = (lt[lt.length - 1] as number) + 1;
  return { gte: prefix, lt };
}

/** Heads (or versions) of the direct children of a directory. */
export function childRange(letter: number, directory: BytePath): KeyRange {
  return prefixRange(Buffer.concat([Buffer.from([letter]), Buffer.from(`${directory}\0`, 'latin1')]));
}

/** Heads (or versions) of what lies deeper than the direct children of a directory. */
export function deepRange(letter: number, directory: BytePath): KeyRange {
  return prefixRange(Buffer.concat([Buffer.from([letter]), Buffer.from(`${directory}/`, 'latin1')]));
}

/** Versions of exactly this path. */
export function ownVersionRange(path: BytePath): KeyRange {
  return prefixRange(Buffer.from(`v${pathParent(path)}\0${pathName(path)}\0`, 'latin1'));
}

/** The key ranges of versions at and below a path (all paths for the empty one). */
export function versionRangesUnder(path: BytePath): KeyRange[] {
  if (path === '') return [prefixRange(Buffer.from([KEY_LETTER.version]))];
  return [ownVersionRange(path), childRange(KEY_LETTER.version, path), deepRange(KEY_LETTER.version, path)];
}
