/**
 * What `auto` may spend and what each engine costs, as nominal figures of one core. They decide what is tried, so
 * that the same two files give the same delta on a busy machine and on an idle one.
 */
import type { Effort } from '../engine/engine.js';
import type { DeltaEngineName } from './engines.js';

/** Costs by effort, milliseconds for each MiB of the target. */
type Cost = Readonly<Record<Effort, number>>;

const same = (ms: number): Cost => ({ fast: ms, balanced: ms, max: ms });

const COST: Readonly<Record<DeltaEngineName, Cost>> = {
  raw: same(0),
  xor: { fast: 6, balanced: 25, max: 400 },
  zstd: { fast: 6, balanced: 25, max: 400 },
  'zstd-prefix': { fast: 9, balanced: 30, max: 500 },
  align: { fast: 3, balanced: 10, max: 60 },
  bsdiff: same(130),
  xdelta: same(15),
  tensor: { fast: 1.5, balanced: 4, max: 12 },
};

/** Budget by effort: milliseconds for each MiB of the target, but never less than the floor. */
const BUDGET: Readonly<Record<Effort, { readonly perMib: number; readonly floor: number }>> = {
  fast: { perMib: 10, floor: 20 },
  balanced: { perMib: 60, floor: 120 },
  max: { perMib: 300, floor: 1500 },
};

/** Milliseconds that `auto` may spend on a target of this many bytes. */
export function budgetMs(effort: Effort, targetBytes: number): number {
  const { perMib, floor } = BUDGET[effort];
  return Math.max(floor, (perMib * targetBytes) / 2 ** 20);
}

/** Milliseconds that an engine probably takes for a target of this many bytes. */
export function costMs(engine: DeltaEngineName, effort: Effort, targetBytes: number): number {
  return (COST[engine][effort] * targetBytes) / 2 ** 20;
}

/** The zstd level that goes with an effort. */
export const LEVEL_OF_EFFORT: Readonly<Record<Effort, number>> = { fast: 3, balanced: 9, max: 19 };

const BALANCED_LEVEL = 6;
const MAX_LEVEL = 15;

/** The effort that goes with a zstd level: below 6 fast, below 15 balanced, else max. */
export function effortOfLevel(level: number): Effort {
  if (level < BALANCED_LEVEL) return 'fast';
  return level < MAX_LEVEL ? 'balanced' : 'max';
}
