/** Tries the engines that a choice allows and keeps the smallest payload: of a whole target, or of one window of it. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { DELTA_ENGINES, type DeltaChoice, type DeltaEngine, type DeltaJob } from './engines.js';

export interface ChosenPayload {
  readonly engine: DeltaEngine;
  readonly payload: Uint8Array;
}

/** Throws DK_ABORTED between two engines. */
export async function smallestPayload(
  engine: Engine,
  job: DeltaJob,
  choice: DeltaChoice,
  signal: AbortSignal | undefined,
): Promise<ChosenPayload> {
  let best: ChosenPayload | undefined;
  for (const candidate of DELTA_ENGINES) {
    if (!candidate.choices.includes(choice) || !candidate.worthTrying(job.source, job.target, choice)) continue;
    throwIfAborted(signal);
    const payload = await candidate.encode(engine, job);
    if (best === undefined || payload.length < best.payload.length) best = { engine: candidate, payload };
  }
  throwIfAborted(signal);
  if (best === undefined) throw new DiffKeeperError('DK_UNSUPPORTED', `no engine for ${choice}`);
  return best;
}
