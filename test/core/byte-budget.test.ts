/** Bytes that may be held at once: nobody overtakes, and who gives up takes nothing. */
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../src/core/core.js';

describe('a budget of bytes', () => {
  it('is never exceeded, and is given out in order', async () => {
    const budget = new ByteBudget(10);
    const order: string[] = [];
    const first = await budget.take(6);
    const large = budget.take(8).then((back) => {
      order.push('large');
      return back;
    });
    const small = budget.take(1).then((back) => {
      order.push('small');
      return back;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([]);
    first();
    // Twice is once: nothing comes from nowhere.
    first();
    const back = await large;
    (await small)();
    expect(order).toEqual(['large', 'small']);
    let isMore = false;
    const more = budget.take(3).then((giveBack) => {
      isMore = true;
      return giveBack;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isMore).toBe(false);
    back();
    (await more)();
  });

  it('lets the others go on when one gives up', async () => {
    const budget = new ByteBudget(10);
    const back = await budget.take(5);
    const abort = new AbortController();
    const large = budget.take(9, abort.signal);
    const small = budget.take(2);
    abort.abort(new Error('no more'));
    await expect(large).rejects.toThrow('no more');
    (await small)();
    back();
    (await budget.take(10))();
  });
});
