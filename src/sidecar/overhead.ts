/**
 * How often checkpoints may be taken if they are to cost the application no more than a share of the machine: what the
 * processors did for one, shared among all of them, and the pause, in which nobody of the application runs.
 */
import { availableParallelism } from 'node:os';
import type { CaptureReport } from '../capture/capture.js';

/** However dear a checkpoint was, the next one may begin after this time, ms. */
export const SPACING_MAX_MS = 60_000;
/** Part that the newest checkpoint has in the figure, so that a single dear one does not hold up those after it. */
const NEWEST_SHARE = 0.3;

/** What the watch over costs reads; tests give their own. */
export interface CostSources {
  /** Processor time of this process so far, ms. */
  readonly cpuMs: () => number;
  readonly processors: number;
}

const ownCosts: CostSources = {
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  processors: availableParallelism(),
};

export class Overhead {
  readonly #percent: number;
  readonly #sources: CostSources;
  #lastCpuMs: number | undefined;
  #costMs: number | undefined;

  /** @param percent share of the machine, above 0 and at most 100 */
  constructor(percent: number, sources: CostSources = ownCosts) {
    this.#percent = percent;
    this.#sources = sources;
  }

  /** Told of each capture when it is over; gives the time from its begin to that of the next one, ms, at least. */
  spacing(report: Pick<CaptureReport, 'checkpoint'>): number {
    const cpuMs = this.#sources.cpuMs();
    const lastCpuMs = this.#lastCpuMs;
    this.#lastCpuMs = cpuMs;
    // What was done before the first one is over: the start, a recover.
    if (lastCpuMs === undefined) return 0;
    const costMs = (cpuMs - lastCpuMs) / this.#sources.processors + (report.checkpoint?.pauseMs ?? 0);
    this.#costMs = this.#costMs === undefined ? costMs : NEWEST_SHARE * costMs + (1 - NEWEST_SHARE) * this.#costMs;
    return Math.min(SPACING_MAX_MS, (100 * this.#costMs) / this.#percent);
  }
}
