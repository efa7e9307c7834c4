/**
 * Which of the newest contents had which features: rows in a ring, found through a table of slots with open addressing. Of several
 * rows with the same feature the newest is found.
 *
 *   row := digest 32 bytes, `SKETCH_FEATURES` features u32          row number n stands at n mod rows of the ring
 *   segment := the digests of its rows | the features of its rows, in the machine's order of bytes
 *
 * Rows are counted from the store's beginning, and dropped a segment at a time, oldest first.
 */
import { LIMITS } from '../core/core.js';
import { SKETCH_FEATURES } from '../engine/engine.js';
import type { Digest } from '../format/format.js';

const DIGEST_BYTES = 32;
const FEATURES_BYTES = 4 * SKETCH_FEATURES;
const ROW_BYTES = DIGEST_BYTES + FEATURES_BYTES;
export const SEGMENT_ROWS = 4096;
export const SEGMENTS = LIMITS.similarBlobs / SEGMENT_ROWS;
export const SEGMENT_BYTES = SEGMENT_ROWS * ROW_BYTES;
const ROWS = LIMITS.similarBlobs;
const FIRST_SLOTS = 4096;
/** Features that two contents must have in common: one alone may be that of a licence that stands in both. */
const VOTES_MIN = 2;

export class SimilarTable {
  readonly #digests = Buffer.alloc(ROWS * DIGEST_BYTES);
  readonly #features = new Uint32Array(ROWS * SKETCH_FEATURES);
  /** Place of a row in the ring + 1; 0 where nothing stands. */
  #slots = new Uint32Array(FIRST_SLOTS);
  /** Rows that `find` looks at. */
  readonly #places = new Uint32Array(SKETCH_FEATURES);
  #used = 0;
  #next = 0;
  #oldest = 0;

  /** Number of the row that is added next. */
  get next(): number {
    return this.#next;
  }

  digest(row: number): Digest {
    const at = (row % ROWS) * DIGEST_BYTES;
    return Buffer.from(this.#digests.subarray(at, at + DIGEST_BYTES));
  }

  /** All rows that `find` may give for any of these sketches, each once. */
  rowsWith(features: Uint32Array): number[] {
    const rows = new Set<number>();
    const note = (row: number): boolean => {
      rows.add(row);
      return false;
    };
    for (let at = 0; at < features.length; at += SKETCH_FEATURES) this.find(features, at, note);
    return [...rows];
  }

  /**
   * The row that has most features in common with these; the newer one of several. -1 when none has enough of them.
   *
   * @param features of a content, from `at` on
   * @param usable asked of each row that has enough of the features
   */
  find(features: Uint32Array, at: number, usable: (row: number) => boolean): number {
    const places = this.#places;
    let hits = 0;
    for (let k = 0; k < SKETCH_FEATURES; k += 1) {
      const feature = features[at + k] as number;
      const place = feature === 0 ? 0 : (this.#slots[this.#slotOf(feature)] as number);
      if (place > 0) places[hits++] = place - 1;
    }
    let best = -1;
    let most = 0;
    for (let i = 0; hits >= VOTES_MIN && i < hits; i += 1) {
      const place = places[i] as number;
      let votes = 0;
      for (let j = 0; j < hits; j += 1) if (places[j] === place) votes += 1;
      if (votes < VOTES_MIN || votes < most) continue;
      const row = this.#rowAt(place);
      if (row === best || (votes === most && row < best) || !usable(row)) continue;
      best = row;
      most = votes;
    }
    return best;
  }

  /** @param features of the content, from `at` on */
  add(digest: Digest, features: Uint32Array, at: number): void {
    if (this.#next - this.#oldest === ROWS) this.#drop();
    const index = this.#next % ROWS;
    this.#digests.set(digest, index * DIGEST_BYTES);
    this.#features.set(features.subarray(at, at + SKETCH_FEATURES), index * SKETCH_FEATURES);
    this.#next += 1;
    this.#enter(this.#next - 1);
  }

  /** The rows of a segment, as `loadSegments` takes them. */
  segment(number: number): Buffer {
    const first = number * SEGMENT_ROWS;
    const rows = Math.max(0, Math.min(SEGMENT_ROWS, this.#next - first));
    const { digests, features } = this.#columns(first % ROWS, rows);
    return Buffer.concat([digests, features]);
  }

  /** The memory of rows that stand side by side. */
  #columns(index: number, rows: number): { readonly digests: Buffer; readonly features: Buffer } {
    return {
      digests: this.#digests.subarray(index * DIGEST_BYTES, (index + rows) * DIGEST_BYTES),
      features: Buffer.from(this.#features.buffer, index * FEATURES_BYTES, rows * FEATURES_BYTES),
    };
  }

  /** Fills an empty table: whole rows by the numbers of their segments. What is missing between them stays unknown. */
  loadSegments(segments: ReadonlyMap<number, Buffer>): void {
    const newest = Math.max(-1, ...segments.keys());
    const oldest = Math.max(0, newest - SEGMENTS + 1);
    for (const [number, bytes] of segments) {
      if (number < oldest) continue;
      const rows = Math.min(SEGMENT_ROWS, Math.floor(bytes.length / ROW_BYTES));
      const { digests, features } = this.#columns((number * SEGMENT_ROWS) % ROWS, rows);
      bytes.copy(digests, 0, 0, digests.length);
      bytes.copy(features, 0, digests.length, digests.length + features.length);
      if (number === newest) this.#next = newest * SEGMENT_ROWS + rows;
    }
    this.#oldest = oldest * SEGMENT_ROWS;
    this.#rebuild(FIRST_SLOTS);
  }

  /** The oldest segment makes room for the next one. */
  #drop(): void {
    const index = this.#oldest % ROWS;
    this.#features.fill(0, index * SKETCH_FEATURES, (index + SEGMENT_ROWS) * SKETCH_FEATURES);
    this.#oldest += SEGMENT_ROWS;
    this.#rebuild(this.#slots.length);
  }

  #rebuild(slots: number): void {
    let count = slots;
    while (count < (this.#next - this.#oldest) * SKETCH_FEATURES * 2) count *= 2;
    this.#slots = new Uint32Array(count);
    this.#used = 0;
    for (let row = this.#oldest; row < this.#next; row += 1) this.#enter(row);
  }

  #enter(row: number): void {
    if ((this.#used + SKETCH_FEATURES) * 2 > this.#slots.length) {
      this.#rebuild(this.#slots.length * 2);
      return;
    }
    const first = (row % ROWS) * SKETCH_FEATURES;
    for (let k = first; k < first + SKETCH_FEATURES; k += 1) {
      const feature = this.#features[k] as number;
      if (feature === 0) continue;
      const slot = this.#slotOf(feature);
      if (this.#slots[slot] === 0) this.#used += 1;
      this.#slots[slot] = (row % ROWS) + 1;
    }
  }

  /** Where a row with this feature stands, or would. */
  #slotOf(feature: number): number {
    const mask = this.#slots.length - 1;
    let slot = feature & mask;
    for (;;) {
      const place = this.#slots[slot] as number;
      if (place === 0 || this.#has(place - 1, feature)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** Number of the row at this place of the ring. */
  #rowAt(index: number): number {
    const row = this.#oldest - (this.#oldest % ROWS) + index;
    return row < this.#oldest ? row + ROWS : row;
  }

  #has(index: number, feature: number): boolean {
    const first = index * SKETCH_FEATURES;
    for (let k = first; k < first + SKETCH_FEATURES; k += 1) if (this.#features[k] === feature) return true;
    return false;
  }
}
