import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ROWS_AT_ONCE, sortRows } from '../../src/store/sort-rows.js';

const numbers = (count: number, of: (at: number) => number): Float64Array =>
  Float64Array.from({ length: count }, (_, at) => of(at));

/** The rows, sorted by these values. */
async function sorted(values: Float64Array): Promise<Uint32Array> {
  const rows = Uint32Array.from(values, (_, row) => row);
  await sortRows(rows, (one, other) => (values[one] as number) - (values[other] as number));
  return rows;
}

it('sorts as the language does, rows that are equal in the order they came in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 }), async (values) => {
      const expected = [...values.keys()].sort((one, other) => (values[one] as number) - (values[other] as number));
      expect([...(await sorted(Float64Array.from(values)))]).toEqual(expected);
    }),
  );
});

it('merges runs, whatever their lengths are', async () => {
  for (const count of [ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE + 7, 5 * ROWS_AT_ONCE + 3]) {
    for (const of of [
      (at: number) => (at * 7919) % 65_537,
      (at: number) => at,
      (at: number) => -at,
      (at: number) => at % 3,
    ]) {
      const values = numbers(count, of);
      const rows = await sorted(values);
      expect(new Set(rows).size).toBe(count);
      let wrong = 0;
      for (let at = 1; at < count; at += 1) {
        const [one, other] = [rows[at - 1] as number, rows[at] as number];
        const difference = (values[one] as number) - (values[other] as number);
        if (difference > 0 || (difference === 0 && one > other)) wrong += 1;
      }
      expect(wrong).toBe(0);
    }
  }
});

it('lets others have their turns', async () => {
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  await sorted(numbers(20 * ROWS_AT_ONCE, (at) => (at * 7919) % 1_000_003));
  over = true;
  expect(turns).toBeGreaterThan(60);
});
