/** What a decoder counts. */
import { isDiffKeeperError } from '../core/core.js';

export interface StateDecoderMetrics {
  /** States decoded. */
  readonly operations: number;
  /** Those of them that came as deltas. */
  readonly deltas: number;
  readonly bytesEncoded: number;
  readonly bytesDecoded: number;
  /** Messages that were not decoded, those that lacked something included. */
  readonly failures: number;
  /** Messages whose baseline or dictionary is not here: DK_BASELINE_MISSING, DK_BASELINE_MISMATCH, DK_DICTIONARY_MISSING. */
  readonly lacking: number;
  /** Milliseconds of all segments, waiting excluded. */
  readonly decodeMs: number;
  /** Of the state that took longest. */
  readonly decodeMsMax: number;
  readonly baselineCount: number;
  readonly baselineMemoryBytes: number;
  /** Gone because nobody used them. */
  readonly baselinesPruned: number;
  /** Gone because of the memory bound. */
  readonly baselinesEvicted: number;
}

/** The counters behind `StateDecoderMetrics`. */
export class DecoderCounters {
  operations = 0;
  deltas = 0;
  bytesEncoded = 0;
  bytesDecoded = 0;
  failures = 0;
  lacking = 0;
  decodeMs = 0;
  decodeMsMax = 0;
  baselinesPruned = 0;

  operation(facts: {
    readonly kind: string;
    readonly stateBytes: number;
    readonly messageBytes: number;
    readonly ms: number;
  }): void {
    this.operations += 1;
    if (facts.kind === 'delta') this.deltas += 1;
    this.bytesEncoded += facts.messageBytes;
    this.bytesDecoded += facts.stateBytes;
    this.decodeMs += facts.ms;
    this.decodeMsMax = Math.max(this.decodeMsMax, facts.ms);
  }

  failed(error: unknown): void {
    this.failures += 1;
    const lacks = ['DK_BASELINE_MISSING', 'DK_BASELINE_MISMATCH', 'DK_DICTIONARY_MISSING'];
    if (isDiffKeeperError(error) && lacks.includes(error.code)) this.lacking += 1;
  }
}
