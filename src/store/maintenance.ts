/** Verifying, rebuilding and pruning: one after the other, never two at once. */
import { checkPolicy, type PrunePolicy } from './prune-policy.js';
import { type PruneParts, pruneStore } from './prune-run.js';
import type { PruneOptions, PruneReport } from './types.js';

export class Maintenance {
  #turn: Promise<unknown> = Promise.resolve();
  /** Ends the prune that is running. */
  #pruning: AbortController | null = null;

  /** A prune is writing packs that are no leftovers. */
  get pruning(): boolean {
    return this.#pruning !== null;
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** @param ready resolves to what the prune needs, once the metadata may be read */
  async prune(ready: () => Promise<PruneParts>, policy: PrunePolicy, options: PruneOptions): Promise<PruneReport> {
    checkPolicy(policy);
    return this.inTurn(async () => {
      const parts = await ready();
      const stopped = new AbortController();
      this.#pruning = stopped;
      const signal = options.signal ? AbortSignal.any([options.signal, stopped.signal]) : stopped.signal;
      try {
        return await pruneStore(parts, policy, { ...options, signal });
      } finally {
        this.#pruning = null;
      }
    });
  }

  /** What the prune wrote is settled by opening the store again. */
  pruneFailed(): void {
    this.#pruning = null;
  }

  /** Ends a prune, as if it had not begun unless it is sealed. */
  async stop(): Promise<void> {
    if (!this.#pruning) return;
    this.#pruning.abort();
    await this.#turn;
  }
}
