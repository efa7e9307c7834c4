/** How long pieces are, and when one is late. */
import { LIMITS } from '../core/core.js';
import { GROUP_BYTES } from './blob-digest.js';

/** On a short link the largest frames are the fastest; on a long one they would hold up what comes behind them. */
const LAN_MS = 2;
const WAN_CHUNK_BYTES = 256 << 10;
const LATE_FACTOR = 2.5;
const LATE_MS_MIN = 100;
const STALLED_FACTOR = 10;
const STALLED_MS_MIN = 5000;

export interface ChunkFigures {
  readonly active: number;
  /** Bytes that are left to be cut. */
  readonly leftBytes: number;
  readonly windowBytes: number;
  /** 0 when it is not known. */
  readonly minRttMs: number;
}

/**
 * Length of the next piece: a power of two, at least a group. Towards the end pieces shrink, so that all streams finish
 * together; with many streams or a small window they shrink as well, so that each stream gets its share.
 */
export function chunkBytes({ active, leftBytes, windowBytes, minRttMs }: ChunkFigures, atMost: number): number {
  const base = minRttMs < LAN_MS ? LIMITS.frameBytes : WAN_CHUNK_BYTES;
  const wanted = Math.min(base, leftBytes / (2 * active), windowBytes / (4 * active), atMost);
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

  /** Worth sending again over a stream that has nothing else to do. */
  late(ageMs: number): boolean {
    return this.#meanMs > 0 && ageMs > Math.max(LATE_MS_MIN, LATE_FACTOR * this.#meanMs);
  }

  /** @param overtakenMs how long after it was sent something else was taken over; negative: nothing was */
  stalled(ageMs: number, overtakenMs: number): boolean {
    const limitMs = Math.max(STALLED_MS_MIN, STALLED_FACTOR * this.#meanMs);
    return ageMs > limitMs && overtakenMs > limitMs;
  }
}
