/** Many pieces of open files in one crossing. */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { LIMITS } from '../core/core.js';
import { type ChainVerbs, guardChains, twinChains } from './chain-verbs.js';
import { checkAlgo, checkBytes, checkInteger } from './check-arguments.js';
import type { HashAlgo } from './engine.js';
import { negativeErrno } from './twin-beneath.js';

/** The file of a blob that is not read. */
export const NO_FILE = 0xffffffff;

/**
 * Blobs that stand in open files as they are, and a list of their slices, one behind the other: columns, because there
 * are tens of thousands of them.
 */
export interface FileSlices {
  /** Per blob the number of its file in the list of descriptors, or `NO_FILE`. Blob 0 is a run of zeros. */
  readonly files: Uint32Array;
  /** Per blob where it begins in its file, bytes. */
  readonly begins: Float64Array;
  /** Per blob how long it is, bytes. */
  readonly bytes: Uint32Array;
  /** Per slice the number of its blob. */
  readonly blobs: Uint32Array;
  /** Per slice its first byte inside the blob. */
  readonly offsets: Uint32Array;
  /** Per slice where it begins in the list, bytes; one more for where the last one ends. */
  readonly starts: Float64Array;
}

/** Bytes of a list of slices. */
export interface SliceRange {
  /** The slices that lie in it, wholly or in part: numbers, the last one included. */
  readonly first: number;
  readonly last: number;
  readonly offset: number;
  readonly length: number;
}

/** A group of a dense pack: where it stands, and what it stands for (docs/format.md, section 12). */
export interface GroupPlace {
  /** First byte of the group in its file. */
  readonly place: number;
  /** Bytes of the whole group in the file. */
  readonly groupBytes: number;
  /** First byte of the plain pack that it stands for. */
  readonly offset: number;
  /** How many bytes of the plain pack. */
  readonly bytes: number;
  /** The checksum of its head is over these bytes before it, too: at most 64. */
  readonly home: Uint8Array;
}

/** Bytes of the plain records of a group, from its first one on. */
export interface GroupStretch {
  readonly from: number;
  /** It may end behind them. */
  readonly length: number;
}

/** A group that was read and checked, and decompressed as far as it was asked for; its records are made as they are copied. */
export interface OpenedGroup {
  /**
   * Copies bytes of the plain records, from the one at `from` on, until `into` is full or they end. False when some of them have
   * to be fetched first: nothing was copied then.
   */
  copy(from: number, into: Uint8Array): boolean;
  /** Makes bytes ready to be copied; false when the group is damaged there. */
  fetch(from: number, length: number): Promise<boolean>;
}

export interface RunVerbs extends ChainVerbs {
  /**
   * Reads runs of a file (pairs of offset and length, bytes) to `into`, each behind the room of those before it. Gives,
   * per run, the bytes read (fewer than asked where the file ends) or a negative errno. `into` and the descriptor must
   * be left alone until it resolves. `direct` (default false): long runs of whole pages of 4 KiB that are not in memory are
   * read past the page cache when `into` is an `alignedBuffer`, and leave nothing there; where the system does not do that,
   * as without it.
   */
  readRuns(fd: number, runs: Float64Array, into: Uint8Array, direct?: boolean): Promise<Float64Array>;
  /**
   * Reads a group of a dense pack, checks it, and decompresses what `wanted` needs: that can be copied at once. Null for a damaged
   * one, as far as that was looked at, and for one that stands for other bytes: it is to be read step by step then, which tells
   * what is wrong and which the TypeScript engine always asks for. Rejects with the system error when the disk does not give it.
   */
  openGroup(fd: number, group: GroupPlace, algo: HashAlgo, wanted: GroupStretch): Promise<OpenedGroup | null>;
  /**
   * Reads a range of a list of slices to the beginning of `into`, zeros included. Slices of blobs without a file, and of
   * files whose descriptor is -1, are left out. Gives the numbers of those that could not be read whole, ascending; of
   * these any part may have been read. `into` and the descriptors must be left alone until it resolves.
   */
  readSlices(fds: Int32Array, slices: FileSlices, range: SliceRange, into: Uint8Array): Promise<Uint32Array>;
  /** Tells the system that this range will be read soon; no-op where it has no such call. */
  prefetchSlices(fds: Int32Array, slices: FileSlices, range: SliceRange): Promise<void>;
  /** Tells the system that these runs will be read soon; no-op where it has no such call. */
  prefetchRuns(fd: number, runs: Float64Array): Promise<void>;
}

