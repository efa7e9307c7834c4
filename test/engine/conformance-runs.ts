/** `readRuns` and `prefetchRuns`: many pieces of one file in one crossing. */
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';
import { withTree } from './tree.js';

const BYTES = 300_000;
const PAGE = 4096;

export function describeRuns(engine: Engine): void {
  it('reads runs of a file behind one another', () =>
    withFile(async (fd, content) => {
      const runs = Float64Array.of(100, 50, 200_000, 70_000, 0, 0, 7, 1, 100, 50);
      const into = Buffer.alloc(70_101 + 10, 0xee);
      await engine.prefetchRuns(fd, runs);
      expect([...(await engine.readRuns(fd, runs, into))]).toEqual([50, 70_000, 0, 1, 50]);
      const expected = [
        content.subarray(100, 150),
        content.subarray(200_000, 270_000),
        content.subarray(7, 8),
        content.subarray(100, 150),
      ];
      expect(into.subarray(0, 70_101).equals(Buffer.concat(expected))).toBe(true);
      expect(into.subarray(70_101).equals(Buffer.alloc(10, 0xee))).toBe(true);
    }));

  it('reads what there is of runs that the file does not reach, each in its own room', () =>
    withFile(async (fd, content) => {
      const into = Buffer.alloc(300);
      const runs = Float64Array.of(BYTES - 10, 100, BYTES + 5, 100, 0, 100);
      expect([...(await engine.readRuns(fd, runs, into))]).toEqual([10, 0, 100]);
      expect(into.subarray(0, 10).equals(content.subarray(BYTES - 10))).toBe(true);
      expect(into.subarray(200).equals(content.subarray(0, 100))).toBe(true);
    }));

  it('reads past the page cache what it would read through it, whatever the runs and the room are like', () =>
    withFile(async (fd, content) => {
      const last = Math.floor(BYTES / PAGE) * PAGE;
      // Whole pages, whole pages with the end of the file in the last of them, too short, and what begins in a page.
      for (const runs of [
        [PAGE, 20 * PAGE],
        [last - 16 * PAGE, 17 * PAGE],
        [0, PAGE, 0, 16 * PAGE],
        [5, 20 * PAGE, 0, 100],
      ]) {
        for (const room of [engine.alignedBuffer(40 * PAGE), engine.alignedBuffer(40 * PAGE).subarray(7)]) {
          const done = await engine.readRuns(fd, Float64Array.from(runs), room, true);
          let at = 0;
          for (let run = 0; run < done.length; run += 1) {
            const [offset = 0, length = 0] = runs.slice(2 * run);
            const expected = content.subarray(offset, offset + length);
            expect(done[run]).toBe(expected.length);
            expect(room.subarray(at, at + expected.length).equals(expected)).toBe(true);
            at += length;
          }
        }
      }
    }));

  it('says for each run what kept it from being read', () =>
    withTree(async (root) => {
      const handle = await open(root, 'r');
      try {
        const done = await engine.readRuns(handle.fd, Float64Array.of(0, 10, 5, 10), Buffer.alloc(20));
        expect([...done]).toEqual([-21, -21]);
      } finally {
        await handle.close();
      }
    }));

  it('refuses runs that are no pairs of whole numbers, or longer than the room for them', () =>
    withFile(async (fd) => {
      const into = Buffer.alloc(10);
      for (const runs of [[1], [-1, 5], [0.5, 5], [0, 11], [0, 6, 0, 6], [Number.NaN, 1], [0, 2 ** 32]]) {
        await expect(engine.readRuns(fd, Float64Array.from(runs), into)).rejects.toThrow(RangeError);
      }
      await expect(engine.readRuns(-1, Float64Array.of(0, 1), into)).rejects.toThrow(RangeError);
      await expect(engine.prefetchRuns(fd, Float64Array.of(3))).rejects.toThrow(RangeError);
    }));
}

async function withFile(task: (fd: number, content: Buffer) => Promise<void>): Promise<void> {
  await withTree(async (root) => {
    const content = patternBytes(BYTES, 3);
    await writeFile(join(root, 'file'), content);
    const handle = await open(join(root, 'file'), 'r');
    try {
      await task(handle.fd, content);
    } finally {
      await handle.close();
    }
  });
}
