/** How a loop waits for its next turn: until then, or until somebody has news. */
export class LoopRest {
  #wake: () => void = () => {};

  /** Ends the rest that is under way, if any. */
  wake(): void {
    this.#wake();
  }

  async sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, 1 << 30));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
}
