/** Decoded blobs, the least recently used dropped first. */
import { LIMITS } from '../core/core.js';

/** Smaller blobs cost less to read again than to keep. */
const CACHED_BYTES_MIN = 32 << 10;

export class BlobCache {
  readonly #blobs = new Map<string, Buffer>();
  #bytes = 0;

  get(key: string): Buffer | undefined {
    const bytes = this.#blobs.get(key);
    if (bytes) {
      this.#blobs.delete(key);
      this.#blobs.set(key, bytes);
    }
    return bytes;
  }

  /** Keeps the blob when that pays; gives the buffer to go on with (a view would keep its whole batch alive). */
  keep(key: string, view: Buffer): Buffer {
    if (view.length < CACHED_BYTES_MIN) return view;
    const bytes = view.buffer.byteLength === view.length ? view : Buffer.from(view);
    if (this.#blobs.has(key)) return bytes;
    this.#blobs.set(key, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, old] of this.#blobs) {
      if (this.#bytes <= LIMITS.blobCacheBytes) break;
      this.#blobs.delete(oldest);
      this.#bytes -= old.length;
    }
    return bytes;
  }

  clear(): void {
    this.#blobs.clear();
    this.#bytes = 0;
  }
}
