/** What is known of the blobs of an extent table: which of them are read without being checked, and where they stand. */
import { type FileSlices, NO_FILE } from '../engine/engine.js';
import { RECORD_HEAD_BYTES, RECORD_MIN_BYTES } from '../format/format.js';
import type { ExtentTable } from './extent-table.js';
import type { BlobInfo } from './types.js';

/** Blobs of which a larger share is wanted are checked as ever, unless the file is scattered: those of one that was stored but once. */
const SHARE_MAX = 0.98;
/** Packs of one call, which are open at the same time. */
const PACKS_AT_ONCE = 16;

export class LooseBlobs {
  /** The slices of the table; of blobs that are not read loosely, or not known yet, no file. */
  readonly slices: FileSlices;
  /** Per blob 1 once it was asked for. */
  readonly #known: Uint8Array;
  /** How many bytes of each blob the table names. */
  readonly #wanted: Float64Array;
  /** Blobs that would be read loosely if the file were scattered. */
  readonly #whole = new Map<number, BlobInfo>();
  #scattered = false;
  /** The packs that the numbers of files stand for. */
  readonly #packs: number[] = [];
  /** What was asked for is there once it resolves. */
  ready: Promise<unknown> = Promise.resolve();

  constructor({ columns: { digests, blobs, offsets, lengths }, starts }: ExtentTable) {
    const count = digests.length + 1;
    this.slices = {
      files: new Uint32Array(count).fill(NO_FILE),
      begins: new Float64Array(count),
      bytes: new Uint32Array(count),
      blobs,
      offsets,
      starts,
    };
    this.#known = new Uint8Array(count);
    this.#wanted = addUp(blobs, lengths, new Float64Array(count));
    // Zeros are no blob.
    this.#known[0] = 1;
  }

  /** Those of the blobs that nobody has asked for: from now on somebody has, and adds to `ready`. */
  unknown(blobs: Uint32Array): number[] {
    return takeUnknown(blobs, this.#known);
  }

  isLoose(blob: number): boolean {
    return this.slices.files[blob] !== NO_FILE;
  }

  /** @param info undefined when the index does not have it: who reads it with care will say so */
  note(blob: number, info: BlobInfo | undefined): void {
    if (!info || !isRaw(info)) return;
    const mostly = (this.#wanted[blob] as number) > info.decodedBytes * SHARE_MAX;
    if (mostly && !this.#scattered) this.#whole.set(blob, info);
    else this.#take(blob, info);
  }

  /**
   * The file is scattered, so that those are read loosely as well that are wanted whole, or nearly: with care, each step
   * would read and check all of the newest ones for the few pages that are its own.
   */
  takeWhole(): void {
    this.#scattered = true;
    for (const [blob, info] of this.#whole) this.#take(blob, info);
    this.#whole.clear();
  }

  #take(blob: number, info: BlobInfo): void {
    const known = this.#packs.lastIndexOf(info.pack);
    this.slices.files[blob] = known < 0 ? this.#packs.push(info.pack) - 1 : known;
    this.slices.begins[blob] = info.offset + RECORD_HEAD_BYTES;
    this.slices.bytes[blob] = info.decodedBytes;
  }

  /** Numbers of extents that are not read loosely; zeros are not among them. */
  left(first: number, last: number): number[] {
    return withoutFile(this.slices, first, last);
  }

  /**
   * Lists of the packs that these extents need, by their numbers as files; of each list only a few are not null. None for
   * extents that are not read loosely, at least one where there are zeros among them.
   */
  calls(first: number, last: number): (number | null)[][] {
    const needed = filesOf(this.slices, { first, last }, new Uint8Array(this.#packs.length));
    const calls: (number | null)[][] = [];
    let open = PACKS_AT_ONCE;
    for (const [file, pack] of this.#packs.entries()) {
      if (needed[file] === 0) continue;
      if (open === PACKS_AT_ONCE) {
        calls.push(this.#packs.map(() => null));
        open = 0;
      }
      (calls[calls.length - 1] as (number | null)[])[file] = pack;
      open += 1;
    }
    if (calls.length === 0 && hasZeros(this.slices, first, last)) calls.push(this.#packs.map(() => null));
    return calls;
  }
}

// Short functions: a process that has just started is soon done with compiling them.

function addUp(blobs: Uint32Array, lengths: Float64Array, sums: Float64Array): Float64Array {
  for (let index = 0; index < blobs.length; index += 1) {
    const blob = blobs[index] as number;
    sums[blob] = (sums[blob] as number) + (lengths[index] as number);
  }
  return sums;
}

function takeUnknown(blobs: Uint32Array, known: Uint8Array): number[] {
  const unknown: number[] = [];
  for (let index = 0; index < blobs.length; index += 1) {
    const blob = blobs[index] as number;
    if (known[blob] === 1) continue;
    known[blob] = 1;
    unknown.push(blob);
  }
  return unknown;
}

function filesOf(
  { blobs, files }: FileSlices,
  { first, last }: { readonly first: number; readonly last: number },
  needed: Uint8Array,
): Uint8Array {
  for (let index = first; index <= last; index += 1) {
    const blob = blobs[index] as number;
    const file = files[blob] as number;
    if (blob !== 0 && file !== NO_FILE) needed[file] = 1;
  }
  return needed;
}

function hasZeros({ blobs }: FileSlices, first: number, last: number): boolean {
  return blobs.subarray(first, last + 1).includes(0);
}

function withoutFile({ blobs, files }: FileSlices, first: number, last: number): number[] {
  const left: number[] = [];
  for (let index = first; index <= last; index += 1) {
    const blob = blobs[index] as number;
    if (blob !== 0 && files[blob] === NO_FILE) left.push(index);
  }
  return left;
}

/** Its record is a head, the bytes, and a check: only where nothing was gained by coding is a record so long. */
function isRaw({ depth, decodedBytes, recordBytes }: BlobInfo): boolean {
  return depth === 0 && recordBytes === decodedBytes + RECORD_MIN_BYTES;
}
