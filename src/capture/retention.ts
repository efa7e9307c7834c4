/** Prunes and condenses now and then while a directory is watched. Trouble with it is told and tried again; captures go on. */
import { isDiffKeeperError, LIMITS, type Logger } from '../core/core.js';
import { checkPolicy, keptSequences, type PrunePolicy, type Store } from '../store/store.js';
import type { RetentionOptions } from './types.js';

const HOUR_MS = 3_600_000;
/** A process that is started again and again must prune nevertheless. */
const FIRST_MS = 60_000;
/**
 * Work for a smaller part of the time between two captures counts as what these cost; of more, they cannot be told apart. A
 * round that finds nothing to do, and a short prune after each capture, are no reason not to count.
 */
const WORKED_SHARE = 0.2;
/** A block of most file systems: what would take more waits until dropping gives something back. */
const GROWTH_BYTES_MAX = 4096;

/** Throws RangeError, TypeError. */
export function checkRetention({ policy, condense = false, intervalMs = HOUR_MS }: RetentionOptions): void {
  if (policy || !condense) checkPolicy(policy ?? {});
  if (!Number.isFinite(intervalMs) || intervalMs < 1) {
    throw new RangeError(`the interval of a retention policy must be at least 1 ms, got ${intervalMs}`);
  }
}

export class Retention {
  readonly #store: Store;
  readonly #options: RetentionOptions;
  readonly #logger: Logger;
  readonly #told: (reason: string) => void;
  readonly #stopped = new AbortController();
  #condense: boolean;
  /** Since when it is at work, and what was over before; of the time since it was asked. */
  #workingSinceMs: number | undefined;
  #workedMs = 0;
  #askedMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  /** @param told what keeps it from its work; empty when it works */
  constructor(store: Store, options: RetentionOptions, logger: Logger, told: (reason: string) => void) {
    this.#store = store;
    this.#options = options;
    this.#condense = options.condense ?? false;
    this.#logger = logger;
    this.#told = told;
    this.#wait(Math.min(this.#intervalMs, FIRST_MS));
  }

  get #intervalMs(): number {
    return this.#options.intervalMs ?? HOUR_MS;
  }

  #wait(ms: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#work().finally(() => this.#wait(this.#intervalMs));
    }, ms);
    this.#timer.unref();
  }

  /** Whether it was at work for a good part of the time since the last call. */
  takeWorked(): boolean {
    const nowMs = performance.now();
    if (this.#workingSinceMs !== undefined) this.#rest(nowMs, nowMs);
    const share = this.#workedMs / (nowMs - this.#askedMs);
    this.#workedMs = 0;
    this.#askedMs = nowMs;
    return share > WORKED_SHARE;
  }

  /** What was done until now is over; it is at work again since `sinceMs`, if that is given. */
  #rest(nowMs: number, sinceMs?: number): void {
    this.#workedMs += nowMs - (this.#workingSinceMs ?? nowMs);
    this.#workingSinceMs = sinceMs;
  }

  /** One that fails does not keep the other from its work. */
  async #work(): Promise<void> {
    const { policy } = this.#options;
    this.#workingSinceMs = performance.now();
    const unpruned = policy ? await this.#try('pruning', () => this.#prune(policy)) : '';
    const uncondensed = this.#condense ? await this.#try('condensing', () => this.#condenseNow()) : '';
    this.#rest(performance.now());
    if (!this.#stopped.signal.aborted) this.#told(unpruned || uncondensed);
  }

  /** Gives why it failed; empty when it did not. */
  async #try(what: string, work: () => Promise<void>): Promise<string> {
    try {
      await work();
      return '';
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_ABORTED') && this.#stopped.signal.aborted) return '';
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.error({ error: reason }, `${what} failed; trying again later`);
      return `${what} failed, trying again later: ${reason}`;
    }
  }

  async #prune(policy: PrunePolicy): Promise<void> {
    if (await this.#isIdle(policy)) return;
    const { signal } = this.#stopped;
    this.#logger.debug({}, 'pruning');
    const { kept, dropped, bytesBefore, bytesAfter } = await this.#store.prune(policy, {
      signal,
      growthMax: GROWTH_BYTES_MAX,
    });
    if (dropped.length === 0) return;
    const freedBytes = bytesBefore - bytesAfter;
    this.#logger.info({ kept: kept.length, dropped: dropped.length, freedBytes }, 'pruned');
  }

  /** Nothing to drop: marking everything to find that out would cost more. */
  async #isIdle(policy: PrunePolicy): Promise<boolean> {
    const all: { sequence: number; timeMs: number; tag: string }[] = [];
    for await (const { sequence, timeMs, tag } of this.#store.checkpoints()) all.push({ sequence, timeMs, tag });
    return keptSequences(all, policy).length === all.length;
  }

  async #condenseNow(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      const report = await this.#store.condense({ signal, packBytesMin: LIMITS.condensedPackBytesMin });
      const { packs, packsLeft, damaged, bytesBefore, bytesAfter } = report;
      const log = { packs, packsLeft, damaged, freedBytes: bytesBefore - bytesAfter };
      if (packs + packsLeft + damaged > 0) this.#logger.info(log, 'condensed');
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_UNSUPPORTED')) throw error;
      this.#condense = false;
      this.#logger.warn({ reason: error.message }, 'this store is not condensed');
    }
  }

  /** Ends what is running, as if it had not begun. */
  async close(): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }
}
