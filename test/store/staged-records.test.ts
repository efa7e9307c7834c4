/** Records that wait to be written: their bytes, in order, and memory that is used again. */
import { describe, expect, it } from 'vitest';
import { StagedRecords } from '../../src/store/staged-records.js';

const record = (length: number, value: number): Buffer => Buffer.alloc(length, value);

describe('staged records', () => {
  it('come back in order, large and small ones mixed, over several chunks', () => {
    const staged = new StagedRecords();
    const lengths = [10, 17_000, 16_384, 1, 200_000, 5000, 5000, 16_385];
    const records = Array.from({ length: 200 }, (_, i) => record(lengths[i % lengths.length] as number, i));
    for (const one of records) staged.add(one);
    const all = Buffer.concat(records);
    expect(staged.bytes).toBe(all.length);
    expect(Buffer.concat(staged.take()).equals(all)).toBe(true);
    expect(staged.bytes).toBe(0);
    expect(staged.take()).toEqual([]);
  });

  it('go on in the chunk that was begun, after a large one and after they were taken, and leave what was taken as it is', () => {
    const staged = new StagedRecords();
    staged.add(record(100, 1));
    staged.add(record(50_000, 2));
    staged.add(record(100, 3));
    const [first, large, second, ...rest] = staged.take();
    expect(rest).toEqual([]);
    staged.add(record(100, 4));
    staged.add(record(100, 5));
    const [third, ...none] = staged.take();
    expect(none).toEqual([]);
    expect([second, third].map((one) => one?.buffer === first?.buffer)).toEqual([true, true]);
    expect([first, large, second, third].map((one) => [one?.length, one?.[0], one?.at(-1)])).toEqual([
      [100, 1, 1],
      [50_000, 2, 2],
      [100, 3, 3],
      [200, 4, 5],
    ]);
  });
});
