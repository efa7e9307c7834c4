/** Memory for large payloads, used again: asking the system for a megabyte per frame costs more than filling it. */
import { FRAME_HEADER_BYTES } from './frame.js';

const SMALLEST = 32 << 10;
/** Kept for later at most; what is in use is bounded by the window of the session. */
const SPARE_BYTES_MAX = 32 << 20;

/** Buffers in sizes of powers of two, each with room for the header that follows a payload on the stream. */
export class FramePool {
  readonly #spare = new Map<number, Buffer[]>();
  #spareBytes = 0;

  /** A buffer of at least this many bytes and room for a header. */
  take(bytes: number): Buffer {
    const size = sizeClass(bytes);
    const spare = this.#spare.get(size)?.pop();
    if (spare === undefined) return Buffer.allocUnsafeSlow(size + FRAME_HEADER_BYTES);
    this.#spareBytes -= size;
    return spare;
  }

  /** Gives a buffer from `take` back; nobody may look at it afterwards. */
  give(buffer: Buffer): void {
    const size = buffer.length - FRAME_HEADER_BYTES;
    if (this.#spareBytes + size > SPARE_BYTES_MAX) return;
    this.#spareBytes += size;
    const spare = this.#spare.get(size);
    if (spare === undefined) this.#spare.set(size, [buffer]);
    else spare.push(buffer);
  }
}

function sizeClass(bytes: number): number {
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  return size;
}
