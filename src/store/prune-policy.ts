/** Which checkpoints a policy keeps: pure, so that `--dry-run`, the sidecar and tests decide alike. */
import type { Checkpoint } from '../format/format.js';
import type { PruneOptions, PruneReport, Store } from './types.js';

/**
 * What is kept; rules add up. The newest checkpoint is always kept. Hours, days (from midnight), weeks (from Monday) and
 * months are those of UTC; of each the newest checkpoint counts.
 */
export interface PrunePolicy {
  /** This many of the newest checkpoints. */
  readonly keepLast?: number;
  /** The newest of each of the last so many hours that have one; likewise for the others. */
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  /** Every checkpoint with one of these tags; `*` means any tag. */
  readonly keepTags?: readonly string[];
  /** Every checkpoint not older than this before the newest one, ms. */
  readonly keepWithinMs?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970-01-01 was a Thursday: weeks that begin on Monday begin three days before. */
const MONDAY_MS = 3 * DAY_MS;

const COUNTS = ['keepLast', 'keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly'] as const;

type Slot = (timeMs: number) => number;

const SLOTS: Readonly<Record<Exclude<(typeof COUNTS)[number], 'keepLast'>, Slot>> = {
  keepHourly: (timeMs) => Math.floor(timeMs / HOUR_MS),
  keepDaily: (timeMs) => Math.floor(timeMs / DAY_MS),
  keepWeekly: (timeMs) => Math.floor((timeMs + MONDAY_MS) / (7 * DAY_MS)),
  keepMonthly: (timeMs) => {
    const date = new Date(timeMs);
    return date.getUTCFullYear() * 12 + date.getUTCMonth();
  },
};

/** Throws RangeError for a bad number, TypeError for a policy that names nothing to keep. */
export function checkPolicy(policy: PrunePolicy): void {
  for (const name of COUNTS) {
    const value = policy[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new RangeError(`${name} must be a whole number from 0 up, came ${value}`);
    }
  }
  const within = policy.keepWithinMs;
  if (within !== undefined && !(Number.isFinite(within) && within >= 0)) {
    throw new RangeError(`keepWithinMs must be a number from 0 up, came ${within}`);
  }
  const named = COUNTS.some((name) => (policy[name] ?? 0) > 0) || within !== undefined;
  if (!named && (policy.keepTags ?? []).length === 0) {
    throw new TypeError('a policy must keep something: at least one of its numbers must be above 0');
  }
}

/** Sequences that are kept, ascending. `checkpoints`: newest first. */
export function keptSequences(
  checkpoints: readonly Pick<Checkpoint, 'sequence' | 'timeMs' | 'tag'>[],
  policy: PrunePolicy,
): number[] {
  checkPolicy(policy);
  const newest = checkpoints[0];
  if (!newest) return [];
  const kept = new Set<number>([newest.sequence]);
  for (const { sequence } of checkpoints.slice(0, policy.keepLast ?? 0)) kept.add(sequence);
  for (const [name, slot] of Object.entries(SLOTS)) {
    const count = policy[name as keyof typeof SLOTS] ?? 0;
    const slots = new Set<number>();
    for (const { sequence, timeMs } of checkpoints) {
      if (slots.size >= count) break;
      if (slots.has(slot(timeMs))) continue;
      slots.add(slot(timeMs));
      kept.add(sequence);
    }
  }
  const tags = new Set(policy.keepTags ?? []);
  for (const { sequence, timeMs, tag } of checkpoints) {
    if (tag !== '' && (tags.has(tag) || tags.has('*'))) kept.add(sequence);
    if (policy.keepWithinMs !== undefined && newest.timeMs - timeMs <= policy.keepWithinMs) kept.add(sequence);
  }
  return [...kept].sort((one, other) => one - other);
}

/** See `Store.prune`. */
export function prune(store: Store, policy: PrunePolicy, options: PruneOptions = {}): Promise<PruneReport> {
  return store.prune(policy, options);
}

/** Of a store that has one checkpoint at most. Throws as `checkPolicy` does. */
export function nothingPruned(newest: Checkpoint | null, policy: PrunePolicy): PruneReport {
  const kept = keptSequences(newest ? [newest] : [], policy);
  const none = { versions: 0, bytesBefore: 0, bytesAfter: 0, movedBytes: 0, removedPacks: 0, writtenPacks: 0 };
  return { dryRun: false, kept, dropped: [], ...none, damaged: 0, packsLeft: 0 };
}
