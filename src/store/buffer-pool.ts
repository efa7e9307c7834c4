/**
 * Buffers that are used again. Every large buffer that Node hands out counts towards the next collection of garbage;
 * reading a store of some hundred MiB through fresh ones costs more in collections than in reading.
 */

/** Smaller ones are not worth it. */
export const POOLED_BYTES_MIN = 256 << 10;
/** Lengths of pooled buffers: some records, and a whole run of them with a last one. */
const CLASSES = [1 << 20, 6 << 20] as const;
/** Free buffers kept of each length. */
const FREE_MAX = 12;

export class BufferPool {
  readonly #free = new Map<number, Buffer[]>(CLASSES.map((bytes) => [bytes, []]));
  readonly #taken = new WeakSet<ArrayBufferLike>();
  readonly #make: (bytes: number) => Buffer;

  /** @param make a buffer that has its memory for itself */
  constructor(make: (bytes: number) => Buffer = Buffer.allocUnsafeSlow) {
    this.#make = make;
  }

  /** A buffer of this length, with anything in it. */
  take(bytes: number): Buffer {
    const room = CLASSES.find((length) => length >= bytes);
    if (bytes < POOLED_BYTES_MIN || room === undefined) return Buffer.allocUnsafe(bytes);
    const buffer = this.#free.get(room)?.pop() ?? this.#make(room);
    this.#taken.add(buffer.buffer);
    return buffer.subarray(0, bytes);
  }

  /** Takes back what nothing refers to any more; what came from elsewhere, or is given twice, is left alone. */
  give(buffer: Buffer): void {
    if (!this.#taken.delete(buffer.buffer)) return;
    const free = this.#free.get(buffer.buffer.byteLength);
    if (free && free.length < FREE_MAX) free.push(Buffer.from(buffer.buffer));
  }

  clear(): void {
    for (const free of this.#free.values()) free.length = 0;
  }
}
