/**
 * Rows of a hex view: one version, or where two differ at the same offsets. Stretches that are stored as the same pieces
 * of the same blobs are equal without being read, so that a change in a large file is found at once.
 */
import { throwIfAborted } from '../core/core.js';
import type { Extent } from '../format/format.js';
import type { VersionReader } from '../store/store.js';
import { type Damage, damageOf } from './version-history.js';

export const HEX_ROW_BYTES = 16;
const ROWS_MAX = 400;
const WINDOW_BYTES = 256 * 1024;
/** Bytes of each side that one answer may read; the page asks on from where it ended. */
const READ_BYTES_MAX = 24 << 20;
/** Windows that one answer may look at: metadata alone of the largest files. */
const WINDOWS_MAX = 4096;

export interface HexRow {
  readonly offset: number;
  /** Hex digits; empty where the side ends before. Null: unreadable. */
  readonly left: string | null;
  readonly right: string | null;
}

export interface HexRows {
  readonly rows: readonly HexRow[];
  /** Where to go on; null when all was looked at. */
  readonly next: number | null;
  readonly damage: readonly (Damage & { readonly side: 'left' | 'right'; readonly offset: number })[];
}

/** A side of the view; absent for a file that is not there. */
export type HexSide = VersionReader | null;

interface Window {
  readonly offset: number;
  readonly bytes: Buffer | null;
}

function sizeOf(side: HexSide): number {
  return side?.version.size ?? 0;
}

function sameExtents(one: readonly Extent[], other: readonly Extent[]): boolean {
  return (
    one.length === other.length &&
    one.every((extent, index) => {
      const twin = other[index];
      if (!twin || extent.length !== twin.length || extent.offset !== twin.offset) return false;
      return extent.digest === null || twin.digest === null
        ? extent.digest === twin.digest
        : extent.digest.equals(twin.digest);
    })
  );
}

class HexWalk {
  readonly rows: HexRow[] = [];
  readonly damage: HexRows['damage'][number][] = [];
  readonly #left: HexSide;
  readonly #right: HexSide;
  readonly #both: boolean;
  #readBytes = 0;

  constructor(left: HexSide, right: HexSide, both: boolean) {
    this.#left = left;
    this.#right = right;
    this.#both = both;
  }

  get size(): number {
    return Math.max(sizeOf(this.#left), sizeOf(this.#right));
  }
  get full(): boolean {
    return this.rows.length >= ROWS_MAX || this.#readBytes >= READ_BYTES_MAX;
  }

  async #read(side: HexSide, name: 'left' | 'right', offset: number): Promise<Window> {
    const length = Math.min(WINDOW_BYTES - (offset % WINDOW_BYTES), sizeOf(side) - offset);
    if (side === null || length <= 0) return { offset, bytes: Buffer.alloc(0) };
    this.#readBytes += length;
    try {
      return { offset, bytes: await side.read(offset, length) };
    } catch (error) {
      this.damage.push({ side: name, offset, ...damageOf(error) });
      return { offset, bytes: null };
    }
  }

  /** Whether both sides are the same bytes here as far as the recipes tell. */
  async #sameStored(offset: number): Promise<boolean> {
    const [left, right] = [this.#left, this.#right];
    const length = Math.min(WINDOW_BYTES - (offset % WINDOW_BYTES), this.size - offset);
    if (left === null || right === null || offset + length > Math.min(sizeOf(left), sizeOf(right))) return false;
    try {
      return sameExtents(await left.extents(offset, length), await right.extents(offset, length));
    } catch {
      // Reading will say what is wrong.
      return false;
    }
  }

  /** Looks at one window from this offset on; gives the offset to go on at. */
  async step(offset: number): Promise<number> {
    const end = Math.min(offset - (offset % WINDOW_BYTES) + WINDOW_BYTES, this.size);
    if (this.#both && (await this.#sameStored(offset))) return end;
    const right = await this.#read(this.#right, 'right', offset);
    const left = this.#both ? await this.#read(this.#left, 'left', offset) : right;
    if (left.bytes === null || right.bytes === null) {
      const rowOf = (bytes: Buffer | null): string | null => bytes?.toString('hex', 0, HEX_ROW_BYTES) ?? null;
      this.rows.push({ offset, left: rowOf(left.bytes), right: rowOf(right.bytes) });
      return end;
    }
    for (let at = 0; offset + at < end; at += HEX_ROW_BYTES) {
      if (this.rows.length >= ROWS_MAX) return offset + at;
      const one = left.bytes.subarray(at, at + HEX_ROW_BYTES);
      const other = right.bytes.subarray(at, at + HEX_ROW_BYTES);
      if (this.#both && one.equals(other)) continue;
      this.rows.push({ offset: offset + at, left: one.toString('hex'), right: other.toString('hex') });
    }
    return end;
  }
}

/**
 * Rows of both sides that differ, or all rows of the right one with `both` false, from an offset on.
 * Damaged stretches are told and passed over.
 */
export async function hexRows(options: {
  readonly left: HexSide;
  readonly right: HexSide;
  readonly both: boolean;
  readonly offset: number;
  readonly signal: AbortSignal;
}): Promise<HexRows> {
  const walk = new HexWalk(options.left, options.right, options.both);
  let offset = options.offset - (options.offset % HEX_ROW_BYTES);
  for (let windows = 0; offset < walk.size && !walk.full && windows < WINDOWS_MAX; windows += 1) {
    throwIfAborted(options.signal);
    offset = await walk.step(offset);
  }
  return { rows: walk.rows, next: offset < walk.size ? offset : null, damage: walk.damage };
}
