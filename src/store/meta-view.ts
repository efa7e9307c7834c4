/** A moment of the metadata, for readers in other processes. */

import type { KeyRange } from './meta-keys.js';
import type { Level } from './meta-level.js';

/** A moment of the database, with its values as they are stored: for processes that check them by themselves. */
export class MetaView {
  readonly #level: Level;
  readonly #snapshot: ReturnType<Level['snapshot']>;
  readonly #failed: (error: unknown) => never;

  constructor(level: Level, failed: (error: unknown) => never) {
    this.#level = level;
    this.#snapshot = level.snapshot();
    this.#failed = failed;
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    const options = { snapshot: this.#snapshot };
    return (await this.#level.getMany([...keys], options).catch(this.#failed)) as (Buffer | undefined)[];
  }

  /** The first entries of a range, up to `limit` and to about `bytesMax` bytes; whether they are all. */
  async entries(
    range: KeyRange,
    options: { readonly reverse: boolean; readonly limit: number; readonly bytesMax: number },
  ): Promise<{ readonly entries: readonly [Buffer, Buffer][]; readonly all: boolean }> {
    const { reverse, limit, bytesMax } = options;
    const found: [Buffer, Buffer][] = [];
    const iterator = this.#level.iterator({ ...range, reverse, limit, snapshot: this.#snapshot });
    try {
      for (let bytes = 0; bytes < bytesMax && found.length < limit; ) {
        const next = (await iterator.nextv(limit - found.length).catch(this.#failed)) as [Buffer, Buffer][];
        if (next.length === 0) return { entries: found, all: true };
        for (const entry of next) {
          found.push(entry);
          bytes += entry[0].length + entry[1].length;
        }
      }
      return { entries: found, all: false };
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    // Closed with its database when that was opened anew.
    await this.#snapshot.close().catch(() => {});
  }
}
