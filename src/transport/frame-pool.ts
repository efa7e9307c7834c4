/** Memory for large payloads, used again: asking the system for a megabyte per frame costs more than filling it. */
import { FRAME_HEADER_BYTES } from './frame.js';

const SMALLEST = 32 << 10;
/** Kept for later at most; what is in use is bounded by the window of the session. */
const SPARE_BYTES_MAX = 32 << 20;

/** Buffers in sizes of powers of two, each with room for a header: one that follows what is read, or leads what is sent. */
export class FramePool {
  /** Those given back, in the order of their return. */
  readonly #spare: Buffer[] = [];
  #spareBytes = 0;
  readonly #allocate: (bytes: number) => Buffer;

  /** @param allocate makes a buffer; its place should suit writes past the page cache, since frames hold pieces of files */
  constructor(allocate: (bytes: number) => Buffer = Buffer.allocUnsafeSlow) {
    this.#allocate = allocate;
  }

  /** A buffer of at least this many bytes and room for a header: the one used last that is large enough. */
  take(bytes: number): Buffer {
    const at = this.#spare.findLastIndex((spare) => spare.length >= bytes + FRAME_HEADER_BYTES);
    if (at < 0) return this.#allocate(sizeClass(bytes) + FRAME_HEADER_BYTES);
    const [spare] = this.#spare.splice(at, 1) as [Buffer];
    this.#spareBytes -= spare.length;
    return spare;
  }

  /** Gives a buffer from `take` back; nobody may look at it afterwards. */
  give(buffer: Buffer): void {
    this.#spare.push(buffer);
    this.#spareBytes += buffer.length;
    // The oldest go first: pieces may have become longer since, and those would never be taken again.
    while (this.#spareBytes > SPARE_BYTES_MAX) this.#spareBytes -= this.#spare.shift()?.length ?? 0;
  }
}

function sizeClass(bytes: number): number {
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  return size;
}
