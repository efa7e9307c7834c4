/** Bytes that may be held at once: who waits for some of them can be told to give up. */

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/** Bounds how many bytes are held at once; who wants more than is left waits, in order. */
export class ByteBudget {
  #free: number;
  readonly #waiting = new Set<Waiting>();

  /** @param bytes most that is held at once; nobody may ask for more */
  constructor(bytes: number) {
    this.#free = bytes;
  }

  /**
   * Resolves when so many are free, and they are taken; with what gives them back. Rejects with the reason of the signal
   * where that ends the wait: then nothing is taken.
   */
  async take(bytes: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#waiting.size > 0 || bytes > this.#free) await this.#wait(bytes, signal);
    else this.#free -= bytes;
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.#free += bytes;
      this.#goOn();
    };
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const waiting: Waiting = { bytes, go };
      const stop = (): void => {
        this.#waiting.delete(waiting);
        reject(signal?.reason);
        // It may be the one for which others had to wait.
        this.#goOn();
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#waiting.add(waiting);
    });
  }

  #goOn(): void {
    for (const next of this.#waiting) {
      if (next.bytes > this.#free) return;
      this.#waiting.delete(next);
      this.#free -= next.bytes;
      next.go();
    }
  }
}
