/** What a prune drops, and whether it pays: for the prune itself, and for whoever only wants to know. */
import type { NewestState } from './blob-index.js';
import { readCondensed } from './condensed-mark.js';
import { type CheckpointFacts, type PlanFacts, type PlanParts, PrunePlan } from './prune-plan.js';
import { keptSequences, type PrunePolicy } from './prune-policy.js';
import type { PruneOptions, PruneReport } from './types.js';

/** With nothing to drop the history is written anew for no less than this, bytes: a block of most file systems. */
const GAIN_MIN = 4096;

type DecisionParts = PlanParts & {
  /** Where the log of commits ends now. */
  readonly state: () => NewestState | null;
};

/** What is dropped, and what that does. */
export interface Decision {
  readonly facts: PlanFacts | null;
  readonly plan: PrunePlan | null;
  /** As if nothing were to be done. */
  readonly report: PruneReport;
}

/** What `prune` would do with the store as it is now; only reads. */
export async function estimatePrune(
  parts: DecisionParts,
  policy: PrunePolicy,
  options: PruneOptions,
): Promise<PruneReport> {
  const { plan, report } = await decidePrune(parts, policy, options);
  if (!plan) return { ...report, dryRun: true };
  const { versions, change, live } = plan;
  const { plannedBytes: movedBytes, retired } = plan.sweep;
  const counts = { versions, movedBytes, removedPacks: retired.length, damaged: live.damaged };
  return { ...report, ...counts, dryRun: true, bytesAfter: report.bytesBefore + change };
}

/** @param upTo later checkpoints were made since somebody asked: they stay, and are not told of */
export async function decidePrune(
  parts: DecisionParts,
  policy: PrunePolicy,
  options: PruneOptions,
  upTo = Number.POSITIVE_INFINITY,
): Promise<Decision> {
  const began = parts.state();
  const checkpoints: CheckpointFacts[] = [];
  for await (const { sequence, timeMs, tag, storedBytes } of parts.history.checkpoints(-1)) {
    if (sequence <= (began?.sequence ?? 0)) checkpoints.push({ sequence, timeMs, tag, storedBytes });
  }
  const since = checkpoints.filter(({ sequence }) => sequence > upTo).map(({ sequence }) => sequence);
  const kept = keptSequences(checkpoints.slice(since.length), policy);
  const bytesBefore = await packBytes(parts);
  const known = new Set(kept);
  const all = checkpoints.slice(since.length).map(({ sequence }) => sequence);
  const dropped = all.filter((sequence) => !known.has(sequence)).reverse();
  const none = { versions: 0, movedBytes: 0, removedPacks: 0, writtenPacks: 0, damaged: 0, packsLeft: 0 };
  const report = { dryRun: false, kept, dropped, bytesBefore, bytesAfter: bytesBefore, ...none };
  if (!began) return { facts: null, plan: null, report };
  const dense = !parts.packs.records.sealed && (await readCondensed(parts.meta)) !== 0;
  const facts = { began, kept: [...kept, ...since.reverse()], checkpoints, dense };
  const plan = await PrunePlan.make(parts, options, facts);
  // Without anything to drop it may still pay to put packs together, but not to write the history for nothing.
  if (dropped.length === 0 && plan.change > -GAIN_MIN) return { facts: null, plan: null, report };
  if (plan.change > (options.growthMax ?? Number.POSITIVE_INFINITY)) {
    return { facts: null, plan: null, report: { ...report, kept: all.reverse(), dropped: [] } };
  }
  return { facts, plan, report };
}

async function packBytes({ packs }: Pick<PlanParts, 'packs'>): Promise<number> {
  let bytes = 0;
  for (const pack of await packs.list()) bytes += await packs.fileBytes(pack);
  return bytes;
}
