/** Judges streams by the pieces that are late on them: one for each look at all pieces. */
import type { Link } from './link.js';
import type { Piece } from './outgoing-blob.js';
import type { HedgeRule } from './piece-rules.js';
import type { Standing } from './standstill.js';

export interface WatchParts {
  readonly hedge: HedgeRule;
  /** Data streams. Without the control stream there is no session: it is judged by its silence alone. */
  readonly links: readonly Link[];
  /** Those on which all has arrived; asked for once, when a piece is suspect: each answer is a system call. */
  readonly drained: () => ReadonlySet<Link>;
  /** When the other side last took something over. */
  readonly takenMs: number;
  /** A stream on which nothing moves for so long, although something should, is given up. */
  readonly silenceMs: number;
  readonly nowMs: number;
  /** Since when this process has not stood still itself: what came meanwhile has not been read yet. */
  readonly awakeMs: number;
}

export class StreamWatch {
  readonly #parts: WatchParts;
  readonly #standings = new Map<Link, Standing>();
  /** Streams that should be given up. */
  readonly stalled = new Set<Link>();

  #drained: ReadonlySet<Link> | undefined;
  /** Drained ones that got something. */
  readonly #spent = new Set<Link>();

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  /** Looks at the streams of a piece; whether it is worth sending over another one. @param single it is a whole blob */
  late(piece: Piece, single: boolean): boolean {
    const { hedge, nowMs } = this.#parts;
    const ageMs = nowMs - piece.sentMs;
    if (piece.queued || piece.sends === 0 || !hedge.suspect(ageMs)) return false;
    const drained = this.#drainedLinks();
    let held = false;
    let slow = false;
    for (const link of piece.links) {
      const standing = this.#standing(link);
      if (this.#givesUp(link, piece, standing)) this.stalled.add(link);
      held ||= hedge.held(standing.heldMs);
      slow ||= !drained.has(link);
    }
    // A whole blob is taken over when its sink is done: that it takes long says nothing of the stream.
    if (single) return hedge.late(ageMs) && held;
    return hedge.late(ageMs) || (slow && hedge.slow(ageMs));
  }

  /** A stream on which all has arrived, for a piece that is late on others. Each is given once, so not to what may not be sent again. */
  spare({ links }: Piece): Link | undefined {
    for (const link of this.#drainedLinks()) {
      if (links.has(link) || this.#spent.has(link)) continue;
      this.#spent.add(link);
      return link;
    }
    return undefined;
  }

  #drainedLinks(): ReadonlySet<Link> {
    this.#drained ??= this.#parts.drained();
    return this.#drained;
  }

  #standing(link: Link): Standing {
    const standing = this.#standings.get(link) ?? link.standing(this.#parts.nowMs);
    this.#standings.set(link, standing);
    return standing;
  }

  /** Whether it brings a piece nowhere: others get through meanwhile, or nothing has moved on it for too long. */
  #givesUp(link: Link, { sentMs }: Piece, { heldMs, quietMs }: Standing): boolean {
    const { hedge, links, nowMs, takenMs, silenceMs, awakeMs } = this.#parts;
    if (!links.includes(link)) return false;
    // While this process itself stood still, nothing was read that would tell of progress.
    const ageMs = nowMs - Math.max(sentMs, awakeMs);
    if (hedge.stalled(ageMs, takenMs - sentMs, Math.min(heldMs, nowMs - awakeMs))) return true;
    return Math.min(quietMs, ageMs, nowMs - link.takenMs) > silenceMs;
  }
}
