/** How long pieces are, and when one is late. */
import { LIMITS } from '../core/core.js';
import { GROUP_BYTES } from './blob-digest.js';

/** On a short link the largest frames are the fastest; on a long one they would hold up what comes behind them. */
export const LAN_MS = 2;
const WAN_CHUNK_BYTES = 256 << 10;
/** Of a blob from this size on, what is under way when the connection is cut should be a small part. */
export const LARGE_BYTES = 8 << 20;
const LARGE_SHARE = 400;
const LATE_FACTOR = 2.5;
/** A piece that is still on its way after so many round trips, when other streams have nothing left, is on a slow one. */
const SLOW_RTTS = 3;
const LATE_MS_MIN = 250;
const STALLED_FACTOR = 10;
const STALLED_MS_MIN = 2000;
const OVERTAKEN_MS_MIN = 100;
/** So long the kernel must have been holding bytes that do not move, before a stream is taken to stand still. */
const HELD_MS_MIN = 1000;
/** As `HELD_MS_MIN`, for sending once more what only its sink may be slow with. */
const LATE_HELD_MS_MIN = 100;
/** Of a large blob, so much may be sent again on suspicion alone. */
const HEDGED_SHARE = 200;

export interface ChunkFigures {
  readonly active: number;
  /** Length of the blob. */
  readonly size: number;
  /** Bytes that are left to be cut. */
  readonly leftBytes: number;
  readonly windowBytes: number;
  /** 0 when it is not known. */
  readonly minRttMs: number;
}

/**
 * Length of the next piece: a power of two, at least a group. Towards the end pieces shrink, so that all streams finish
 * together; with many streams or a small window they shrink as well, so that each stream gets its share. Pieces under way are lost
 * when the connection is cut, so together they are kept a small part of a large blob.
 */
export function chunkBytes({ active, size, leftBytes, windowBytes, minRttMs }: ChunkFigures, atMost: number): number {
  const base = minRttMs < LAN_MS ? LIMITS.frameBytes : WAN_CHUNK_BYTES;
  const share = size < LARGE_BYTES ? base : size / (LARGE_SHARE * active);
  const wanted = Math.min(base, share, leftBytes / (2 * active), windowBytes / (4 * active), atMost);
  let bytes = GROUP_BYTES;
  while (bytes * 2 <= wanted) bytes *= 2;
  return bytes;
}

/** Judges how long pieces take, from sending to being taken over. */
export class HedgeRule {
  #meanMs = 0;
  /** Smallest round trip of the streams, as the kernel tells; 0 when it does not. */
  minRttMs = 0;

  get meanMs(): number {
    return this.#meanMs;
  }

  measured(ms: number): void {
    this.#meanMs = this.#meanMs === 0 ? ms : this.#meanMs * 0.9 + ms * 0.1;
  }

  /** Whether to look at the stream of a piece at all. */
  suspect(ageMs: number): boolean {
    return ageMs > LATE_MS_MIN;
  }

  /** Worth sending again over a stream that has nothing else to do. */
  late(ageMs: number): boolean {
    return this.#meanMs > 0 && ageMs > Math.max(LATE_MS_MIN, LATE_FACTOR * this.#meanMs);
  }

  /** The same of one whose stream holds bytes while others are done: what these would send costs the way nothing. */
  slow(ageMs: number): boolean {
    return this.minRttMs >= LAN_MS && ageMs > Math.max(LATE_MS_MIN, SLOW_RTTS * this.minRttMs);
  }

  /** Whether a piece may be sent again on suspicion, after so much of the blob was: of a large one, over a drained stream alone. */
  affordable(pieceBytes: number, hedgedBytes: number, size: number, drained: boolean): boolean {
    return size < LARGE_BYTES || (drained && hedgedBytes + pieceBytes <= Math.max(GROUP_BYTES, size / HEDGED_SHARE));
  }

  /** Whether it is the stream that is late: bytes wait in it. Else the other side has it, and its sink takes its time. */
  held(heldMs: number): boolean {
    return heldMs > LATE_HELD_MS_MIN;
  }

  /**
   * Whether the stream of a piece stands still while others go on.
   *
   * @param overtakenMs how long after it was sent something else was taken over; negative: nothing was
   * @param heldMs how long bytes have been waiting in the stream without moving
   */
  stalled(ageMs: number, overtakenMs: number, heldMs: number): boolean {
    if (heldMs < HELD_MS_MIN) return false;
    const overtaken = overtakenMs > Math.max(OVERTAKEN_MS_MIN, 2 * this.#meanMs);
    return overtaken && ageMs > Math.max(STALLED_MS_MIN, STALLED_FACTOR * this.#meanMs);
  }
}
