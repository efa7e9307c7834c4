/** `openGroup`: the records of a group of a dense pack in one crossing, or null. The twin always says null. */
import { type FileHandle, open } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { encodeGroup, homeBytes, RECORD } from '../../src/format/format.js';
import {
  type Folded,
  foldRecords,
  groupOf,
  historyRecords,
  homeOf,
  MARGIN,
  openedBytes,
  unfoldedBytes,
  withPack,
} from './dense-groups.js';
import { patternBytes, RUNS } from './samples.js';
import { withTree } from './tree.js';

const wanted = fc.record({
  kind: fc.constantFrom(RECORD.blob, RECORD.recipe, RECORD.versions, RECORD.checkpoint, RECORD.prune),
  bytes: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(70, 4095, 4096, 4097, 9000)),
  seed: fc.integer({ min: 1, max: 5 }),
  names: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
  whole: fc.boolean(),
});

/** One of each: rows, names, and a record that is whole in it. */
const SHORT = [
  { kind: RECORD.blob, bytes: 9, seed: 1, names: [], whole: false },
  { kind: RECORD.versions, bytes: 12, seed: 2, names: [1], whole: false },
  { kind: RECORD.checkpoint, bytes: 12, seed: 2, names: [1, 2], whole: false },
  { kind: RECORD.recipe, bytes: 5, seed: 3, names: [1, 2], whole: true },
  { kind: RECORD.versions, bytes: 12, seed: 4, names: [3], whole: false },
];

/** More than is decoded together. */
const LONG = [
  ...historyRecords(150),
  ...Array.from({ length: 90 }, (_, index) => [
    { kind: RECORD.blob, bytes: 9000 + index, seed: 100 + index, names: [], whole: index % 17 === 5 },
    { kind: RECORD.versions, bytes: 40, seed: index + 1, names: [1], whole: false },
    { kind: RECORD.checkpoint, bytes: 60, seed: 3, names: [1, 3], whole: false },
  ]).flat(),
];

const ALL = { from: 0, length: 2 ** 30 };

/** What the engine is to give: the twin gives nothing. */
function expected(engine: Engine, bytes: Buffer | null): string | null {
  return engine.info.kind === 'native' ? (bytes?.toString('latin1') ?? null) : null;
}

/** The engine gives what reading step by step gives, and nothing where that refuses. @returns whether it was taken */
async function compare(engine: Engine, pack: FileHandle, folded: Folded): Promise<boolean> {
  const group = await groupOf(engine, folded);
  const slow = await unfoldedBytes(engine, group);
  const fast = await openedBytes(engine, pack, group, { bytes: folded.bytes });
  expect(fast?.toString('latin1') ?? null).toBe(expected(engine, slow));
  return slow !== null;
}

