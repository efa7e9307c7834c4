/** Hands batches from a loop that produces them to a consumer that iterates, one at a time, so that nothing piles up. */
export class BatchRelay<T> implements AsyncIterable<T> {
  #item: T | undefined;
  #ended = false;
  #abandoned = false;
  #wakeProducer: (() => void) | undefined;
  #wakeConsumer: (() => void) | undefined;

  /** Resolves once the item is taken (at once when the consumer is gone). */
  async push(item: T): Promise<void> {
    while (this.#item !== undefined && !this.#abandoned) {
      await new Promise<void>((resolve) => {
        this.#wakeProducer = resolve;
      });
    }
    if (this.#abandoned) return;
    this.#item = item;
    this.#wakeConsumer?.();
  }

  /** No more items come. */
  end(): void {
    this.#ended = true;
    this.#wakeConsumer?.();
  }

  /** The consumer failed: `push` must not wait for it. */
  abandon(): void {
    this.#abandoned = true;
    this.#wakeProducer?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      if (this.#item !== undefined) {
        const item = this.#item;
        this.#item = undefined;
        this.#wakeProducer?.();
        yield item;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve;
        });
      }
    }
  }
}
