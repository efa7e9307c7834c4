/** How a series of durations spreads: counts and percentiles in fixed memory. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Durations in ms; 0 everywhere when nothing was measured. */
export interface SpreadFacts {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const MICROS_PER_MS = 1000;

export class Spread {
  /** Microseconds, three significant digits. */
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: 86_400_000_000, figures: 3 });

  add(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * MICROS_PER_MS)));
  }

  facts(): SpreadFacts {
    const histogram = this.#histogram;
    if (histogram.count === 0) return { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 };
    return {
      count: histogram.count,
      p50Ms: histogram.percentile(50) / MICROS_PER_MS,
      p99Ms: histogram.percentile(99) / MICROS_PER_MS,
      maxMs: histogram.max / MICROS_PER_MS,
    };
  }
}
