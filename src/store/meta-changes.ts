/** Gathers changes of the metadata while something long is walked through. */
import { CHANGES_PER_BATCH, type Meta, type MetaChange } from './meta.js';

/** Changes in whole batches, so that a long switch costs few syncs and little memory. */
export class Changes {
  readonly #meta: Meta;
  #waiting: MetaChange[] = [];

  constructor(meta: Meta) {
    this.#meta = meta;
  }

  async add(change: MetaChange): Promise<void> {
    this.#waiting.push(change);
    if (this.#waiting.length >= CHANGES_PER_BATCH) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#waiting.length > 0) await this.#meta.writeInBatches(this.#waiting);
    this.#waiting = [];
  }
}
