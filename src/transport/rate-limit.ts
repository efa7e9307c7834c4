/** Limits what a session sends in all, evenly: a bucket that fills with time and may be overdrawn by one piece. */
import type { Clock } from '../core/core.js';

/** What may go at once after a pause, as time. */
const BURST_MS = 50;

export class RateLimit {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  #credit: number;
  #lastMs: number;

  /** @param bytesPerSecond undefined: no limit */
  constructor(bytesPerSecond: number | undefined, clock: Clock) {
    this.#clock = clock;
    this.#bytesPerMs = (bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000;
    this.#credit = 0;
    this.#lastMs = clock.steadyMs();
  }

  /** Milliseconds until something may be sent; 0 when it may now. */
  waitMs(): number {
    if (this.#bytesPerMs === Number.POSITIVE_INFINITY) return 0;
    const nowMs = this.#clock.steadyMs();
    this.#credit = Math.min(BURST_MS * this.#bytesPerMs, this.#credit + (nowMs - this.#lastMs) * this.#bytesPerMs);
    this.#lastMs = nowMs;
    return this.#credit >= 0 ? 0 : -this.#credit / this.#bytesPerMs;
  }

  spend(bytes: number): void {
    if (this.#bytesPerMs !== Number.POSITIVE_INFINITY) this.#credit -= bytes;
  }

  /** Largest piece that keeps the flow even: what passes in a tenth of a second. */
  get pieceBytes(): number {
    return this.#bytesPerMs * 100;
  }
}
