/** Tasks of one key run one after the other, in the order they were asked for; other keys do not wait. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits for its turn. Whoever gets it must call the result once, in any case. */
  async enter(key: string): Promise<() => void> {
    const before = this.#tails.get(key);
    let leave = (): void => {};
    const turn = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const tail = before === undefined ? turn : before.then(() => turn);
    this.#tails.set(key, tail);
    await before;
    return () => {
      // The last of a key takes the key along: keys that come once must not stay.
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
      leave();
    };
  }

  /** Whether anybody of this key waits or is at work. */
  has(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Resolves when everything that waits now is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  get size(): number {
    return this.#tails.size;
  }
}
