/** What every implementation must do for files that do not fit memory. */
import { expect, it } from 'vitest';
import type { Engine, SourceIndex } from '../../src/engine/engine.js';
import { patternBytes, textBytes } from './samples.js';

const BUDGET = 8 << 20;

async function indexOf(engine: Engine, source: Buffer, piece = 1 << 20): Promise<SourceIndex> {
  const index = engine.createSourceIndex(source.length);
  for (let at = 0; at < source.length; at += piece) await index.add(source.subarray(at, at + piece), at);
  return index;
}

/** Windows of one source that meet every kind of find; also used to hold two engines against each other. */
export function windowCases(): { source: Buffer; windows: [target: Buffer, offset: number][] } {
  const source = Buffer.concat([patternBytes(900_000, 1), Buffer.alloc(100_000), textBytes(500_000, 2)]);
  const edited = Buffer.from(source.subarray(0, 200_000));
  for (let at = 1000; at < edited.length; at += 30_000) edited[at] = (edited[at] as number) ^ 1;
  return {
    source,
    windows: [
      [source.subarray(0, 300_000), 0],
      [edited, 0],
      [source.subarray(700_000, 900_000), 100],
      [Buffer.concat([patternBytes(5000, 9), source.subarray(1_200_001, 1_300_000), edited]), 400_000],
      [source.subarray(400_003, 500_000), 1_450_000],
      [patternBytes(100_000, 77), 3_000_000],
      [Buffer.from('short'), 12],
      [Buffer.alloc(0), 0],
    ],
  };
}

/** The ranges of each case. */
export async function rangesOfCases(engine: Engine, budget: number): Promise<number[][]> {
  const { source, windows } = windowCases();
  const index = await indexOf(engine, source);
  const all: number[][] = [];
  for (const [target, offset] of windows) {
    const inPlace = source.subarray(offset, offset + target.length);
    all.push([...(await index.find(target, offset, inPlace, budget))]);
  }
  return all;
}

/** Whether one of the ranges covers [begin, end). */
function covers(ranges: Float64Array, begin: number, end: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    const from = ranges[i] as number;
    if (from <= begin && end <= from + (ranges[i + 1] as number)) return true;
  }
  return false;
}

export function describeWindows(engine: Engine): void {
  it('a digest fed piece by piece is the digest of all', async () => {
    const data = patternBytes(3_000_001, 5);
    for (const algo of ['blake3', 'sha256'] as const) {
      for (const piece of [1 << 20, 65_536, 999_999]) {
        const digest = engine.createDigest(algo);
        for (let at = 0; at < data.length; at += piece) await digest.update(data.subarray(at, at + piece));
        expect(digest.finish().equals(engine.digest(algo, data))).toBe(true);
      }
      expect(
        engine
          .createDigest(algo)
          .finish()
          .equals(engine.digest(algo, Buffer.alloc(0))),
      ).toBe(true);
    }
  });

  it('finds what moved, wherever it went', async () => {
    const source = patternBytes(2_000_000, 3);
    const index = await indexOf(engine, source);
    for (const from of [0, 1, 255, 777_777, 1_990_000]) {
      const moved = source.subarray(from, from + 10_000);
      const target = Buffer.concat([patternBytes(40_000, 4), moved, patternBytes(40_000, 6)]);
      const ranges = await index.find(target, 600_000, source.subarray(600_000, 600_000 + target.length), BUDGET);
      expect(covers(ranges, from, from + moved.length)).toBe(true);
    }
  });

  it('takes what is in place as it is', async () => {
    const source = patternBytes(1_000_000, 3);
    const index = await indexOf(engine, source);
    const target = Buffer.from(source.subarray(300_000, 500_000));
    target[100_000] = (target[100_000] as number) ^ 255;
    const ranges = await index.find(target, 300_000, source.subarray(300_000, 500_000), BUDGET);
    expect([...ranges]).toEqual([300_000, 200_000]);
  });

  it('keeps to the budget and to the source', async () => {
    const { source, windows } = windowCases();
    for (const budget of [0, 1, 5000, 250_000]) {
      const all = await rangesOfCases(engine, budget);
      expect(all.length).toBe(windows.length);
      for (const ranges of all) {
        let last = 0;
        let sum = 0;
        for (let i = 0; i < ranges.length; i += 2) {
          const [offset, length] = [ranges[i] as number, ranges[i + 1] as number];
          expect(offset).toBeGreaterThanOrEqual(last);
          expect(length).toBeGreaterThan(0);
          last = offset + length;
          sum += length;
        }
        expect(last).toBeLessThanOrEqual(source.length);
        expect(sum).toBeLessThanOrEqual(budget);
      }
    }
  });

  it('has nothing to offer from an empty source', async () => {
    const index = engine.createSourceIndex(0);
    await index.add(Buffer.alloc(0), 0);
    expect((await index.find(patternBytes(10_000, 1), 0, Buffer.alloc(0), BUDGET)).length).toBe(0);
  });

  it('refuses wrong arguments', async () => {
    expect(() => engine.createDigest('md5' as 'blake3')).toThrow(TypeError);
    expect(() => engine.createSourceIndex(-1)).toThrow(RangeError);
    const index = engine.createSourceIndex(10);
    await expect(index.add('a' as unknown as Buffer, 0)).rejects.toThrow(TypeError);
    await expect(index.add(Buffer.alloc(1), 0.5)).rejects.toThrow(RangeError);
    await expect(index.find(Buffer.alloc(1), 0, Buffer.alloc(1), -1)).rejects.toThrow(RangeError);
    await expect(engine.createDigest('blake3').update('a' as unknown as Buffer)).rejects.toThrow(TypeError);
  });
}
