/** What an encoder counts. */
import type { StateEngineName } from './state-types.js';

export interface StateMetrics {
  /** States encoded, refreshes and plain ones included. */
  readonly operations: number;
  readonly bytesOriginal: number;
  readonly bytesEncoded: number;
  /** Original by encoded bytes; 0 before the first operation. */
  readonly compressionRatio: number;
  readonly deltaHits: number;
  /** Share of operations that became deltas, 0 to 1. */
  readonly deltaHitRate: number;
  readonly baselineCount: number;
  readonly baselineMemoryBytes: number;
  /** Baselines replaced by the rules of age and count. */
  readonly baselineRefreshes: number;
  readonly baselinesPruned: number;
  /** Gone because of the memory bound. */
  readonly baselinesEvicted: number;
  /** Baselines sent again because a decoder asked. */
  readonly resyncs: number;
  /** Segments by the engine that coded them. */
  readonly engines: Readonly<Partial<Record<StateEngineName, number>>>;
  readonly levelChanges: number;
  /** zstd level of the newest state; 0 before the first, and where zstd was left out since the link is as fast. */
  readonly level: number;
  /** Segments passed through because they look like noise. */
  readonly incompressibleSkips: number;
  readonly dictionariesTrained: number;
  /** Trained dictionaries that won too little on held-out samples. */
  readonly dictionariesRejected: number;
  readonly dictionarySegments: number;
  /** Milliseconds of all operations, waiting excluded. */
  readonly encodeMs: number;
  readonly encodeMsMax: number;
  readonly failures: number;
}

/** The counters behind `StateMetrics`. */
export class StateCounters {
  operations = 0;
  bytesOriginal = 0;
  bytesEncoded = 0;
  deltaHits = 0;
  baselineRefreshes = 0;
  baselinesPruned = 0;
  resyncs = 0;
  incompressibleSkips = 0;
  dictionarySegments = 0;
  level = 0;
  encodeMs = 0;
  encodeMsMax = 0;
  failures = 0;
  readonly engines: Partial<Record<StateEngineName, number>> = {};

  segment(name: StateEngineName, facts: { readonly skipped: boolean; readonly dictionary: boolean }): void {
    this.engines[name] = (this.engines[name] ?? 0) + 1;
    if (facts.skipped) this.incompressibleSkips += 1;
    if (facts.dictionary) this.dictionarySegments += 1;
  }

  operation(facts: {
    readonly delta: boolean;
    readonly stateBytes: number;
    readonly messageBytes: number;
    readonly level: number;
    readonly ms: number;
  }): void {
    this.operations += 1;
    if (facts.delta) this.deltaHits += 1;
    this.bytesOriginal += facts.stateBytes;
    this.bytesEncoded += facts.messageBytes;
    this.level = facts.level;
    this.encodeMs += facts.ms;
    this.encodeMsMax = Math.max(this.encodeMsMax, facts.ms);
  }

  snapshot(
    others: Pick<
      StateMetrics,
      | 'baselineCount'
      | 'baselineMemoryBytes'
      | 'baselinesEvicted'
      | 'levelChanges'
      | 'dictionariesTrained'
      | 'dictionariesRejected'
    >,
  ): StateMetrics {
    const { operations, bytesOriginal, bytesEncoded, deltaHits, baselineRefreshes, baselinesPruned, resyncs } = this;
    const { incompressibleSkips, dictionarySegments, level, encodeMs, encodeMsMax, failures } = this;
    return {
      operations,
      bytesOriginal,
      bytesEncoded,
      compressionRatio: bytesEncoded === 0 ? 0 : bytesOriginal / bytesEncoded,
      deltaHits,
      deltaHitRate: operations === 0 ? 0 : deltaHits / operations,
      baselineRefreshes,
      baselinesPruned,
      resyncs,
      incompressibleSkips,
      dictionarySegments,
      level,
      encodeMs,
      encodeMsMax,
      failures,
      engines: { ...this.engines },
      ...others,
    };
  }
}
