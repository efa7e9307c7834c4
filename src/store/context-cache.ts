/**
 * Decoded blobs of which captures want pages again and again, because files change all over: to decode a blob for each page of it
 * is most of what such a capture does. A blob is kept when it is wanted a second time, and dropped when it no longer is; what
 * finds no room is not kept, so that a pass over more than fits does not drive everything out.
 */
import { type Clock, LIMITS, systemClock } from '../core/core.js';

/** Smaller blobs are decoded quickly. */
const KEPT_BYTES_MIN = 4 << 10;
/** Nobody wants what was not wanted for this long, ms. */
const WANTED_MS = 10_000;
/** Blobs of which it is remembered that they were wanted once. */
const ASKED_MAX = 4096;

interface Kept {
  readonly bytes: Buffer;
  wantedMs: number;
}

export class ContextCache {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<string, number>();
  #bytes = 0;
  #sweep: NodeJS.Timeout | undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A blob that is kept. */
  get(key: string): Buffer | undefined {
    const kept = this.#kept.get(key);
    if (kept) kept.wantedMs = this.#clock.steadyMs();
    return kept?.bytes;
  }

  /** Notes that a blob which is not kept is wanted; true when it was wanted shortly before. */
  again(key: string): boolean {
    const nowMs = this.#clock.steadyMs();
    const before = this.#asked.get(key);
    this.#asked.delete(key);
    this.#asked.set(key, nowMs);
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= ASKED_MAX) break;
      this.#asked.delete(oldest);
    }
    return before !== undefined && nowMs - before <= WANTED_MS;
  }

  /** Of blobs by their length, those that are worth it and fit, with what nobody wants any more dropped for them. */
  fitting<T>(blobs: readonly T[], bytesOf: (blob: T) => number): T[] {
    if (blobs.length === 0) return [];
    this.#dropOld();
    let room = LIMITS.contextCacheBytes - this.#bytes;
    return blobs.filter((blob) => {
      const bytes = bytesOf(blob);
      if (bytes < KEPT_BYTES_MIN || bytes > room) return false;
      room -= bytes;
      return true;
    });
  }

  /** Keeps a copy of what was found fitting: a view would keep its whole batch alive. */
  keep(key: string, view: Uint8Array): void {
    if (this.#kept.has(key) || this.#bytes + view.length > LIMITS.contextCacheBytes) return;
    const bytes = Buffer.allocUnsafeSlow(view.length);
    bytes.set(view);
    this.#kept.set(key, { bytes, wantedMs: this.#clock.steadyMs() });
    this.#asked.delete(key);
    this.#bytes += bytes.length;
    this.#sweep ??= setInterval(() => this.#dropOld(), WANTED_MS).unref();
  }

  clear(): void {
    this.#kept.clear();
    this.#asked.clear();
    this.#bytes = 0;
    this.#stop();
  }

  #dropOld(): void {
    const sinceMs = this.#clock.steadyMs() - WANTED_MS;
    for (const [key, { bytes, wantedMs }] of this.#kept) {
      if (wantedMs >= sinceMs) continue;
      this.#kept.delete(key);
      this.#bytes -= bytes.length;
    }
    if (this.#kept.size === 0) this.#stop();
  }

  #stop(): void {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}
