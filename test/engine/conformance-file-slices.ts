/** `readSlices` and `prefetchSlices`: slices of blobs that stand in open files. */
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Engine, type FileSlices, NO_FILE, type SliceRange } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';
import { withTree } from './tree.js';

const BYTES = 300_000;
/** Of 5 + 7 + 4 + 6 + 3 bytes: of two blobs in one file, one in another, zeros, one that has no file. */
const SLICES: FileSlices = {
  files: Uint32Array.of(NO_FILE, 0, 1, NO_FILE, 0),
  begins: Float64Array.of(0, 100, 40, 0, 5),
  bytes: Uint32Array.of(0, 50, 20, 9, 30),
  blobs: Uint32Array.of(1, 2, 0, 4, 3),
  offsets: Uint32Array.of(10, 13, 0, 24, 2),
  starts: Float64Array.of(0, 5, 12, 16, 22, 25),
};
const ALL: SliceRange = { first: 0, last: 4, offset: 0, length: 25 };
const ONE: SliceRange = { first: 0, last: 0, offset: 0, length: 5 };

export function describeFileSlices(engine: Engine): void {
  it('reads slices of blobs, zeros included, and leaves out what has no file', () =>
    withFiles(async (fds, [one, other]) => {
      await engine.prefetchSlices(fds, SLICES, ALL);
      const into = Buffer.alloc(30, 0xee);
      expect([...(await engine.readSlices(fds, SLICES, ALL, into))]).toEqual([]);
      const left = Buffer.alloc(3, 0xee);
      const expected = [one.subarray(110, 115), other.subarray(53, 60), Buffer.alloc(4), one.subarray(29, 35), left];
      expect(into.subarray(0, 25).equals(Buffer.concat(expected))).toBe(true);
      expect(into.subarray(25).equals(Buffer.alloc(5, 0xee))).toBe(true);
    }));

  it('cuts the slices at the ends of a range', () =>
    withFiles(async (fds, [one, other]) => {
      const into = Buffer.alloc(16);
      const range = { first: 0, last: 3, offset: 3, length: 16 };
      expect([...(await engine.readSlices(fds, SLICES, range, into))]).toEqual([]);
      const expected = [one.subarray(113, 115), other.subarray(53, 60), Buffer.alloc(4), one.subarray(29, 32)];
      expect(into.equals(Buffer.concat(expected))).toBe(true);
      const inside = { first: 1, last: 1, offset: 7, length: 2 };
      await engine.readSlices(fds, SLICES, inside, into);
      expect(into.subarray(0, 2).equals(other.subarray(55, 57))).toBe(true);
      expect(await engine.readSlices(fds, SLICES, { first: 3, last: 2, offset: 9, length: 0 }, into)).toHaveLength(0);
    }));

  it('leaves out files that are not open, and names the slices that files do not have', () =>
    withFiles(async (fds, [one]) => {
      const into = Buffer.alloc(25, 0xee);
      const begins = Float64Array.of(0, 100, 40, 0, BYTES - 26);
      const closed = Int32Array.of(fds[0] as number, -1);
      expect([...(await engine.readSlices(closed, { ...SLICES, begins }, ALL, into))]).toEqual([3]);
      expect(into.subarray(0, 12).equals(Buffer.concat([one.subarray(110, 115), Buffer.alloc(7, 0xee)]))).toBe(true);
    }));

  it('reads thousands of slices, in whatever order they stand', () =>
    withFiles(async (fds, [one]) => {
      const count = 5000;
      const order = Uint32Array.from({ length: count }, (_, at) => (at * 3089) % count);
      const into = Buffer.alloc(count * 60);
      const slices: FileSlices = {
        files: Uint32Array.of(NO_FILE, 0),
        begins: Float64Array.of(0, 0),
        bytes: Uint32Array.of(0, BYTES),
        blobs: new Uint32Array(count).fill(1),
        offsets: order.map((number) => number * 60),
        starts: Float64Array.from({ length: count + 1 }, (_, at) => at * 60),
      };
      const range = { first: 0, last: count - 1, offset: 0, length: into.length };
      expect(await engine.readSlices(fds, slices, range, into)).toHaveLength(0);
      const expected = Buffer.concat(Array.from(order, (number) => one.subarray(number * 60, number * 60 + 60)));
      expect(into.equals(expected)).toBe(true);
    }));

  it('names of slices that stand in a row only those that the file does not have', () =>
    withFiles(async (fds, [one]) => {
      const count = 200;
      const into = Buffer.alloc(count * 10);
      const slices: FileSlices = {
        files: Uint32Array.of(NO_FILE, 0),
        begins: Float64Array.of(0, BYTES - 995),
        bytes: Uint32Array.of(0, count * 10),
        blobs: new Uint32Array(count).fill(1),
        offsets: Uint32Array.from({ length: count }, (_, at) => at * 10),
        starts: Float64Array.from({ length: count + 1 }, (_, at) => at * 10),
      };
      const range = { first: 0, last: count - 1, offset: 0, length: into.length };
      const missing = await engine.readSlices(fds, slices, range, into);
      expect([...missing]).toEqual(Array.from({ length: 101 }, (_, at) => 99 + at));
      expect(into.subarray(0, 990).equals(one.subarray(BYTES - 995, BYTES - 5))).toBe(true);
    }));

  it('names the slices of a file that cannot be read', () =>
    withTree(async (root) => {
      const handle = await open(root, 'r');
      try {
        const fds = Int32Array.of(handle.fd, -1);
        expect([...(await engine.readSlices(fds, SLICES, ALL, Buffer.alloc(25)))]).toEqual([0, 3]);
      } finally {
        await handle.close();
      }
    }));

  it.each<[string, Partial<FileSlices>, Partial<SliceRange>]>([
    ['a slice of no blob', { blobs: Uint32Array.of(5, 2, 0, 4, 3) }, {}],
    ['a blob in no file', { files: Uint32Array.of(NO_FILE, 2, 1, NO_FILE, 0) }, {}],
    ['a slice that leaves its blob', { offsets: Uint32Array.of(46, 13, 0, 24, 2) }, {}],
    ['a blob that begins before its file', { begins: Float64Array.of(0, -1, 40, 0, 5) }, {}],
    ['a blob that begins between two bytes', { begins: Float64Array.of(0, 0.5, 40, 0, 5) }, {}],
    ['a blob that begins nowhere', { begins: Float64Array.of(0, Number.NaN, 40, 0, 5) }, {}],
    ['a blob that no file reaches', { begins: Float64Array.of(0, 2 ** 53, 40, 0, 5) }, {}],
    ['starts that go back', { starts: Float64Array.of(0, -5, 12, 16, 22, 25) }, {}],
    ['a slice that begins nowhere', { starts: Float64Array.of(Number.NaN, 5, 12, 16, 22, 25) }, {}],
    ['columns of other lengths', { offsets: Uint32Array.of(10) }, {}],
    ['starts without an end', { starts: Float64Array.of(0, 5, 12, 16, 22) }, {}],
    ['no blobs, not even zeros', { files: new Uint32Array(0) }, {}],
    ['a range without room', {}, { length: 26 }],
    ['a range before its slices', {}, { offset: -1 }],
    ['slices beyond the last', {}, { last: 5 }],
    ['slices that lie outside the range', {}, { first: 1, last: 1 }],
  ])('refuses %s', (_, parts, range) =>
    withFiles(async (fds) => {
      const call = engine.readSlices(fds, { ...SLICES, ...parts }, { ...ONE, ...range }, Buffer.alloc(25));
      await expect(call).rejects.toThrow(RangeError);
    }),
  );

  it('refuses columns of another type', () =>
    withFiles(async (fds) => {
      const into = Buffer.alloc(25);
      const listed = { ...SLICES, blobs: [1, 2, 0, 4, 3] as never };
      await expect(engine.readSlices(fds, listed, ONE, into)).rejects.toThrow(TypeError);
      await expect(engine.readSlices([...fds] as never, SLICES, ONE, into)).rejects.toThrow(TypeError);
      await expect(engine.prefetchSlices(fds, { ...SLICES, begins: new Uint32Array(5) as never }, ONE)).rejects.toThrow(
        TypeError,
      );
    }));
}

async function withFiles(task: (fds: Int32Array, contents: [Buffer, Buffer]) => Promise<void>): Promise<void> {
  await withTree(async (root) => {
    const contents: [Buffer, Buffer] = [patternBytes(BYTES, 3), patternBytes(BYTES, 5)];
    const handles = [];
    try {
      for (const [index, content] of contents.entries()) {
        const file = join(root, `file-${index}`);
        await writeFile(file, content);
        handles.push(await open(file, 'r'));
      }
      await task(
        Int32Array.from(handles, ({ fd }) => fd),
        contents,
      );
    } finally {
      for (const handle of handles) await handle.close();
    }
  });
}
