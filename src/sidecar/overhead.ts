/**
 * How often checkpoints may be taken if they are to cost the application no more than a share of the machine: what the
 * processors did for one, shared among all of them, and the pause, in which nobody of the application runs.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** However dear a checkpoint was, the next one may begin after this time, ms. */
export const SPACING_MAX_MS = 60_000;
/** Part that the newest checkpoint has in the figure, so that a single dear one does not hold up those after it. */
const NEWEST_SHARE = 0.3;

/** A single checkpoint counts as at most so many times what those before it cost; the next one counts as what it costs. */
const DEARER_MAX = 4;
/** Quota of a control group, as a container sees its own. */
const QUOTA_FILE = '/sys/fs/cgroup/cpu.max';

/** What the watch over costs reads; tests give their own. */
export interface CostSources {
  /** Processor time of this process so far, ms. */
  readonly cpuMs: () => number;
  readonly processors: number;
  /** For how long the application has stood still so far, ms: also for captures that failed or found nothing. */
  readonly pausedMs: () => number;
}

const ownCosts: Omit<CostSources, 'pausedMs'> = {
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  processors: processorsOf(quotaText()),
};

function quotaText(): string {
  try {
    return readFileSync(QUOTA_FILE, 'latin1');
  } catch {
    return '';
  }
}

/** Processors that may be used; a quota of less than all of them counts (`cpu.max`: microseconds, and of how many). */
export function processorsOf(quota: string, all = availableParallelism()): number {
  const [, used, period] = /^(\d+) (\d+)\s*$/.exec(quota) ?? [];
  const processors = Number(used) / Number(period);
  return processors > 0 && processors < all ? processors : all;
}

export class Overhead {
  readonly #percent: number;
  readonly #sources: CostSources;
  #last: { readonly cpuMs: number; readonly pausedMs: number } | undefined;
  #costMs: number | undefined;
  #wasDear = false;

  /** @param percent share of the machine, above 0 and at most 100 */
  constructor(percent: number, sources: Pick<CostSources, 'pausedMs'> & Partial<CostSources>) {
    this.#percent = percent;
    this.#sources = { ...ownCosts, ...sources };
  }

  /**
   * Told of each capture when it is over; gives the time from its begin to that of the next one, ms, at least.
   *
   * @param maintained a prune or a condense was at work for much of the time since the one before: what the processors did for that
   *   cannot be told from the capture's own, which counts as no more than before. The pause is always the capture's
   */
  spacing(maintained = false): number {
    const { cpuMs, pausedMs, processors } = this.#sources;
    const now = { cpuMs: cpuMs(), pausedMs: pausedMs() };
    const last = this.#last;
    this.#last = now;
    // What was done before the first one is over: the start, a recover.
    if (last === undefined) return 0;
    const pauseMs = now.pausedMs - last.pausedMs;
    const allMs = (now.cpuMs - last.cpuMs) / processors + pauseMs;
    // What none was measured to take is not known: an application that stood still did.
    if (maintained && this.#costMs === undefined) return this.#spacingMs(pauseMs);
    const costMs = maintained ? Math.min(allMs, Math.max(pauseMs, this.#costMs as number)) : allMs;
    const before = this.#costMs ?? costMs;
    const isDear = costMs > DEARER_MAX * before;
    const counted = isDear && !this.#wasDear ? DEARER_MAX * before : costMs;
    this.#wasDear = isDear;
    this.#costMs = NEWEST_SHARE * counted + (1 - NEWEST_SHARE) * before;
    return this.#spacingMs();
  }

  #spacingMs(costMs = this.#costMs ?? 0): number {
    return Math.min(SPACING_MAX_MS, (100 * costMs) / this.#percent);
  }
}
