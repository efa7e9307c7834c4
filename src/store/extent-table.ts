/**
 * The extents of a stretch of a file, found by position. Columns of numbers: a scattered file has tens of thousands of
 * extents, walked by a process that has just started; objects are made only of those that somebody asks for.
 */
import { DiffKeeperError } from '../core/core.js';
import { type Digest, decodeExtentColumns, type Extent, type ExtentColumns } from '../format/format.js';

export class ExtentTable {
  readonly columns: ExtentColumns;
  /** Where each extent begins, and where the last one ends. */
  readonly starts: Float64Array;

  private constructor(columns: ExtentColumns) {
    this.columns = columns;
    const { lengths } = columns;
    this.starts = new Float64Array(lengths.length + 1);
    let at = 0;
    for (let index = 0; index < lengths.length; index += 1) {
      this.starts[index] = at;
      at += lengths[index] as number;
    }
    this.starts[lengths.length] = at;
  }

  /** Throws DK_CORRUPT_RECIPE. */
  static decode(list: Uint8Array): ExtentTable {
    return new ExtentTable(decodeExtentColumns(list));
  }

  static of(extents: readonly Extent[]): ExtentTable {
    const digests: Digest[] = [];
    // A list names each blob by one object.
    const numbers = new Map<Digest, number>();
    const blobs = new Uint32Array(extents.length);
    const offsets = new Uint32Array(extents.length);
    const lengths = new Float64Array(extents.length);
    for (const [index, { digest, offset, length }] of extents.entries()) {
      lengths[index] = length;
      if (digest === null) continue;
      const number = numbers.get(digest) ?? digests.push(digest);
      numbers.set(digest, number);
      blobs[index] = number;
      offsets[index] = offset;
    }
    return new ExtentTable({ digests, blobs, offsets, lengths });
  }

  /** How many extents there are. */
  get count(): number {
    return this.columns.lengths.length;
  }

  /** Bytes that they cover. */
  get bytes(): number {
    return this.starts[this.count] as number;
  }

  /** Number of the last extent that begins at `offset` or before; 0 when there is none. */
  at(offset: number): number {
    let low = 0;
    let high = this.count;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Numbers of the extents that cover these bytes, the last one included. Throws DK_CORRUPT_RECIPE when none do. */
  covering(offset: number, length: number): { readonly first: number; readonly last: number } {
    const end = offset + length;
    if (length > 0 && end <= this.bytes) return { first: this.at(offset), last: this.at(end - 1) };
    if (length === 0) return { first: 0, last: -1 };
    throw new DiffKeeperError('DK_CORRUPT_RECIPE', `a recipe covers ${this.bytes} bytes, byte ${end} was wanted`, {
      expected: end,
      actual: this.bytes,
    });
  }

  /** The part of one extent that lies within these bytes of the stretch. */
  cut(index: number, { offset, length }: { readonly offset: number; readonly length: number }): Extent {
    const { digests, blobs, offsets } = this.columns;
    const start = this.starts[index] as number;
    const from = Math.max(start, offset);
    const until = Math.min(this.starts[index + 1] as number, offset + length);
    const blob = blobs[index] as number;
    if (blob === 0) return { digest: null, offset: 0, length: until - from };
    return {
      digest: digests[blob - 1] as Digest,
      offset: (offsets[index] as number) + from - start,
      length: until - from,
    };
  }

  /** Extents that cover exactly these bytes, in order. Throws DK_CORRUPT_RECIPE. */
  slice(offset: number, length: number): Extent[] {
    const { first, last } = this.covering(offset, length);
    const extents: Extent[] = [];
    for (let index = first; index <= last; index += 1) extents.push(this.cut(index, { offset, length }));
    return extents;
  }
}
