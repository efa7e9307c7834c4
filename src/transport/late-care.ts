/** Looks after pieces that take too long: finds streams to give up, and sends again over others what is late. */
import type { Clock } from '../core/core.js';
import { STOOD_STILL_MS } from './keep-alive.js';
import type { Link } from './link.js';
import type { OutgoingBlob, Piece } from './outgoing-blob.js';
import type { HedgeRule } from './piece-rules.js';
import type { PieceShipper } from './piece-shipper.js';
import type { StreamSet } from './stream-set.js';
import { StreamWatch } from './stream-watch.js';

export interface LateCareParts {
  readonly streams: StreamSet;
  readonly clock: Clock;
  readonly hedge: HedgeRule;
  readonly shipper: PieceShipper;
  /** A data stream on which nothing moves for so long, although something should, is given up. */
  readonly silenceMs: number;
}

export class LateCare {
  readonly #parts: LateCareParts;
  #tendedMs = 0;
  /** Since when `wake` has been called without a long gap. */
  #awakeMs = 0;

  constructor(parts: LateCareParts) {
    this.#parts = parts;
  }

  /** To be called often, first: notices when this process has stood still. Gives lent streams whose joins are not answered. */
  wake(): Link[] {
    const { streams, clock, hedge } = this.#parts;
    const nowMs = clock.steadyMs();
    if (nowMs - this.#tendedMs > STOOD_STILL_MS) this.#awakeMs = nowMs;
    this.#tendedMs = nowMs;
    return streams.overdue(nowMs, this.#awakeMs, hedge.minRttMs);
  }

  /**
   * To be called behind `wake`. Gives the data streams that should be given up.
   *
   * @param idle nothing else is there to be sent, and the other side's window has room
   * @param takenMs when the other side last took something over
   */
  tend(blobs: ReadonlyMap<number, OutgoingBlob>, idle: boolean, takenMs: number): ReadonlySet<Link> {
    const { streams, silenceMs, clock, hedge } = this.#parts;
    const nowMs = clock.steadyMs();
    const drained = (): ReadonlySet<Link> => (idle ? streams.drained() : new Set());
    const facts = { hedge, links: streams.links, drained, takenMs, silenceMs };
    const watch = new StreamWatch({ ...facts, nowMs, awakeMs: this.#awakeMs });
    for (const out of blobs.values()) {
      // Pieces of a blob without an answer wait for a sink, not for a stream.
      if (out.earlyBytes > 0) continue;
      for (const piece of out.pieces.values()) {
        if (watch.late(piece, out.single) && idle && piece.links.size === 1) this.#hedge(out, piece, watch);
      }
    }
    return watch.stalled;
  }

  #hedge(out: OutgoingBlob, piece: Piece, watch: StreamWatch): void {
    const { hedge, streams, shipper } = this.#parts;
    const pays = (on: boolean): boolean => hedge.affordable(piece.length, out.hedgedBytes, out.blob.size, on);
    const drained = pays(true) ? watch.spare(piece) : undefined;
    const link = drained ?? streams.pickIdle(piece.links);
    if (!link || !pays(link === drained)) return;
    out.hedgedBytes += piece.length;
    void shipper.ship(link, out, piece);
  }
}
