/** Work of one lane: a few pieces at a time, and the first failure ends it. */
export class AtOnce {
  readonly #max: number;
  readonly #running = new Set<Promise<void>>();
  #failed = false;
  #failure: unknown;

  /** @param max pieces under way at once */
  constructor(max: number) {
    this.#max = max;
  }

  /** Starts a piece as soon as there is room for it. Throws what an earlier one threw. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#max) await Promise.race(this.#running);
    this.#throwFailure();
    const run: Promise<void> = work()
      .catch((error: unknown) => {
        if (!this.#failed) this.#failure = error;
        this.#failed = true;
      })
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Resolves when all that was started is done; throws what one of the pieces threw. */
  async drain(): Promise<void> {
    await this.settle();
    this.#throwFailure();
  }

  /** Waits until nothing is under way, whatever came of it. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  #throwFailure(): void {
    if (this.#failed) throw this.#failure;
  }
}
