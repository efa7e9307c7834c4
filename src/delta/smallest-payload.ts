/** The smallest payload that a choice allows: of a whole target, or of one window of it. */
import type { Engine } from '../engine/engine.js';
import { type DeltaReport, encodeBest } from './choose.js';
import type { DeltaChoice, DeltaEngine, DeltaJob } from './engines.js';

export interface ChosenPayload {
  readonly engine: DeltaEngine;
  readonly payload: Uint8Array;
  readonly report: DeltaReport;
}

/** As `encodeBest`, for those who wait for nothing else. Throws DK_ABORTED between two engines. */
export async function smallestPayload(
  engine: Engine,
  job: DeltaJob,
  choice: DeltaChoice,
  signal: AbortSignal | undefined,
): Promise<ChosenPayload> {
  return encodeBest(engine, job, choice, signal);
}
