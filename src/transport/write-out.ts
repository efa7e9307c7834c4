/** Brings a file to the disk while more of it arrives, so that little is left to wait for in the end. */
import type { FileHandle } from 'node:fs/promises';

/** So much is written between two write-outs: less makes more waits of the disk, more leaves more for the end. */
const STEP_BYTES = 64 << 20;

export class WriteOut {
  readonly #file: Pick<FileHandle, 'datasync' | 'sync'>;
  #bytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(file: Pick<FileHandle, 'datasync' | 'sync'>) {
    this.#file = file;
  }

  /** So much more was written to the file. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < STEP_BYTES || this.#running !== undefined || this.#failure !== undefined) return;
    this.#bytes = 0;
    this.#running = this.#file
      .datasync()
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves when nothing is under way: before that the file must not be closed. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /**
   * Makes all that was written durable. Throws what any write-out has said: the system tells of bytes that it lost only
   * once.
   */
  async finish(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure.error;
    await this.#file.sync();
  }
}
