/**
 * The blob index in columns, for a prune: about 50 bytes per blob, so that a million of them fit where objects would
 * take ten times as much. Rows are sorted by digest, as LevelDB gives them.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { throwIfAborted } from '../core/core.js';
import type { Digest } from '../format/format.js';
import { decodeBlobInfo, type RecordPlace } from './blob-index.js';
import { KEY_LETTER, prefixRange } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { ROWS_AT_ONCE, sortRows } from './sort-rows.js';
import type { BlobInfo } from './types.js';

/** What is known about a row. */
export const MARK = {
  /** Something that stays needs it. */
  live: 1,
  /** Its recipe was read, and what it names is marked. */
  recipeRead: 2,
  /** Its context list was read, and what it names is marked. */
  contextRead: 4,
  /** It was copied: the place is the new one. */
  moved: 8,
  /** A version that stays names it. */
  named: 16,
} as const;

const FIRST_ROWS = 4096;

export class BlobTable {
  #count = 0;
  #digests = Buffer.alloc(FIRST_ROWS * 32);
  #packs = new Uint32Array(FIRST_ROWS);
  /** A dense pack stands for more bytes than 32 bits count. */
  #offsets = new Float64Array(FIRST_ROWS);
  #recordBytes = new Uint32Array(FIRST_ROWS);
  #decodedBytes = new Uint32Array(FIRST_ROWS);
  #depths = new Uint8Array(FIRST_ROWS);
  #kinds = new Uint8Array(FIRST_ROWS);
  #marks = new Uint8Array(FIRST_ROWS);

  /** All blobs whose place `includes` accepts. */
  static async load(
    meta: MetaReader,
    includes: (place: RecordPlace) => boolean,
    signal?: AbortSignal,
  ): Promise<BlobTable> {
    const table = new BlobTable();
    for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.blob])))) {
      throwIfAborted(signal);
      for (const [key, value] of entries) {
        const info = decodeBlobInfo(value, key.subarray(1));
        if (includes(info)) table.#add(info, info.kind);
      }
    }
    return table;
  }

  get count(): number {
    return this.#count;
  }

  #add(info: BlobInfo, kind: number): void {
    if (this.#count === this.#packs.length) this.#grow();
    const row = this.#count;
    this.#count += 1;
    this.#digests.set(info.digest, row * 32);
    this.#packs[row] = info.pack;
    this.#offsets[row] = info.offset;
    this.#recordBytes[row] = info.recordBytes;
    this.#decodedBytes[row] = info.decodedBytes;
    this.#depths[row] = info.depth;
    this.#kinds[row] = kind;
  }

  #grow(): void {
    const rows = Math.ceil(this.#packs.length * 1.5);
    const longer = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const column = new Uint32Array(rows);
      column.set(old);
      return column;
    };
    const longerBytes = (old: Uint8Array): Uint8Array<ArrayBuffer> => {
      const column = new Uint8Array(rows);
      column.set(old);
      return column;
    };
    const digests = Buffer.alloc(rows * 32);
    digests.set(this.#digests);
    this.#digests = digests;
    this.#packs = longer(this.#packs);
    const offsets = new Float64Array(rows);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    this.#recordBytes = longer(this.#recordBytes);
    this.#decodedBytes = longer(this.#decodedBytes);
    this.#depths = longerBytes(this.#depths);
    this.#kinds = longerBytes(this.#kinds);
    this.#marks = longerBytes(this.#marks);
  }

  /** Row of a blob, -1 when the table does not have it. */
  find(digest: Uint8Array): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.#digests.compare(digest, 0, 32, middle * 32, middle * 32 + 32);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  digest(row: number): Digest {
    return this.#digests.subarray(row * 32, row * 32 + 32);
  }

  info(row: number): BlobInfo {
    return {
      digest: this.digest(row),
      pack: this.#packs[row] as number,
      offset: this.#offsets[row] as number,
      recordBytes: this.#recordBytes[row] as number,
      decodedBytes: this.#decodedBytes[row] as number,
      depth: this.depth(row),
    };
  }

  pack(row: number): number {
    return this.#packs[row] as number;
  }

  recordBytes(row: number): number {
    return this.#recordBytes[row] as number;
  }

  decodedBytes(row: number): number {
    return this.#decodedBytes[row] as number;
  }

  depth(row: number): number {
    return this.#depths[row] as number;
  }

  kind(row: number): number {
    return this.#kinds[row] as number;
  }

  has(row: number, mark: number): boolean {
    return ((this.#marks[row] as number) & mark) !== 0;
  }

  set(row: number, mark: number): void {
    this.#marks[row] = (this.#marks[row] as number) | mark;
  }

  /** The record stands at another place now. */
  move(row: number, { pack, offset }: RecordPlace): void {
    this.#packs[row] = pack;
    this.#offsets[row] = offset;
    this.set(row, MARK.moved);
  }

  /** Calls `visit` for each row, with turns for others in between. */
  async each(visit: (row: number) => void): Promise<void> {
    for (let row = 0; row < this.#count; row += 1) {
      if (row % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await turn();
      visit(row);
    }
  }

  /** Rows that `wanted` accepts, in the order of their places. */
  async rows(wanted: (row: number) => boolean): Promise<Uint32Array> {
    const all = new Uint32Array(this.#count);
    let count = 0;
    await this.each((row) => {
      if (wanted(row)) all[count++] = row;
    });
    const rows = all.subarray(0, count);
    const [packs, offsets] = [this.#packs, this.#offsets];
    await sortRows(
      rows,
      (one, other) =>
        (packs[one] as number) - (packs[other] as number) || (offsets[one] as number) - (offsets[other] as number),
    );
    return rows;
  }
}
