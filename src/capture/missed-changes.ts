/** Counts changes that a full scan found and no event announced. */
import { type BytePath, LIMITS, pathParent } from '../core/core.js';

/** An event may still be on its way when the scan has seen the change already, ms. */
const LATE_MS = 1000;

export class MissedChanges {
  readonly #suspects = new Map<BytePath, number>();
  #count = 0;

  /** What a full scan wrote although these marks did not announce it. */
  suspect(written: readonly BytePath[], marks: ReadonlySet<BytePath>, nowMs: number): void {
    const announced = new Set<BytePath>();
    // A directory changes with its names, without an event of its own.
    for (const mark of marks)
      for (let at = mark; at !== '' && !announced.has(at); at = pathParent(at)) announced.add(at);
    for (const path of written) {
      if (this.#suspects.size >= LIMITS.watchMarks) return;
      if (!announced.has(path) && !announced.has(pathParent(path))) this.#suspects.set(path, nowMs);
    }
  }

  /** An event for this path came after all. */
  clear(path: BytePath): void {
    if (this.#suspects.size === 0) return;
    for (let at = path; at !== ''; at = pathParent(at)) this.#suspects.delete(at);
  }

  count(nowMs: number): number {
    for (const [path, sinceMs] of this.#suspects) {
      if (nowMs - sinceMs < LATE_MS) continue;
      this.#suspects.delete(path);
      this.#count += 1;
    }
    return this.#count;
  }
}
