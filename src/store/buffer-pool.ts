/**
 * Buffers that are used again. Every large buffer that Node hands out counts towards the next collection of garbage;
 * reading a store of some hundred MiB through fresh ones costs more in collections than in reading.
 */

/** Smaller ones are not worth it. */
const POOLED_BYTES_MIN = 256 << 10;
/** Length of every pooled buffer: a run of records and a last one. */
const POOLED_BYTES = 6 << 20;
const POOLED_MAX = 8;

export class BufferPool {
  readonly #free: Buffer[] = [];
  readonly #taken = new WeakSet<ArrayBufferLike>();

  /** A buffer of this length, with anything in it. */
  take(bytes: number): Buffer {
    if (bytes < POOLED_BYTES_MIN || bytes > POOLED_BYTES) return Buffer.allocUnsafe(bytes);
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(POOLED_BYTES);
    this.#taken.add(buffer.buffer);
    return buffer.subarray(0, bytes);
  }

  /** Takes back what nothing refers to any more; gives from elsewhere, or given twice, are left alone. */
  give(buffer: Buffer): void {
    if (!this.#taken.delete(buffer.buffer)) return;
    if (this.#free.length < POOLED_MAX) this.#free.push(Buffer.from(buffer.buffer, 0, POOLED_BYTES));
  }

  clear(): void {
    this.#free.length = 0;
  }
}
