/** Notices when the other side has fallen silent. */
import { type Clock, DiffKeeperError } from '../core/core.js';
import type { Link } from './link.js';

/** Silence of this many intervals ends a session. */
export const SILENT_INTERVALS_MAX = 3;
/** Timers that are so late say that this process itself stood still. */
export const STOOD_STILL_MS = 500;

export class KeepAlive {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #ask: () => void;
  #heardMs: number;
  #askedMs = Number.NEGATIVE_INFINITY;
  #lookedMs: number;

  constructor(intervalMs: number, clock: Clock, ask: () => void) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#ask = ask;
    this.#heardMs = clock.steadyMs();
    this.#lookedMs = this.#heardMs;
  }

  /** Looks whether anything came. Gives the reason why the session must end, if it must. */
  look(links: readonly Link[]): DiffKeeperError | undefined {
    const nowMs = this.#clock.steadyMs();
    // When this process itself stood still, what came meanwhile has not been read yet.
    const stoodStill = nowMs - this.#lookedMs > Math.max(STOOD_STILL_MS, this.#intervalMs);
    this.#lookedMs = nowMs;
    let heard = stoodStill;
    for (const link of links) {
      heard ||= link.heard;
      link.heard = false;
    }
    if (heard) {
      this.#heardMs = nowMs;
      return undefined;
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs > SILENT_INTERVALS_MAX * this.#intervalMs) {
      return new DiffKeeperError('DK_CONNECTION', `the other side was silent for ${Math.round(silentMs)} ms`);
    }
    if (silentMs > this.#intervalMs && nowMs - this.#askedMs > this.#intervalMs) {
      this.#askedMs = nowMs;
      this.#ask();
    }
    return undefined;
  }
}
