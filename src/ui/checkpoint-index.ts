/**
 * All checkpoints as columns of numbers, oldest first, so that a page can jump anywhere among a hundred thousand of them:
 * the store lists them newest first only. Grows at its end; made anew when checkpoints were pruned.
 */
import type { Checkpoint } from '../format/format.js';
import type { Store } from '../store/store.js';

/** More are not listed: about 70 bytes of memory each. */
const CHECKPOINTS_MAX = 1_000_000;
/** A prune is noticed after this time at the latest, when a page is opened. */
const FRESH_MS = 60_000;
const BUCKETS_MAX = 2000;
const TAGS_MAX = 400;

/** Sequence, time, changed, removed, content bytes, stored bytes, pause in ms (-1: not frozen), tag. */
export type CheckpointRow = readonly [number, number, number, number, number, number, number, string];

/** What a stretch of the history stored at most, and how long the application stood still at most. */
export interface Density {
  readonly stored: readonly number[];
  readonly pauses: readonly number[];
  readonly times: readonly number[];
  /** Positions and texts of tags, newest first. */
  readonly tags: readonly (readonly [number, string])[];
}

export class CheckpointIndex {
  #columns: number[][] = [[], [], [], [], [], [], []];
  #tags = new Map<number, string>();
  #generation = 0;
  #builtMs = Number.NEGATIVE_INFINITY;
  #last: Promise<unknown> = Promise.resolve();

  get total(): number {
    return this.#columns[0]?.length ?? 0;
  }
  /** Changes when positions do not mean what they meant. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes what is new. Gives the number of checkpoints that came; `fresh` lists all again when that was long ago. */
  update(store: Store, fresh = false): Promise<number> {
    // One after another: two that append would list checkpoints twice.
    const work = this.#last.then(() => this.#take(store, fresh));
    this.#last = work.catch(() => {});
    return work;
  }

  async #take(store: Store, fresh: boolean): Promise<number> {
    if (fresh && performance.now() - this.#builtMs > FRESH_MS) return this.#rebuild(store);
    const newest = this.#at(0, this.total - 1);
    const rows: Checkpoint[] = [];
    for await (const checkpoint of store.checkpoints()) {
      if (checkpoint.sequence === newest) return this.#append(rows.reverse());
      // The newest known one is gone: history was rewritten.
      if (newest !== undefined && checkpoint.sequence < newest) return this.#rebuild(store);
      rows.push(checkpoint);
      if (rows.length >= CHECKPOINTS_MAX) break;
    }
    return newest === undefined ? this.#append(rows.reverse()) : this.#rebuild(store);
  }

  async #rebuild(store: Store): Promise<number> {
    const rows: Checkpoint[] = [];
    for await (const checkpoint of store.checkpoints()) if (rows.push(checkpoint) >= CHECKPOINTS_MAX) break;
    this.#builtMs = performance.now();
    const before = this.#columns[0] ?? [];
    const same =
      rows.length >= before.length && before.every((sequence, at) => rows.at(-1 - at)?.sequence === sequence);
    if (!same) this.#generation += 1;
    this.#columns = [[], [], [], [], [], [], []];
    this.#tags = new Map();
    this.#append(rows.reverse());
    return same ? rows.length - before.length : rows.length;
  }

  #append(checkpoints: readonly Checkpoint[]): number {
    for (const { sequence, timeMs, changed, removed, changedBytes, storedBytes, frozen, pauseMs, tag } of checkpoints) {
      if (tag !== '') this.#tags.set(this.total, tag);
      const values = [sequence, timeMs, changed, removed, changedBytes, storedBytes, frozen ? pauseMs : -1];
      for (const [column, value] of values.entries()) this.#columns[column]?.push(value);
    }
    return checkpoints.length;
  }

  #at(column: number, position: number): number | undefined {
    return this.#columns[column]?.[position];
  }

  row(position: number): CheckpointRow | undefined {
    if (this.#at(0, position) === undefined) return undefined;
    const values = this.#columns.map((column) => column[position] ?? 0);
    return [...values, this.#tags.get(position) ?? ''] as unknown as CheckpointRow;
  }

  rows(start: number, count: number): CheckpointRow[] {
    const rows: CheckpointRow[] = [];
    for (let position = start; position < Math.min(start + count, this.total); position += 1) {
      const row = this.row(position);
      if (row) rows.push(row);
    }
    return rows;
  }

  /** First position whose value in an ascending column is not below this one. */
  #firstFrom(column: number, value: number): number {
    let [low, high] = [0, this.total];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#at(column, middle) ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Position of a checkpoint; undefined when there is none of this number. */
  positionOf(sequence: number): number | undefined {
    const position = this.#firstFrom(0, sequence);
    return this.#at(0, position) === sequence ? position : undefined;
  }

  /** Position of the newest checkpoint that is not after this moment; the first one for moments before all. */
  positionAt(timeMs: number): number {
    return Math.max(0, this.#firstFrom(1, timeMs + 1) - 1);
  }

  /** Positions of checkpoints whose tag contains the text, newest first. */
  tagged(text: string, limit: number): number[] {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    for (const [position, tag] of [...this.#tags].reverse()) {
      if (found.length >= limit) break;
      if (tag.toLowerCase().includes(wanted)) found.push(position);
    }
    return found;
  }

  density(buckets: number): Density {
    const count = Math.min(Math.max(1, buckets), BUCKETS_MAX, Math.max(1, this.total));
    const empty = (): number[] => new Array<number>(count).fill(0);
    const [stored, pauses, times] = [empty(), empty(), empty()];
    for (let position = 0; position < this.total; position += 1) {
      const bucket = Math.floor((position * count) / this.total);
      stored[bucket] = Math.max(stored[bucket] ?? 0, this.#at(5, position) ?? 0);
      pauses[bucket] = Math.max(pauses[bucket] ?? 0, this.#at(6, position) ?? 0);
      times[bucket] ||= this.#at(1, position) ?? 0;
    }
    return { stored, pauses, times, tags: [...this.#tags].slice(-TAGS_MAX).reverse() };
  }

  /** Pauses of the application at freeze points, ms; null when there were none. */
  pauses(): { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number } | null {
    const sorted = (this.#columns[6] ?? []).filter((pause) => pause >= 0).sort((one, other) => one - other);
    if (sorted.length === 0) return null;
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }
}
