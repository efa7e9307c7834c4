/**
 * How large files are written: through the page cache or past it. Which is faster depends on the disk, on how much of
 * the memory is free, and on whether it is a virtual machine's, so it is measured on the way: a piece of a step is
 * written past the cache, the rest of it through the cache, and the faster way is kept until the next look. Past the cache
 * the processor only waits, though, and has others to do: a disk that takes steps faster than they come is fast enough.
 */
import type { FileWriter } from '../engine/engine.js';

/** Smaller files are soon read by whoever they were recovered for: they belong into the cache. */
export const DIRECT_FILE_BYTES_MIN = 128 << 20;
/** What a slow disk takes a moment for, at most. */
const PROBE_BYTES = 4 << 20;
/** Steps from one look to the next. */
const PROBE_EVERY = 32;
/** So many times as fast as steps come, the disk has time left between them. */
const SPARE = 1.2;

/** Bytes per millisecond, smoothed. */
class Rate {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  note(bytes: number, ms: number): void {
    const now = bytes / Math.max(ms, 0.01);
    this.#value = this.#value === 0 ? now : (this.#value + now) / 2;
  }
}

export class WriteWay {
  readonly #nowMs: () => number;
  readonly #direct = new Rate();
  readonly #cached = new Rate();
  /** Of all steps, the time in which they were read included. */
  readonly #coming = new Rate();
  /** When the last step began, and its bytes. */
  #last: { readonly startMs: number; readonly bytes: number } | null = null;
  #steps = 0;
  #refused = false;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Writes one step of a file. Positions and memory should suit direct writes; where they do not, the cache is used. */
  async write(writer: FileWriter, position: number, bytes: Uint8Array): Promise<void> {
    if (this.#refused || bytes.length < 2 * PROBE_BYTES) {
      await writer.write(position, bytes, false);
      return;
    }
    const look = this.#steps % PROBE_EVERY === 0;
    this.#steps += 1;
    const startMs = this.#nowMs();
    if (this.#last) this.#coming.note(this.#last.bytes, startMs - this.#last.startMs);
    this.#last = { startMs, bytes: bytes.length };
    if (!look) return this.#timed(writer, { position, bytes, direct: this.#isDirectBetter() });
    await this.#timed(writer, { position, bytes: bytes.subarray(0, PROBE_BYTES), direct: true });
    await this.#timed(writer, {
      position: position + PROBE_BYTES,
      bytes: bytes.subarray(PROBE_BYTES),
      direct: false,
    });
  }

  #isDirectBetter(): boolean {
    const direct = this.#direct.value;
    return direct > this.#cached.value || direct > SPARE * this.#coming.value;
  }

  async #timed(
    writer: FileWriter,
    step: { readonly position: number; readonly bytes: Uint8Array; readonly direct: boolean },
  ): Promise<void> {
    const { position, bytes, direct } = step;
    const startMs = this.#nowMs();
    const went = await writer.write(position, bytes, direct);
    if (direct && !went) this.#refused = true;
    else (direct ? this.#direct : this.#cached).note(bytes.length, this.#nowMs() - startMs);
  }
}
