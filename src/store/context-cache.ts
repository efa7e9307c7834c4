/**
 * Decoded blobs of which captures want pages again and again, because files change all over: to decode a blob for each page of it
 * is most of what such a capture does. A blob is kept when it is wanted a second time, and for some seconds: then its record is read
 * again, so that no capture codes against bytes that have been damaged on the disk for long. What finds no room is not kept, so
 * that a pass over more than fits does not drive everything out.
 */
import { type Clock, LIMITS, systemClock } from '../core/core.js';

/** Smaller blobs are decoded quickly. */
const KEPT_BYTES_MIN = 4 << 10;
/** A blob is kept for this long, ms, and may be kept again when it was wanted so shortly before. */
const KEPT_MS = 10_000;
/** Blobs of which it is remembered that they were wanted once. */
const ASKED_MAX = 4096;
/** Blobs kept at most, however short they are. */
const KEPT_MAX = LIMITS.contextCacheBytes / KEPT_BYTES_MIN;

interface Kept {
  readonly bytes: Buffer;
  readonly sinceMs: number;
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
    if (!kept) return undefined;
    const nowMs = this.#clock.steadyMs();
    if (nowMs - kept.sinceMs <= KEPT_MS) return kept.bytes;
    this.#drop(key, kept);
    this.#asked.set(key, nowMs);
    return undefined;
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
    return before !== undefined && nowMs - before <= KEPT_MS;
  }

  /** Of blobs by their length, those that are worth it and fit, with those that were kept long enough dropped for them. */
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

  /** Keeps a copy of what is worth it and fits: a view would keep its whole batch alive. */
  keep(key: string, view: Uint8Array): void {
    if (view.length >= KEPT_BYTES_MIN) this.#keep(key, view, this.#clock.steadyMs());
  }

  /**
   * Keeps a recipe, however short: it stands at the end of a chain, which takes long to read.
   *
   * @param before key of what it was coded against: it is kept for no longer than that, and not at all when that is not kept any
   * more, since it may have come from here
   */
  keepRecipe(key: string, view: Uint8Array, before?: string): void {
    const sinceMs = before === undefined ? this.#clock.steadyMs() : this.#kept.get(before)?.sinceMs;
    if (sinceMs !== undefined) this.#keep(key, view, sinceMs);
  }

  #keep(key: string, view: Uint8Array, sinceMs: number): void {
    this.#dropOld();
    if (this.#kept.has(key) || this.#kept.size >= KEPT_MAX) return;
    if (this.#bytes + view.length > LIMITS.contextCacheBytes) return;
    const bytes = Buffer.allocUnsafeSlow(view.length);
    bytes.set(view);
    this.#kept.set(key, { bytes, sinceMs });
    this.#asked.delete(key);
    this.#bytes += bytes.length;
    this.#sweep ??= setInterval(() => this.#dropOld(), KEPT_MS).unref();
  }

  clear(): void {
    this.#kept.clear();
    this.#asked.clear();
    this.#bytes = 0;
    this.#stop();
  }

  #dropOld(): void {
    const sinceMs = this.#clock.steadyMs() - KEPT_MS;
    // A recipe may be older than others in front of it: it goes with these.
    for (const [key, kept] of this.#kept) {
      if (kept.sinceMs >= sinceMs) break;
      this.#drop(key, kept);
    }
    if (this.#kept.size === 0) this.#stop();
  }

  #drop(key: string, { bytes }: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= bytes.length;
  }

  #stop(): void {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}
