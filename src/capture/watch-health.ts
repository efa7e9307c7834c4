/** Whether events can be relied upon, the words for it when they cannot, and when to try again what failed. */

/** Events must have kept within bounds for this long before they are relied upon again, ms. */
const CALM_MS = 2000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
const OVERRUN = 'more events than can be handled, some may be lost; scanning instead';

export class WatchHealth {
  #trouble = '';
  #troubledMs = 0;
  /** Why the retention policy could not be carried out; empty when it could. Says nothing about events. */
  unpruned = '';
  #overrunMs = Number.NEGATIVE_INFINITY;
  #lossy = false;
  #failures = 0;
  /** When to capture again after a failure; undefined after a success. */
  retryMs: number | undefined;

  /** Why not everything is watched; empty when it is. Lasts until watching is tried again. */
  get trouble(): string {
    return this.#trouble;
  }

  /** Something cannot be watched. */
  troubled(reason: string, nowMs: number): void {
    this.#trouble = reason;
    this.#troubledMs = nowMs;
  }

  /** Whether watching is to be tried again, which it is `everyMs`: then it counts as well until it fails. */
  takeRetry(nowMs: number, everyMs: number): boolean {
    if (this.#trouble === '' || nowMs - this.#troubledMs < everyMs) return false;
    this.#trouble = '';
    return true;
  }

  /** Why not all is well; empty when it is. */
  get reason(): string {
    if (this.#trouble !== '') return this.#trouble;
    return this.#lossy ? OVERRUN : this.unpruned;
  }

  /** When a full scan would make it well again; Infinity when there is nothing to mend. */
  get mendMs(): number {
    return this.#lossy ? this.#overrunMs + CALM_MS : Number.POSITIVE_INFINITY;
  }

  /** A capture failed: each time in a row it is left alone for longer. */
  failed(nowMs: number): void {
    this.retryMs = nowMs + Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
  }

  succeeded(): void {
    this.#failures = 0;
    this.retryMs = undefined;
  }

  /** The kernel's queue of events may have been full. */
  overrun(nowMs: number): void {
    this.#overrunMs = nowMs;
    this.#lossy = true;
  }

  /** Everything was looked at and captured, from this moment on. */
  scanned(startMs: number): void {
    if (startMs >= this.mendMs) this.#lossy = false;
  }
}
