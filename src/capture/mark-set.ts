/** Bounded memory of what events announced, between two captures. */
import { type BytePath, LIMITS } from '../core/core.js';

export class MarkSet {
  readonly #paths = new Set<BytePath>();
  /** More was marked than is kept: only a full scan will do. */
  overflowed = false;
  /** Events were lost, and nobody knows about what. */
  lossy = false;
  firstMs = 0;
  lastMs = 0;

  get empty(): boolean {
    return this.#paths.size === 0 && !this.overflowed;
  }

  get paths(): ReadonlySet<BytePath> {
    return this.#paths;
  }

  add(path: BytePath, nowMs: number): void {
    if (this.empty) this.firstMs = nowMs;
    this.lastMs = nowMs;
    if (this.overflowed) return;
    this.#paths.add(path);
    if (this.#paths.size > LIMITS.watchMarks) this.overflow(nowMs);
  }

  overflow(nowMs: number): void {
    if (this.empty) this.firstMs = nowMs;
    this.lastMs = nowMs;
    this.#paths.clear();
    this.overflowed = true;
  }

  /** Takes back what a failed capture had taken. */
  merge(other: MarkSet): void {
    this.lossy ||= other.lossy;
    if (other.empty) return;
    const first = this.empty ? other.firstMs : Math.min(this.firstMs, other.firstMs);
    if (other.overflowed) this.overflow(other.lastMs);
    for (const path of other.#paths) this.add(path, other.lastMs);
    this.firstMs = first;
  }
}
