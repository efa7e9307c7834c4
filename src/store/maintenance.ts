/** Verifying, rebuilding and pruning: one after the other, never two at once. */
import type { Checkpoint } from '../format/format.js';
import { type CondenseParts, condenseStore } from './condense.js';
import { readCondensed } from './condensed-mark.js';
import { checkPolicy, type PrunePolicy } from './prune-policy.js';
import { type PruneParts, pruneStore } from './prune-run.js';
import { readPrune } from './prune-state.js';
import { retagCheckpoint } from './retag.js';
import type { CondenseOptions, CondenseReport, PruneOptions, PruneReport } from './types.js';

export class Maintenance {
  #turn: Promise<unknown> = Promise.resolve();
  /** Ends the prune that is running. */
  #pruning: AbortController | null = null;
  /** What it wrote was settled: it only has to end. */
  #over = false;

  /** A prune is writing packs that are no leftovers. */
  get pruning(): boolean {
    return this.#pruning !== null && !this.#over;
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** @param ready resolves to what the prune needs, once the metadata may be read */
  async prune(ready: () => Promise<CondenseParts>, policy: PrunePolicy, options: PruneOptions): Promise<PruneReport> {
    checkPolicy(policy);
    return this.#asPrune(ready, async (parts, stopped) => {
      const asked = endedBy(options, stopped);
      const report = await pruneStore(parts, policy, asked);
      return report.writtenPacks === 0 ? report : condenseAgain(parts, report, asked.signal);
    });
  }

  /** As `prune`, for packs that are written anew. */
  condense(ready: () => Promise<CondenseParts>, options: CondenseOptions): Promise<CondenseReport> {
    return this.#asPrune(ready, (parts, stopped) => condenseStore(parts, endedBy(options, stopped)));
  }

  /** As `prune`, for another tag of a checkpoint. */
  retag(ready: () => Promise<PruneParts>, sequence: number, tag: string): Promise<Checkpoint> {
    return this.#asPrune(ready, (parts) => retagCheckpoint(parts, sequence, tag));
  }

  #asPrune<P, T>(ready: () => Promise<P>, work: (parts: P, stopped: AbortSignal) => Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      const parts = await ready();
      const stopped = new AbortController();
      this.#pruning = stopped;
      this.#over = false;
      try {
        return await work(parts, stopped.signal);
      } finally {
        this.#pruning = null;
      }
    });
  }

  /** What the prune wrote is settled by opening the store again. */
  pruneFailed(): void {
    this.#over = true;
  }

  /** Ends a prune, as if it had not begun unless it is sealed. */
  async stop(): Promise<void> {
    if (!this.#pruning) return;
    this.#pruning.abort();
    await this.#turn;
  }
}

/** What a prune has written of a condensed store is condensed, too. It is pruned whatever comes of that. */
async function condenseAgain(
  parts: CondenseParts,
  report: PruneReport,
  signal: AbortSignal | undefined,
): Promise<PruneReport> {
  const { meta, packs, logger } = parts;
  try {
    const prune = await readPrune(meta);
    if (!prune || packs.records.sealed || (await readCondensed(meta)) === 0) return report;
    const written = (await packs.list()).filter((pack) => prune.firstPack <= pack && pack <= prune.lastPack);
    const { bytesBefore, bytesAfter } = await condenseStore(parts, signal ? { signal } : {}, new Set(written));
    return { ...report, bytesAfter: report.bytesAfter + bytesAfter - bytesBefore };
  } catch (error) {
    logger.warn({ error: String(error) }, 'what the prune has written is not condensed');
    return report;
  }
}

/** As they are, and ended by this one as well. */
function endedBy<T extends { readonly signal?: AbortSignal }>(options: T, stopped: AbortSignal): T {
  return { ...options, signal: options.signal ? AbortSignal.any([options.signal, stopped]) : stopped };
}
