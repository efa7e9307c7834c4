/** Whether bytes move on a connection, as the kernel says. */
import { SOCKET_FIGURES } from '../engine/engine.js';

export interface Standing {
  /** How long the kernel has been holding bytes of which none was acknowledged, ms; 0 when it holds none. */
  readonly heldMs: number;
  /** How long nothing was acknowledged, whether there was anything or not, ms. */
  readonly quietMs: number;
}

export class Standstill {
  #moved: number | undefined;
  #movedMs = 0;
  #heldSinceMs: number | undefined;

  /**
   * To be called now and then: what was between two looks is not known. @param figures undefined where the kernel does
   * not tell: then what it has not taken yet is all that is known
   */
  look(figures: Float64Array | undefined, busyBytes: number, nowMs: number): Standing {
    const { unsentBytes, unackedSegments, ackedBytes } = SOCKET_FIGURES;
    const moved = figures?.[ackedBytes] ?? busyBytes;
    const holds = busyBytes > 0 || (figures?.[unsentBytes] ?? 0) > 0 || (figures?.[unackedSegments] ?? 0) > 0;
    const moves = moved !== this.#moved;
    if (moves) {
      this.#moved = moved;
      this.#movedMs = nowMs;
    }
    if (!holds) this.#heldSinceMs = undefined;
    else if (moves || this.#heldSinceMs === undefined) this.#heldSinceMs = nowMs;
    return { heldMs: nowMs - (this.#heldSinceMs ?? nowMs), quietMs: nowMs - this.#movedMs };
  }
}