const readFd = promisify(read);
const RUNS_BYTES_MAX = 2 ** 31;
/** Bytes of the longest group in its file: head, frame and checksum. */
const GROUP_FILE_BYTES_MAX = LIMITS.denseGroupBytesMax + (2 << 16) + 48;
const HOME_BYTES_MAX = 64;
/** Everything ends below 2^53. */
const OFFSET_MAX = 2 ** 52;

async function readRun(fd: number, offset: number, into: Uint8Array): Promise<number> {
  let done = 0;
  try {
    while (done < into.length) {
      const { bytesRead } = await readFd(fd, into, done, into.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch (error) {
    return negativeErrno(error);
  }
  return done;
}

/** The verbs in plain TypeScript. */
export const twinRuns: RunVerbs = {
  ...twinChains,
  async readRuns(fd, runs, into) {
    const done = new Float64Array(runs.length / 2);
    let at = 0;
    for (let i = 0; i < done.length; i += 1) {
      const end = at + (runs[2 * i + 1] as number);
      done[i] = await readRun(fd, runs[2 * i] as number, into.subarray(at, end));
      at = end;
    }
    return done;
  },
  async openGroup() {
    return null;
  },
  async readSlices(fds, slices, range, into) {
    const failed: number[] = [];
    for (let index = range.first; index <= range.last; index += 1) {
      const { fd, from, place, length } = sliceAt(fds, slices, range, index);
      const room = into.subarray(place, place + length);
      if (slices.blobs[index] === 0) room.fill(0);
      else if (fd >= 0 && (await readRun(fd, from, room)) !== length) failed.push(index);
    }
    return Uint32Array.from(failed);
  },
  async prefetchSlices() {},
  async prefetchRuns() {},
};

/** One slice of a range: where it stands and where it goes. The addon checks the same. */
function sliceAt(
  fds: Int32Array,
  { files, begins, bytes, blobs, offsets, starts }: FileSlices,
  range: SliceRange,
  index: number,
): { readonly fd: number; readonly from: number; readonly place: number; readonly length: number } {
  const blob = blobs[index] as number;
  const start = starts[index] as number;
  const at = Math.max(start, range.offset);
  const length = Math.min(starts[index + 1] as number, range.offset + range.length) - at;
  const inside = (offsets[index] as number) + at - start;
  if (!(start >= 0 && length > 0 && length <= RUNS_BYTES_MAX))
    throw new RangeError('a slice is empty or not in the range');
  if (blob >= files.length) throw new RangeError('a slice is of no blob');
  const place = at - range.offset;
  const file = files[blob] as number;
  if (blob === 0 || file === NO_FILE) return { fd: -1, from: 0, place, length };
  if (file >= fds.length) throw new RangeError('a blob is in no file');
  const begin = begins[blob] as number;
  if (!Number.isInteger(begin) || begin < 0 || begin > OFFSET_MAX) throw new RangeError('a blob begins nowhere');
  if (inside + length > (bytes[blob] as number)) throw new RangeError('a slice leaves its blob');
  return { fd: fds[file] as number, from: begin + inside, place, length };
}

function checkSlices(fds: unknown, slices: FileSlices, range: SliceRange): void {
  const { files, begins, bytes, blobs, offsets, starts } = slices;
  if (!(fds instanceof Int32Array)) throw new TypeError('fds must be an Int32Array');
  if (![files, bytes, blobs, offsets].every((column) => column instanceof Uint32Array)) {
    throw new TypeError('files, bytes, blobs and offsets must be a Uint32Array each');
  }
  if (!(begins instanceof Float64Array && starts instanceof Float64Array)) {
    throw new TypeError('begins and starts must be a Float64Array each');
  }
  if (files.length === 0 || begins.length !== files.length || bytes.length !== files.length) {
    throw new RangeError('files, begins and bytes must have one value for each blob, the zeros included');
  }
  if (offsets.length !== blobs.length || starts.length !== blobs.length + 1) {
    throw new RangeError('offsets must have one value for each slice, starts one more');
  }
  checkInteger(range.offset, 'offset', 0, OFFSET_MAX);
  checkInteger(range.length, 'length', 0, RUNS_BYTES_MAX);
  checkInteger(range.first, 'first', 0, blobs.length);
  checkInteger(range.last, 'last', range.first - 1, blobs.length - 1);
}

function checkRuns(fd: number, runs: unknown): number {
  checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
  if (!(runs instanceof Float64Array)) throw new TypeError('runs must be a Float64Array');
  if (runs.length % 2 !== 0) throw new RangeError('runs must be pairs of offset and length');
  let total = 0;
  for (let i = 0; i < runs.length; i += 2) {
    checkInteger(runs[i], 'offset of a run', 0, Number.MAX_SAFE_INTEGER);
    checkInteger(runs[i + 1], 'length of a run', 0, RUNS_BYTES_MAX);
    total += runs[i + 1] as number;
  }
  return total;
}

/** The verbs with their arguments checked. */
export function guardRuns(inner: RunVerbs): RunVerbs {
  return {
    ...guardChains(inner),
    async readRuns(fd, runs, into, direct) {
      checkBytes(into, 'into');
      const total = checkRuns(fd, runs);
      if (total > into.length) throw new RangeError(`into must have ${total} bytes, it has ${into.length}`);
      return inner.readRuns(fd, runs, into, direct);
    },
    async openGroup(fd, group, algo, wanted) {
      checkAlgo(algo);
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      checkInteger(group.place, 'place', 0, OFFSET_MAX);
      checkInteger(group.groupBytes, 'groupBytes', 1, GROUP_FILE_BYTES_MAX);
      checkInteger(group.offset, 'offset', 0, OFFSET_MAX);
      checkInteger(group.bytes, 'bytes', 0, LIMITS.denseGroupBytesMax);
      checkBytes(group.home, 'home');
      if (group.home.length > HOME_BYTES_MAX) throw new RangeError(`home has ${group.home.length} bytes`);
      checkStretch(wanted);
      const opened = await inner.openGroup(fd, group, algo, wanted);
      return opened && guardGroup(opened);
    },
    async readSlices(fds, slices, range, into) {
      checkBytes(into, 'into');
      checkSlices(fds, slices, range);
      if (range.length > into.length)
        throw new RangeError(`into must have ${range.length} bytes, it has ${into.length}`);
      return inner.readSlices(fds, slices, range, into);
    },
    async prefetchSlices(fds, slices, range) {
      checkSlices(fds, slices, range);
      return inner.prefetchSlices(fds, slices, range);
    },
    async prefetchRuns(fd, runs) {
      checkRuns(fd, runs);
      return inner.prefetchRuns(fd, runs);
    },
  };
}

function checkStretch({ from, length }: GroupStretch): void {
  checkInteger(from, 'from', 0, OFFSET_MAX);
  checkInteger(length, 'length', 0, OFFSET_MAX);
}

function guardGroup(inner: OpenedGroup): OpenedGroup {
  return {
    copy(from, into) {
      checkInteger(from, 'from', 0, OFFSET_MAX);
      checkBytes(into, 'into');
      return inner.copy(from, into);
    },
    async fetch(from, length) {
      checkStretch({ from, length });
      return inner.fetch(from, length);
    },
  };
}
