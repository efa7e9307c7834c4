/** What is left out of the captures of one session now, and why. Bounded: what is over `LIMITS.leftOutEntries` is not counted. */
import { type BytePath, isWithin, LIMITS, nearestWithinLimits } from '../core/core.js';
import type { ScanFindings } from './state-scan.js';
import type { CaptureSkip, LeftOutCounts } from './types.js';

type Kind = CaptureSkip['kind'];
type Kinds = ReadonlyMap<BytePath, Kind>;

/** Nothing is left out. */
export const NOTHING_LEFT_OUT: LeftOutCounts = { special: 0, 'too-long': 0, unreadable: 0, unsettled: 0 };

export class LeftOut {
  #kinds: Kinds = new Map();

  get counts(): LeftOutCounts {
    const counts: Record<Kind, number> = { ...NOTHING_LEFT_OUT };
    for (const kind of this.#kinds.values()) counts[kind] += 1;
    return counts;
  }

  /** What of it a scan did not touch. What it found comes up again in the capture if it is still left out. */
  untouched({ full, looked, found, removed, droppedTrees }: ScanFindings): Kinds {
    const rest = new Map<BytePath, Kind>();
    // A full scan tells of all that there is.
    if (full || this.#kinds.size === 0) return rest;
    const asked = new Set(looked);
    for (const [path, kind] of this.#kinds) {
      if (found.has(path) || removed.has(path) || droppedTrees.some((tree) => isWithin(path, tree))) continue;
      // The index knows special files alone: all others are found whenever somebody looks.
      if (kind !== 'special' && asked.has(nearestWithinLimits(path))) continue;
      rest.set(path, kind);
    }
    return rest;
  }

  /** From now on it is this, and that. */
  replace(untouched: Kinds, more: Kinds): void {
    const kinds = new Map(untouched);
    for (const [path, kind] of more) if (kinds.size < LIMITS.leftOutEntries || kinds.has(path)) kinds.set(path, kind);
    this.#kinds = kinds;
  }
}
