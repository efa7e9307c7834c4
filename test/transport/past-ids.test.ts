import { describe, expect, it } from 'vitest';
import { PastIds } from '../../src/transport/past-ids.js';

describe('numbers that were used', () => {
  it('are known, in any order, and others are not', () => {
    const past = new PastIds();
    for (const id of [3, 1, 7, 2]) past.add(id);
    expect([1, 2, 3, 4, 5, 6, 7, 8].filter((id) => past.has(id))).toEqual([1, 2, 3, 7]);
    for (const id of [4, 5, 6]) past.add(id);
    expect(past.has(7)).toBe(true);
    expect(past.has(8)).toBe(false);
  });

  it('with gaps between them cost no more time for being many: the older half counts as used, gaps and all', () => {
    const past = new PastIds();
    const startMs = performance.now();
    // Sorting them for each number would take an hour.
    for (let at = 1; at <= 600_000 && performance.now() - startMs < 10_000; at += 1) past.add(at * 3);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(past.has(3 * 500_000 + 1)).toBe(true);
    expect(past.has(3 * 599_999)).toBe(true);
    // The newest 30,000 are told apart.
    for (let at = 580_000; at < 600_000; at += 1000)
      expect([past.has(at * 3), past.has(at * 3 + 1)]).toEqual([true, false]);
  });
});
