/** Which checkpoints a retention policy keeps. */
import { describe, expect, it } from 'vitest';
import { checkPolicy, keptSequences } from '../../src/store/store.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A Wednesday, 12:00 UTC. */
const NOON = Date.UTC(2026, 0, 14, 12);

/** Newest first; the newest has the highest number. */
function made(ages: readonly number[], tags: readonly string[] = []) {
  return ages.map((age, index) => ({
    sequence: ages.length - index,
    timeMs: NOON - age,
    tag: tags[index] ?? '',
  }));
}

describe('a retention policy', () => {
  it('always keeps the newest', () => {
    expect(keptSequences(made([0, HOUR, DAY]), { keepTags: ['none'] })).toEqual([3]);
    expect(keptSequences([], { keepLast: 1 })).toEqual([]);
  });

  it('keeps the last ones', () => {
    expect(keptSequences(made([0, 1, 2, 3]), { keepLast: 2 })).toEqual([3, 4]);
    expect(keptSequences(made([0, 1]), { keepLast: 9 })).toEqual([1, 2]);
  });

  it('keeps the newest of each hour, day, week and month that has one', () => {
    const hours = made([0, HOUR / 2, HOUR, 1.5 * HOUR, 5 * HOUR]);
    expect(keptSequences(hours, { keepHourly: 3 })).toEqual([2, 4, 5]);
    const days = made([0, HOUR, DAY, DAY + HOUR, 9 * DAY]);
    expect(keptSequences(days, { keepDaily: 3 })).toEqual([1, 3, 5]);
    // Monday is two days before: three days are last week.
    const weeks = made([0, 2 * DAY, 3 * DAY, 9 * DAY, 10 * DAY]);
    expect(keptSequences(weeks, { keepWeekly: 2 })).toEqual([3, 5]);
    const months = made([0, 13 * DAY, 14 * DAY, 45 * DAY]);
    expect(keptSequences(months, { keepMonthly: 3 })).toEqual([1, 2, 4]);
  });

  it('keeps tags and what is young enough', () => {
    const all = made([0, HOUR, DAY, 3 * DAY], ['', 'a', '', 'b']);
    expect(keptSequences(all, { keepTags: ['b'] })).toEqual([1, 4]);
    expect(keptSequences(all, { keepTags: ['*'] })).toEqual([1, 3, 4]);
    expect(keptSequences(all, { keepWithinMs: DAY })).toEqual([2, 3, 4]);
  });

  it('must name something to keep, in sensible numbers', () => {
    expect(() => checkPolicy({})).toThrow(TypeError);
    expect(() => checkPolicy({ keepLast: 0, keepTags: [] })).toThrow(TypeError);
    expect(() => checkPolicy({ keepLast: -1 })).toThrow(RangeError);
    expect(() => checkPolicy({ keepWithinMs: Number.NaN })).toThrow(RangeError);
  });
});
