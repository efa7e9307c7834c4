import { describe, expect, it } from 'vitest';
import { EventBudget, type EventVerdict } from '../../src/capture/event-budget.js';
import { isTimed } from '../../src/capture/watch-settings.js';

/** How many events of a directory with this many names are taken. */
function taken(timed: boolean, names: number): number {
  const budget = new EventBudget(timed);
  const count = { events: 0, names };
  const verdicts: EventVerdict[] = [];
  while (verdicts.at(-1) !== 'busy') verdicts.push(budget.judge(count));
  return verdicts.length - 1;
}

describe('events of a busy directory', () => {
  it('are taken for as long as listing it costs more, and longer where quiet hastens the capture', () => {
    expect(taken(false, 10)).toBe(256);
    expect(taken(true, 10)).toBe(16);
    expect(taken(false, 1000)).toBe(256);
    expect(taken(true, 300)).toBe(16);
    expect(taken(true, 1000)).toBe(31);
    expect(taken(true, 1100)).toBe(137);
    expect(taken(false, 8000)).toBe(1000);
    expect(taken(true, 8000)).toBe(1000);
  });

  it('hasten nothing where captures wait for their time anyway', () => {
    expect(isTimed({ maxLagMs: 400, settleMs: 50, rescanMs: 10_000 })).toBe(false);
    expect(isTimed({ maxLagMs: 2000, settleMs: 1000, rescanMs: 10_000 })).toBe(true);
  });
});
