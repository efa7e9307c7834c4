/** Large buffers used again and again: left to the collector, they would pile up far beyond what is in use. */
export class SpareBuffers {
  readonly #bytes: number;
  readonly #spare: Buffer[] = [];

  /** @param bytes length of each buffer */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** The caller may not touch it any more. */
  give(buffer: Buffer): void {
    this.#spare.push(buffer);
  }
}
