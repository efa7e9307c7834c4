/** Baselines in a store, of which those that cannot be read count as absent until they are replaced. */
import { isDiffKeeperError, type Logger } from '../core/core.js';
import type { BaselineStore, BaselineWriter, KeptBaseline } from './stored-reference.js';

/** Keys of which it is known that their baseline is damaged; of others it is found out again. */
const DAMAGED_MAX = 4096;

export class StoredBaselines {
  readonly #store: BaselineStore | undefined;
  readonly #logger: Logger;
  /** Digest of the baseline that could not be read, by key. */
  readonly #damaged = new Map<string, Buffer>();
  #sweeping: Promise<void> | undefined;

  constructor(store: BaselineStore | undefined, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** The newest baseline of a key; undefined when there is none or it cannot be read. Throws DK_STORE_CLOSED. */
  async load(key: string): Promise<KeptBaseline | undefined> {
    const stored = await this.#guarded(key, undefined, async () => this.#store?.load(key));
    if (stored === undefined || this.damaged(key, stored.digest)) return undefined;
    const { id, digest, stateBytes, segmentBytes, madeMs } = stored;
    return {
      ...{ id, digest, stateBytes, segmentBytes, madeMs },
      read: (offset, length) => this.#guarded(key, digest, () => stored.read(offset, length)),
    };
  }

  /** Whether this baseline could not be read. */
  damaged(key: string, digest: Buffer): boolean {
    return this.#damaged.get(key)?.equals(digest) ?? false;
  }

  /** Replaces the baseline of a key. Undefined without a store. */
  async begin(key: string): Promise<BaselineWriter | undefined> {
    const writer = await this.#store?.begin(key);
    return (
      writer && {
        write: (bytes) => writer.write(bytes),
        commit: async (facts) => {
          await writer.commit(facts);
          this.#damaged.delete(key);
        },
        abort: () => writer.abort(),
      }
    );
  }

  /** Removes from the store what is stale, off the caller's way; one run at a time. */
  sweep(stale: { readonly beforeMs: number; readonly except: readonly string[] }): void {
    const store = this.#store;
    if (store?.removeStale === undefined || this.#sweeping !== undefined || !Number.isFinite(stale.beforeMs)) return;
    this.#sweeping = store
      .removeStale(stale)
      .then(
        (count) => this.#logger.debug({ count }, 'stale baselines were removed from the store'),
        (error: unknown) => this.#logger.warn({ error }, 'stale baselines cannot be removed from the store'),
      )
      .finally(() => {
        this.#sweeping = undefined;
      });
  }

  /** Resolves when nothing is removed. */
  async idle(): Promise<void> {
    await this.#sweeping;
  }

  /** A correct fallback exists for whatever fails here: a full state, or the question to the other side. */
  async #guarded<T>(key: string, digest: Buffer | undefined, read: () => Promise<T>): Promise<T | undefined> {
    if (digest !== undefined && this.damaged(key, digest)) return undefined;
    try {
      return await read();
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_STORE_CLOSED')) throw error;
      this.#logger.warn({ key, error }, 'the stored baseline of a key cannot be read and counts as absent');
      if (digest === undefined) return undefined;
      if (this.#damaged.size >= DAMAGED_MAX) this.#damaged.clear();
      this.#damaged.set(key, digest);
      return undefined;
    }
  }
}
