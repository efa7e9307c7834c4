/** Bounded memory of what events announced, between two captures. */
import { type BytePath, LIMITS, pathParent } from '../core/core.js';

export class MarkSet {
  readonly #paths = new Set<BytePath>();
  /** Those of them that are looked at without anything having been heard of them. */
  readonly #unheard = new Set<BytePath>();
  /** Directories of what was heard of; made when somebody asks. */
  #above: Set<BytePath> | undefined;
  /** More was marked than is kept: only a full scan will do. */
  overflowed = false;
  /** Events were lost, and nobody knows about what. */
  lossy = false;
  firstMs = 0;
  lastMs = 0;
  /** When the first event came; Infinity without one. */
  heardMs = Number.POSITIVE_INFINITY;

  get empty(): boolean {
    return this.#paths.size === 0 && !this.overflowed;
  }

  get paths(): ReadonlySet<BytePath> {
    return this.#paths;
  }

  /** @param heard an event said so; otherwise the path is only to be looked at */
  add(path: BytePath, nowMs: number, heard = true): void {
    if (this.empty) this.firstMs = nowMs;
    this.lastMs = nowMs;
    if (heard) this.heardMs = Math.min(this.heardMs, nowMs);
    if (this.overflowed) return;
    if (heard) this.#unheard.delete(path);
    else if (!this.#paths.has(path)) this.#unheard.add(path);
    this.#paths.add(path);
    this.#above = undefined;
    if (this.#paths.size > LIMITS.watchMarks) this.overflow(nowMs);
  }

  overflow(nowMs: number): void {
    if (this.empty) this.firstMs = nowMs;
    this.lastMs = nowMs;
    this.#paths.clear();
    this.#unheard.clear();
    this.overflowed = true;
  }

  /** It has been heard of for longer than since it was marked. */
  backdate(sinceMs: number): void {
    this.firstMs = Math.min(this.firstMs, sinceMs);
    this.heardMs = Math.min(this.heardMs, sinceMs);
  }

  /** Marks what a capture that knew of `announced` could not finish: it has waited since then. */
  addAgain(paths: readonly BytePath[], announced: MarkSet, nowMs: number): void {
    for (const path of paths) {
      const heard = announced.announces(path);
      this.add(path, nowMs, heard);
      if (heard) this.heardMs = Math.min(this.heardMs, announced.heardMs);
    }
    if (paths.length > 0 && !announced.empty) this.firstMs = Math.min(this.firstMs, announced.firstMs);
  }

  /** Whether an event named this path. */
  hears(path: BytePath): boolean {
    return this.#paths.has(path) && !this.#unheard.has(path);
  }

  /** Whether an event announced a change of this path: of itself, of a directory it lies in, or of a name in it. */
  announces(path: BytePath): boolean {
    if (this.overflowed) return this.heardMs < Number.POSITIVE_INFINITY;
    for (let at = path; ; at = pathParent(at)) {
      if (this.hears(at)) return true;
      if (at === '') break;
    }
    this.#above ??= new Set([...this.#paths].filter((mark) => this.hears(mark)).map(pathParent));
    return this.#above.has(path);
  }

  /** Takes back what a failed capture had taken. */
  merge(other: MarkSet): void {
    this.lossy ||= other.lossy;
    if (other.empty) return;
    const first = this.empty ? other.firstMs : Math.min(this.firstMs, other.firstMs);
    if (other.overflowed) this.overflow(other.lastMs);
    for (const path of other.#paths) this.add(path, other.lastMs, !other.#unheard.has(path));
    this.firstMs = first;
    this.heardMs = Math.min(this.heardMs, other.heardMs);
  }
}
