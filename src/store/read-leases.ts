/** Who reads packs right now by places learned before: packs are removed only when none of them is left. */
export class ReadLeases {
  readonly #active = new Set<Promise<void>>();
  /** Readings that begin wait for it. */
  #paused: Promise<unknown> | null = null;

  /** Begins a reading; call what it gives when it is over. */
  take(): () => void {
    let end: () => void = () => {};
    const lease = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#active.add(lease);
    return () => {
      this.#active.delete(lease);
      end();
    };
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    while (this.#paused !== null) await this.#paused;
    const end = this.take();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** As long as somebody walks through what the source gives. */
  async *while<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    while (this.#paused !== null) await this.#paused;
    const end = this.take();
    try {
      yield* source;
    } finally {
      end();
    }
  }

  /** Readings that would begin wait until the work is done; it waits for those under way itself. One at a time. */
  async pausing<T>(work: () => Promise<T>): Promise<T> {
    const done = work();
    this.#paused = done.catch(() => {});
    try {
      return await done;
    } finally {
      this.#paused = null;
    }
  }

  /** Waits for the readings that are under way. */
  async ended(): Promise<void> {
    await Promise.all(this.#active);
  }

  /** As `ended`, but not for ever: false when some were not over in time, or when the signal came. */
  async over(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    let stop: () => void = () => {};
    const late = new Promise<boolean>((resolve) => {
      stop = () => resolve(false);
    });
    const timer = setTimeout(stop, timeoutMs);
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    const all = this.ended().then(() => true);
    const result = await Promise.race([all, late]);
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    return result;
  }
}
