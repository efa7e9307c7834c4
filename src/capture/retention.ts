/** Prunes now and then while a directory is watched. Trouble with it is told and tried again; captures go on. */
import { isDiffKeeperError, type Logger } from '../core/core.js';
import { checkPolicy, keptSequences, type PrunePolicy, type Store } from '../store/store.js';
import type { RetentionOptions } from './types.js';

const HOUR_MS = 3_600_000;
/** A process that is started again and again must prune nevertheless. */
const FIRST_MS = 60_000;

/** Throws RangeError, TypeError. */
export function checkRetention({ policy, intervalMs = HOUR_MS }: RetentionOptions): void {
  checkPolicy(policy);
  if (!Number.isFinite(intervalMs) || intervalMs < 1) {
    throw new RangeError(`the interval of a retention policy must be at least 1 ms, got ${intervalMs}`);
  }
}

export class Retention {
  readonly #store: Store;
  readonly #policy: PrunePolicy;
  readonly #intervalMs: number;
  readonly #logger: Logger;
  readonly #told: (reason: string) => void;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  /** @param told what keeps it from pruning; empty when it works */
  constructor(store: Store, options: RetentionOptions, logger: Logger, told: (reason: string) => void) {
    const { policy, intervalMs = HOUR_MS } = options;
    this.#store = store;
    this.#policy = policy;
    this.#intervalMs = intervalMs;
    this.#logger = logger;
    this.#told = told;
    this.#wait(Math.min(intervalMs, FIRST_MS));
  }

  #wait(ms: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#prune().finally(() => this.#wait(this.#intervalMs));
    }, ms);
    this.#timer.unref();
  }

  async #prune(): Promise<void> {
    try {
      if (await this.#isIdle()) return;
      const { signal } = this.#stopped;
      this.#logger.debug({}, 'pruning');
      const { kept, dropped, bytesBefore, bytesAfter } = await this.#store.prune(this.#policy, { signal });
      this.#told('');
      const freedBytes = bytesBefore - bytesAfter;
      this.#logger.info({ kept: kept.length, dropped: dropped.length, freedBytes }, 'pruned');
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_ABORTED') && this.#stopped.signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.error({ error: reason }, 'pruning failed; trying again later');
      this.#told(`pruning failed, trying again later: ${reason}`);
    }
  }

  /** Nothing to drop: marking everything to find that out would cost more. */
  async #isIdle(): Promise<boolean> {
    const all: { sequence: number; timeMs: number; tag: string }[] = [];
    for await (const { sequence, timeMs, tag } of this.#store.checkpoints()) all.push({ sequence, timeMs, tag });
    return keptSequences(all, this.#policy).length === all.length;
  }

  /** Ends a prune that is running, as if it had not begun. */
  async close(): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }
}
