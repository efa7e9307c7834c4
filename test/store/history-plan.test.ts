import { expect, it } from 'vitest';
import type { BytePath } from '../../src/core/core.js';
import { ByteWriter } from '../../src/format/format.js';
import { encodePlace } from '../../src/store/blob-index.js';
import { HistoryPlan, type PlannedVersion, pathHash } from '../../src/store/history-plan.js';
import { versionKey } from '../../src/store/meta-keys.js';
import type { MetaReader } from '../../src/store/meta-reader.js';

interface Row {
  readonly path: string;
  readonly sequence: number;
  readonly pack: number;
  readonly offset: number;
  readonly index: number;
}

/** Metadata that has these versions, sorted as it lists them. */
function metaOf(rows: readonly Row[]): MetaReader {
  const entries = rows.map(({ path, sequence, pack, offset, index }): [Buffer, Buffer] => {
    const place = encodePlace(new ByteWriter(16), { pack, offset, recordBytes: 100 });
    return [versionKey(path as BytePath, sequence), place.varint(index).finish()];
  });
  entries.sort(([one], [other]) => Buffer.compare(one, other));
  return {
    range: async function* () {
      yield entries;
    },
  } as unknown as MetaReader;
}

const planned = (plan: HistoryPlan, group: number): Omit<PlannedVersion, 'sequence' | 'pathHash'>[] =>
  [...plan.versions(group)].map(({ pack, offset, index, first }) => ({ pack, offset, index, first }));

it('keeps the last version of each path for each kept checkpoint, in the order of places', async () => {
  const plan = await HistoryPlan.make(
    metaOf([
      { path: 'a', sequence: 1, pack: 7, offset: 500, index: 3 },
      { path: 'a', sequence: 2, pack: 7, offset: 900, index: 0 },
      { path: 'a', sequence: 4, pack: 2, offset: 64, index: 1 },
      { path: 'b', sequence: 2, pack: 7, offset: 900, index: 1 },
      { path: 'c', sequence: 1, pack: 7, offset: 500, index: 2 ** 18 - 1 },
      { path: 'c', sequence: 9, pack: 7, offset: 500, index: 4 },
    ]),
    [2, 4],
  );
  expect(plan.count).toBe(4);
  expect(planned(plan, 0)).toEqual([
    { pack: 7, offset: 500, index: 2 ** 18 - 1, first: true },
    { pack: 7, offset: 900, index: 0, first: true },
    { pack: 7, offset: 900, index: 1, first: true },
  ]);
  expect(planned(plan, 1)).toEqual([{ pack: 2, offset: 64, index: 1, first: false }]);
  const known = [...plan.versions(0)].map((version) => [version.sequence, version.pathHash]);
  expect(known).toEqual(
    [
      ['c', 1],
      ['a', 2],
      ['b', 2],
    ].map(([path, sequence]) => [sequence, pathHash(path as BytePath)]),
  );
});

it('takes places behind what 27 and 32 bits count: a dense pack stands for as much', async () => {
  const offsets = [2 ** 40 + 5, 2 ** 27, 2 ** 32 + 1, 2 ** 27 - 1, 64, 2 ** 33];
  const rows = offsets.map((offset, at) => ({ path: `f${at}`, sequence: 1, pack: 3, offset, index: at }));
  const plan = await HistoryPlan.make(metaOf(rows), [1]);
  const expected = offsets.map((offset, index) => ({ pack: 3, offset, index, first: true }));
  expected.sort((one, other) => one.offset - other.offset);
  expect(planned(plan, 0)).toEqual(expected);
});

it('refuses an index that no record has', async () => {
  const rows = [{ path: 'f', sequence: 1, pack: 3, offset: 64, index: 2 ** 18 }];
  await expect(HistoryPlan.make(metaOf(rows), [1])).rejects.toMatchObject({ code: 'DK_LIMIT' });
});

it('grows with the history', async () => {
  const rows = Array.from({ length: 9000 }, (_, at) => ({
    path: `f${at}`,
    sequence: 1,
    pack: at % 5,
    offset: at,
    index: 0,
  }));
  const plan = await HistoryPlan.make(metaOf(rows), [1]);
  const found = planned(plan, 0);
  expect(found.length).toBe(9000);
  const sorted = [...rows].sort((one, other) => one.pack - other.pack || one.offset - other.offset);
  expect(found.map(({ pack, offset }) => [pack, offset])).toEqual(sorted.map(({ pack, offset }) => [pack, offset]));
});
