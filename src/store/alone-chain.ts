/** Works on metadata that nobody may see half done: one after the other, and readers wait for all of them. */
export class AloneChain {
  #last: Promise<void> = Promise.resolve();

  /** Runs it after those before. Never within another one, which would wait for itself. */
  async run(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    await done;
  }

  /** Resolves while none is under way. */
  async settled(): Promise<void> {
    // What was waited for may have been followed by something else.
    for (let last: unknown; last !== this.#last; ) {
      last = this.#last;
      await last;
    }
  }
}