export function describeGroups(engine: Engine): void {
  const native = engine.info.kind === 'native';

  it('gives the records of a history, by either digest', () =>
    withPack(async (pack) => {
      for (const algo of ['blake3', 'sha256'] as const) {
        const { plain, ...folded } = foldRecords(engine, historyRecords(200), algo);
        const group = await groupOf(engine, folded, 9000);
        const got = await openedBytes(engine, pack, group, { offset: 9000, bytes: plain.length, algo });
        expect(got?.toString('latin1') ?? null).toBe(expected(engine, plain));
      }
    }));

  it('gives records of every kind and length', () =>
    withPack((pack) =>
      fc.assert(
        fc.asyncProperty(fc.array(wanted, { minLength: 1, maxLength: 90 }), async (list) => {
          const { plain, ...folded } = foldRecords(engine, list);
          const got = await openedBytes(engine, pack, await groupOf(engine, folded), { bytes: plain.length });
          expect(got?.toString('latin1') ?? null).toBe(expected(engine, plain));
        }),
        RUNS,
      ),
    ));

  it('gives any bytes of them, and none behind', () =>
    withPack(async (pack) => {
      const { plain, ...folded } = foldRecords(engine, historyRecords(150));
      const group = await groupOf(engine, folded);
      await pack.write(group, 0, group.length, MARGIN);
      const home = homeBytes(homeOf(engine), MARGIN);
      const place = { place: MARGIN, groupBytes: group.length, offset: 64, bytes: plain.length, home };
      const opened = await engine.openGroup(pack.fd, place, 'blake3', { from: 0, length: 10 });
      expect(opened !== null).toBe(native);
      if (opened === null) return;
      // From the end on: what is named there was not asked for yet.
      for (let from = plain.length - 1; from > 0; from -= 997) {
        const some = Buffer.alloc(1500, 0xee);
        expect(await opened.fetch(from, some.length)).toBe(true);
        expect(opened.copy(from, some)).toBe(true);
        const end = Math.min(some.length, plain.length - from);
        expect(some.subarray(0, end).equals(plain.subarray(from, from + end))).toBe(true);
        expect(some.subarray(end).every((byte) => byte === 0xee)).toBe(true);
      }
      const behind = Buffer.alloc(3, 0xee);
      opened.copy(plain.length, behind);
      opened.copy(plain.length + 1000, behind);
      opened.copy(0, behind.subarray(0, 0));
      expect(behind.toString('hex')).toBe('eeeeee');
      expect(() => opened.copy(-1, behind)).toThrow(RangeError);
      expect(() => opened.copy(0.5, behind)).toThrow(RangeError);
      expect(() => opened.copy(0, 'b' as never)).toThrow(TypeError);
    }));

  it('decodes what is wanted, and the rest when it is asked for', () =>
    withPack(async (pack) => {
      const { plain, ...folded } = foldRecords(engine, LONG);
      const group = await groupOf(engine, folded);
      await pack.write(group, 0, group.length, MARGIN);
      const home = homeBytes(homeOf(engine), MARGIN);
      const place = { place: MARGIN, groupBytes: group.length, offset: 64, bytes: plain.length, home };
      let missing = 0;
      for (const from of [0, 1000, plain.length >>> 1, plain.length - 700, plain.length, plain.length + 9]) {
        const opened = await engine.openGroup(pack.fd, place, 'blake3', { from, length: 700 });
        expect(opened !== null).toBe(native);
        if (opened === null) return;
        const some = Buffer.alloc(700, 0xee);
        expect(opened.copy(from, some)).toBe(true);
        const here = plain.subarray(from, from + some.length);
        expect(some.subarray(0, here.length).equals(here)).toBe(true);
        // From far away on: each time something else is missing, until all is there.
        for (let at = plain.length - 5000; at > 0; at -= 77_777) {
          const next = Buffer.alloc(4000, 0xee);
          if (!opened.copy(at, next)) {
            missing += 1;
            expect(next.every((byte) => byte === 0xee)).toBe(true);
            // Twice at once: others ask as well.
            expect(await Promise.all([opened.fetch(at, 4000), opened.fetch(at, 4000)])).toEqual([true, true]);
            expect(opened.copy(at, next)).toBe(true);
          }
          expect(next.equals(plain.subarray(at, at + 4000))).toBe(true);
        }
        const all = Buffer.alloc(plain.length);
        expect(await opened.fetch(0, plain.length)).toBe(true);
        expect(opened.copy(0, all)).toBe(true);
        expect(all.equals(plain)).toBe(true);
        await expect(opened.fetch(-1, 5)).rejects.toThrow(RangeError);
      }
      expect(missing).toBeGreaterThan(2);
    }));

  it('says where a group is damaged behind what was wanted', () =>
    withPack(async (pack) => {
      const { plain, folded, records, bytes } = foldRecords(engine, LONG);
      const frame = Buffer.from(await engine.compress(folded, { level: 3 }));
      // A block of a kind that there is not, with every checksum right.
      const last = lastBlock(frame);
      frame[last] = (frame[last] as number) | 6;
      const where = { home: homeOf(engine), place: MARGIN };
      const group = encodeGroup({ foldedBytes: folded.length, records, offset: 64, bytes }, frame, where);
      await pack.write(group, 0, group.length, MARGIN);
      const home = homeBytes(homeOf(engine), MARGIN);
      const place = { place: MARGIN, groupBytes: group.length, offset: 64, bytes, home };
      expect(await engine.openGroup(pack.fd, place, 'blake3', ALL)).toBeNull();
      const opened = await engine.openGroup(pack.fd, place, 'blake3', { from: 0, length: 700 });
      if (opened === null) return;
      const behind = Buffer.alloc(700);
      expect(opened.copy(plain.length - 700, behind)).toBe(false);
      expect(await opened.fetch(plain.length - 700, 700)).toBe(false);
      expect(opened.copy(plain.length - 700, behind)).toBe(false);
    }));

  it('takes what can be read step by step, and refuses all else', () =>
    withPack(async (pack) => {
      const { plain, ...good } = foldRecords(engine, SHORT);
      let taken = 0;
      let refused = 0;
      // Most of it is the table.
      for (let at = 0; at < good.folded.length; at += 1) {
        const folded = Buffer.from(good.folded);
        folded[at] = (folded[at] as number) ^ ([1, 2, 0x80, 0x11][at % 4] as number);
        if (await compare(engine, pack, { ...good, folded })) taken += 1;
        else refused += 1;
      }
      for (const other of [
        { ...good, bytes: good.bytes - 1 },
        { ...good, bytes: good.bytes + 60 },
        { ...good, records: good.records - 1 },
        { ...good, records: good.records + 1 },
        { ...good, folded: good.folded.subarray(0, -1) },
        { ...good, folded: Buffer.concat([good.folded, Buffer.of(0)]) },
      ]) {
        expect(await compare(engine, pack, other)).toBe(false);
      }
      expect(Math.min(taken, refused)).toBeGreaterThan(9);
      expect(plain.length).toBe(good.bytes);
    }));

  it('takes no numbers that cannot be', () =>
    withPack(async (pack) => {
      for (const [name, rows, bytes] of [
        ['a kind of more than a byte', [[0x80000001, 60, 0]], 68],
        ['an unknown form', [[0x21, 60, 0]], 68],
        ['an unknown kind', [[6, 1, 0]], 61],
        ['a record that names itself', [[1, 1, 1, 0, 0]], 93],
        ['a record that names one before all', [[1, 1, 1, 0, 1]], 93],
        [
          'a cut behind the body',
          [
            [1, 1, 0],
            [3, 1, 1, 2, 1],
          ],
          154,
        ],
        ['more cuts than numbers', [[1, 1, 0xffffffff]], 61],
        ['a longer body than there is', [[1, 0xffffffff, 0]], 61],
        [
          'a whole record without a head',
          [
            [0x11, 51, 0],
            [1, 1, 0],
          ],
          120,
        ],
        ['a number too many', [[1, 1, 0], [0]], 61],
      ] as const) {
        const table = Buffer.concat(rows.flat().map(varint));
        const bodies = Buffer.alloc(
          rows.reduce((sum, [, body]) => sum + Math.min(100, body ?? 0), 0),
          7,
        );
        const folded = Buffer.concat([varint(table.length), table, bodies]);
        const records = rows.filter((row) => row.length > 1).length;
        expect(await compare(engine, pack, { folded, records, bytes }), name).toBe(false);
      }
      // The same with numbers that can.
      const table = Buffer.concat([1, 1, 0].map(varint));
      const folded = Buffer.concat([varint(table.length), table, Buffer.of(7)]);
      expect(await compare(engine, pack, { folded, records: 1, bytes: 61 })).toBe(true);
    }));

  it('gives nothing of a group that belongs elsewhere', () =>
    withPack(async (pack) => {
      const { plain, ...folded } = foldRecords(engine, SHORT);
      const group = await groupOf(engine, folded);
      const got = await openedBytes(engine, pack, group, { bytes: plain.length });
      expect(got?.toString('latin1') ?? null).toBe(expected(engine, plain));
      const home = homeOf(engine);
      const right = homeBytes(home, MARGIN);
      for (const other of [
        homeBytes(home, MARGIN + 1),
        homeBytes({ ...home, pack: 4 }, MARGIN),
        homeBytes({ ...home, storeId: patternBytes(16, 8) }, MARGIN),
        Buffer.alloc(0),
        right.subarray(1),
        Buffer.concat([right, right]),
      ]) {
        expect(await openedBytes(engine, pack, group, { bytes: plain.length, home: other })).toBeNull();
      }
    }));

  it('gives nothing of a damaged group, or of another one', () =>
    withPack(async (pack) => {
      const { plain, ...folded } = foldRecords(engine, historyRecords(3));
      const group = await groupOf(engine, folded);
      const right = { bytes: plain.length };
      expect((await openedBytes(engine, pack, group, right)) !== null).toBe(native);
      expect(await openedBytes(engine, pack, group, { ...right, offset: 65 })).toBeNull();
      expect(await openedBytes(engine, pack, group, { bytes: plain.length - 1 })).toBeNull();
      expect(await openedBytes(engine, pack, group.subarray(0, -1), right)).toBeNull();
      expect(await openedBytes(engine, pack, group.subarray(1), right)).toBeNull();
      expect(await openedBytes(engine, pack, group.subarray(0, 20), right)).toBeNull();
      for (let at = 0; at < group.length; at += 5) {
        const other = Buffer.from(group);
        other[at] = (other[at] as number) ^ 0x10;
        expect(await openedBytes(engine, pack, other, right), `byte ${at}`).toBeNull();
      }
    }));

  it('passes on what the system says, and refuses places that cannot be', () =>
    withTree(async (root) => {
      const place = { place: 0, groupBytes: 100, offset: 64, bytes: 100, home: Buffer.alloc(0) };
      const handle = await open(root, 'r');
      try {
        const got = await engine.openGroup(handle.fd, place, 'blake3', ALL).catch(({ code }: { code: string }) => code);
        expect(got).toBe(native ? 'EISDIR' : null);
        for (const change of [
          { place: -1 },
          { place: 0.5 },
          { groupBytes: 0 },
          { groupBytes: 2 ** 24 },
          { offset: -1 },
          { bytes: (8 << 20) + 1 },
          { home: Buffer.alloc(65) },
        ]) {
          await expect(engine.openGroup(handle.fd, { ...place, ...change }, 'blake3', ALL)).rejects.toThrow(RangeError);
        }
        await expect(engine.openGroup(-1, place, 'blake3', ALL)).rejects.toThrow(RangeError);
        await expect(engine.openGroup(handle.fd, place, 'md5' as 'blake3', ALL)).rejects.toThrow();
      } finally {
        await handle.close();
      }
    }));
}

/** Where the last block of a frame begins: RFC 8878, with the content size in four bytes and no window. */
function lastBlock(frame: Buffer): number {
  expect(frame.readUInt32LE(0)).toBe(0xfd2fb528);
  const flags = frame.readUInt8(4);
  const size = [flags & 0x20 ? 1 : 0, 2, 4, 8][flags >>> 6] as number;
  let at = 5 + (flags & 0x20 ? 0 : 1) + size;
  for (;;) {
    const head = frame.readUIntLE(at, 3);
    if (head & 1) return at;
    at += 3 + (((head >>> 1) & 3) === 1 ? 1 : head >>> 3);
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
