/**
 * How large files are written: through the page cache or past it. Which is faster depends on the disk, on how much of
 * the memory is free, and on whether it is a virtual machine's, so it is measured on the way: a piece of a step is
 * written the other way, and the faster one is kept until the next look. Past the cache
 * the processor only waits, though, and has others to do: a disk that takes steps faster than they come is fast enough.
 */
import type { FileWriter } from '../engine/engine.js';

/** Smaller files are soon read by whoever they were recovered for: they belong into the cache. */
export const DIRECT_FILE_BYTES_MIN = 128 << 20;
/** What a slow disk takes a moment for, at most. */
const PROBE_BYTES = 4 << 20;
/** Steps from one look to the next: more after each that changed nothing, as a look may take as long as several steps. */
const PROBE_EVERY = 16;
const PROBE_EVERY_MAX = 256;
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
  /** Steps until the next look, and those between the one before and that. */
  #left = 0;
  #every = PROBE_EVERY;
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
    const startMs = this.#nowMs();
    if (this.#last) this.#coming.note(this.#last.bytes, startMs - this.#last.startMs);
    this.#last = { startMs, bytes: bytes.length };
    this.#left -= 1;
    if (this.#left >= 0) return this.#timed(writer, { position, bytes, direct: this.#isDirectBetter() });
    await this.#look(writer, position, bytes);
  }

  async #look(writer: FileWriter, position: number, bytes: Uint8Array): Promise<void> {
    const first = this.#direct.value === 0;
    const before = !first && this.#isDirectBetter();
    let at = 0;
    const write = async (length: number, direct: boolean): Promise<void> => {
      const part = bytes.subarray(at, at + length);
      await this.#timed(writer, { position: position + at, bytes: part, direct });
      at += part.length;
    };
    await write(PROBE_BYTES, !before);
    // At first both ways are new.
    if (first) await write(PROBE_BYTES, false);
    const now = !this.#refused && this.#isDirectBetter();
    if (at < bytes.length) await write(bytes.length, first ? now : before);
    this.#every = now === before && !first ? Math.min(2 * this.#every, PROBE_EVERY_MAX) : PROBE_EVERY;
    this.#left = this.#every - 1;
  }

  #isDirectBetter(): boolean {
    const direct = this.#direct.value;
    const coming = this.#coming.value;
    return direct > this.#cached.value || (coming > 0 && direct > SPARE * coming);
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
