/** What the captures of a watcher ask it: what was heard since they asked last. */
import type { SessionRun } from './capture-pass.js';
import type { MarkSet } from './mark-set.js';
import type { WatchCoverage } from './watch-coverage.js';
import type { WatchHealth } from './watch-health.js';

export interface HearingParts {
  readonly coverage: WatchCoverage;
  readonly health: WatchHealth;
  /** Marks that are handed over go in here. */
  readonly announced: MarkSet;
  /** Everything was asked for. */
  readonly full: boolean;
}

/** For a freeze point. */
export function hearing({ coverage, health, announced, full }: HearingParts): NonNullable<SessionRun['hear']> {
  let asked = full;
  return async (frozen) => {
    // Directories that changed hands are heard again before everything stands still.
    if (!frozen) await coverage.rearm();
    const heard = await coverage.hear(announced);
    const everything = heard.everything || asked || health.trouble !== '';
    asked = false;
    return { ...heard, everything };
  };
}
