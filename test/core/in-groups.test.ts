import { describe, expect, it } from 'vitest';
import { inGroups } from '../../src/core/core.js';

describe('inGroups', () => {
  it('gives results in order and never runs more than a group', async () => {
    let running = 0;
    let most = 0;
    const results = await inGroups([5, 1, 4, 2, 3], 2, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, item));
      running -= 1;
      return item * 10;
    });
    expect([results, most]).toEqual([[50, 10, 40, 20, 30], 2]);
  });

  it('begins no group after a failure', async () => {
    const begun: number[] = [];
    const run = inGroups([1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      if (item === 2) throw new Error('two');
    });
    await expect(run).rejects.toThrow('two');
    expect(begun).toEqual([1, 2]);
  });
});
