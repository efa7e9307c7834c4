/**
 * One thing at a time writes: an open transaction, or somebody who needs to be alone (the last step of a prune). A
 * transaction that is begun meanwhile waits at its first step.
 */
export class WriteGate {
  #open = false;
  #alone: Promise<void> | null = null;
  #waiting: (() => void)[] = [];

  /** A transaction begins. */
  enter(): void {
    this.#open = true;
  }

  /** It has ended. Whoever waits to be alone comes before the next transaction. */
  leave(): void {
    this.#open = false;
    if (!this.#alone) this.#waiting.shift()?.();
  }

  /** Resolves when nobody is alone. */
  async pass(): Promise<void> {
    while (this.#alone !== null) await this.#alone;
  }

  /** Runs the work while no transaction is open. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    await this.pass();
    if (this.#open) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(() => {
          this.#alone = Promise.resolve();
          resolve();
        });
      });
    }
    let release: () => void = () => {};
    this.#alone = new Promise<void>((resolve) => {
      release = resolve;
    });
    try {
      return await work();
    } finally {
      this.#alone = null;
      release();
      if (!this.#open) this.#waiting.shift()?.();
    }
  }
}
