/** What was counted, and what failed. */
import { STATE_KINDS, type StateKind } from './enumerate.js';

export interface Tally {
  enumerated: number;
  /** Different contents of the disk. */
  distinct: number;
  /** Openings of a state: equal contents are opened again when more had been promised. */
  checked: number;
  thorough: number;
  readonly kinds: Record<StateKind, number>;
}

export interface Failure {
  readonly number: number;
  readonly message: string;
  readonly description: string;
}

export interface TraceReport {
  readonly tally: Tally;
  readonly failures: readonly Failure[];
}

export function emptyTally(): Tally {
  const kinds = Object.fromEntries(STATE_KINDS.map((kind) => [kind, 0])) as Record<StateKind, number>;
  return { enumerated: 0, distinct: 0, checked: 0, thorough: 0, kinds };
}

export function addTally(total: Tally, more: Tally): void {
  for (const key of ['enumerated', 'distinct', 'checked', 'thorough'] as const) total[key] += more[key];
  for (const kind of STATE_KINDS) total.kinds[kind] += more.kinds[kind];
}
