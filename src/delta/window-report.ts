/** What was tried and taken for the windows of a long file, in one report. */
import type { Effort } from '../engine/engine.js';
import type { DeltaReport } from './choose.js';
import type { DeltaEngineName } from './engines.js';

interface Row {
  tried: number;
  taken: number;
  bytes: number;
  ms: number;
  /** Why it was first considered, or left out. */
  readonly reason: string;
}

const windows = (count: number): string => `${count} ${count === 1 ? 'window' : 'windows'}`;

/** Adds up the reports of windows. */
export class WindowReports {
  #copies = 0;
  #windows = 0;
  #budgetMs = 0;
  readonly #rows = new Map<DeltaEngineName, Row>();

  /** A window that is equal in place: nothing was tried. */
  addCopy(): void {
    this.#copies += 1;
  }

  add({ engine: taken, budgetMs, candidates }: DeltaReport): void {
    this.#windows += 1;
    this.#budgetMs += budgetMs;
    for (const { engine, bytes, ms, reason } of candidates) {
      const row = this.#rows.get(engine) ?? { tried: 0, taken: 0, bytes: 0, ms: 0, reason };
      this.#rows.set(engine, row);
      if (bytes === undefined) continue;
      row.tried += 1;
      row.bytes += bytes;
      row.ms += ms ?? 0;
      if (engine === taken) row.taken += 1;
    }
  }

  /** All windows together: bytes and milliseconds of an engine are the sums over the windows that it was tried on. */
  report(effort: Effort): DeltaReport {
    const rows = [...this.#rows];
    const taken = rows.filter(([, row]) => row.taken > 0).map(([engine, row]) => `${row.taken} by ${engine}`);
    const parts = [...(this.#copies > 0 ? [`${this.#copies} equal in place`] : []), ...taken];
    return {
      engine: 'windows',
      effort,
      why: `${windows(this.#copies + this.#windows)}: ${parts.join(', ') || 'nothing to code'}`,
      budgetMs: this.#budgetMs,
      candidates: rows.map(([engine, { tried, taken: wins, bytes, ms, reason }]) => ({
        engine,
        reason: tried === 0 ? reason : `tried on ${windows(tried)}, taken for ${wins}`,
        ...(tried === 0 ? {} : { bytes, ms }),
      })),
    };
  }
}
