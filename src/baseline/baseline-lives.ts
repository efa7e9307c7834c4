/**
 * When the baselines of a store were made and how often they were used. Known for longer than their bytes are in memory:
 * one that is dropped and loaded again must not begin a new life under the rules of age and count.
 */
import type { Clock } from '../core/core.js';
import type { BaselineLife } from './reference-table.js';
import type { KeptBaseline } from './stored-reference.js';

/** Keys that are remembered, the least recently used going first. Beyond, the age is known from the store, the count is not. */
const LIVES_MAX = 65_536;

export class BaselineLives {
  readonly #clock: Clock;
  readonly #lives = new Map<string, BaselineLife>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  remember(key: string, life: BaselineLife): void {
    this.#lives.delete(key);
    this.#lives.set(key, life);
    if (this.#lives.size > LIVES_MAX) this.#lives.delete(this.#lives.keys().next().value as string);
  }

  /** The life of a baseline that is loaded: as it is remembered, else as the store knows it. */
  of(key: string, stored: KeptBaseline): BaselineLife {
    const known = this.#lives.get(key);
    if (known?.digest.equals(stored.digest)) return known;
    // Of a baseline without a time, and under a clock that was set back, nothing is known: it is as old as this moment.
    const ageMs = stored.madeMs === undefined ? 0 : Math.max(0, this.#clock.nowMs() - stored.madeMs);
    return { digest: stored.digest, createdMs: this.#clock.steadyMs() - ageMs, deltas: 0 };
  }

  clear(): void {
    this.#lives.clear();
  }
}
