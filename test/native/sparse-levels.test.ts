/** The vector levels of the `sparse` engine against each other, and a payload that must stay what it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sparsePatchNow } from '../../src/engine/twin-sparse.js';
import { writePositions } from '../../src/engine/twin-sparse-positions.js';
import { warmZstd } from '../../src/engine/twin-zstd.js';
import { scattered } from '../engine/conformance-states.js';
import { editedBytes, patternBytes, RUNS, textBytes } from '../engine/samples.js';
import { addon } from './addon-door.js';

async function levelsAgree(source: Uint8Array, target: Uint8Array): Promise<void> {
  for (const kind of ['blake3', 'xxh3']) {
    const [plain, vector, best] = await Promise.all(
      ['portable', 'avx2', undefined].map((simd) => addon.sparseDiff(source, target, 3, Buffer.alloc(0), kind, simd)),
    );
    // Some levels make the digest while they compare.
    const { digest, groups } = await addon.groupDigest(target, false, kind);
    expect(plain?.digest.equals(digest)).toBe(true);
    for (const other of [vector, best]) {
      expect(other?.payload.equals(plain?.payload as Buffer)).toBe(true);
      expect(other?.digest.equals(digest)).toBe(true);
      expect(other?.groups.equals(groups)).toBe(true);
    }
  }
}

describe('vector levels', () => {
  it('make the same payload', async () => {
    const source = textBytes(300_000, 1);
    const targets = [
      editedBytes(source, 1),
      scattered(source, 3000, 2),
      scattered(source, 90_000, 3),
      patternBytes(9000, 1),
    ];
    for (const target of targets) for (const skip of [0, 1, 63]) await levelsAgree(source.subarray(skip), target);
  });

  it('make the same payload and digest of groups that change at their beginning, at their end, and all over', async () => {
    const group = 65_536;
    const source = textBytes(5 * group + 100, 7);
    for (const first of [0, 1, 63, 64, 16_383, 16_384, 16_385, group - 1]) {
      // As they are, and as differences: the values of one group decide on the form of the next.
      for (const value of [(i: number) => i % 7, (i: number) => (source[i] as number) ^ 255]) {
        const target = Buffer.from(source);
        for (let at = first; at < target.length; at += at % group === group - 1 ? first + 1 : 1 + (at % 97)) {
          target[at] = value(at);
        }
        await levelsAgree(source, target);
        await levelsAgree(source.subarray(0, 2 * group + 5), target);
        await levelsAgree(source, target.subarray(0, 2 * group));
      }
    }
    const dense = Buffer.from(source);
    for (let at = 0; at < dense.length; at += 3) dense[at] = (at * 7) % 251;
    await levelsAgree(source, dense);
    await levelsAgree(source, patternBytes(source.length, 3));
  });

  it('make the same payload of regular changes that begin, break off and change their distance anywhere', async () => {
    const source = patternBytes(400_000, 1);
    for (const steps of [[2], [3, 50], [20], [64, 65], [100], [1000], [1024, 1025], [7, 100, 7], [33, 1, 33, 2000]]) {
      const target = Buffer.from(source);
      let at = 77;
      for (let turn = 0; at < target.length; turn += 1) {
        const step = steps[turn % steps.length] as number;
        for (let i = 0; i < 700 && at < target.length; i += 1, at += step) target[at] = ~(target[at] as number) & 255;
      }
      await levelsAgree(source, target);
      // One of them is missing.
      target[200_000 - (200_000 % (steps[0] as number))] = 0;
      await levelsAgree(source, target);
      const { payload } = await addon.sparseDiff(source, target, 3);
      const { data } = await addon.sparsePatch(source, payload, target.length);
      expect(data.equals(target)).toBe(true);
    }
  });

  it('make the same payload of gaps that take the longest codes', async () => {
    const source = Buffer.alloc(300_000);
    const picks = patternBytes(40_000, 9);
    for (const far of [190, 200, 380, 384, 390, 500, 700, 2000]) {
      const target = Buffer.from(source);
      // Any gaps, and now and then a long one.
      for (let at = 0, i = 0; at < target.length; i += 1) {
        target[at] = (i % 255) + 1;
        const pick = picks[i] as number;
        at += pick < 6 ? far : 1 + (pick % 32);
      }
      await levelsAgree(source, target);
      const { payload } = await addon.sparseDiff(source, target, 3);
      expect((await addon.sparsePatch(source, payload, target.length)).data.equals(target)).toBe(true);
    }
  });

  it('make the same payload of any bytes', async () => {
    const bytes = fc.array(fc.constantFrom(0, 0, 0, 7), { maxLength: 500 }).map((values) => Buffer.from(values));
    await fc.assert(fc.asyncProperty(bytes, bytes, levelsAgree), { ...RUNS, numRuns: 200 });
  });

  it('refuse other names', () => {
    expect(() => addon.sparseDiff(Buffer.alloc(1), Buffer.alloc(1), 3, undefined, 'xxh3', 'mmx')).toThrow(RangeError);
  });
});

const scattering = patternBytes(1 << 20, 6);
const picksOf = (at: number): number => scattering[at] as number;

/** A payload's flags and positions. */
function positionsOf(payload: Buffer): { readonly flags: number; readonly positions: Buffer } {
  const varint = (from: number): { readonly value: number; readonly next: number } => {
    let value = 0;
    for (let at = from, scale = 1; ; at += 1, scale *= 128) {
      const byte = payload[at] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return { value, next: at + 1 };
    }
  };
  const { next } = varint(0);
  const length = varint(next + 1);
  return {
    flags: payload[next] as number,
    positions: payload.subarray(length.next, length.next + length.value),
  };
}

describe('blocks of runs', () => {
  it('end where long stretches of equal ones begin, as the twin writes them, wherever that is', async () => {
    const picks = patternBytes(60_000, 5);
    for (const scatteredRuns of [0, 1, 60, 959, 960, 961, 1000, 1023, 1024, 1025, 1087, 1088, 5000]) {
      for (const equalRuns of [1, 62, 63, 64, 65, 200, 6000]) {
        const runs: [number, number][] = [];
        const some = (count: number): void => {
          for (let i = 0; i < count; i += 1) {
            const pick = picks[(runs.length * 7) % picks.length] as number;
            runs.push([1 + pick + (pick % 7 === 0 ? 300 : 0), pick % 11 === 0 ? 1 + (pick % 4) : 1]);
          }
        };
        some(scatteredRuns);
        for (let i = 0; i < equalRuns; i += 1) runs.push([33, 2]);
        some(scatteredRuns % 1500);
        const length = runs.reduce((sum, [skip, bytes]) => sum + skip + bytes, 0);
        const target = Buffer.alloc(length);
        let at = 0;
        for (const [skip, bytes] of runs) {
          at += skip;
          for (let i = 0; i < bytes; i += 1, at += 1) target[at] = 1 + ((picks[at % picks.length] as number) % 255);
        }
        const { payload } = await addon.sparseDiff(Buffer.alloc(length), target, 3);
        const { flags, positions } = positionsOf(payload);
        // A few stretches are no more than a frame is; then there is nothing to compare.
        if ((flags & 4) === 0) expect(positions.equals(writePositions(runs))).toBe(true);
        else expect(equalRuns > 2 * scatteredRuns || runs.length < 200).toBe(true);
        await levelsAgree(Buffer.alloc(length), target);
      }
    }
  });
});

describe('values', () => {
  it('that look like noise are coded where they come again, as differences or as they are', async () => {
    const source = patternBytes(1 << 20, 3);
    const noise = patternBytes(5000, 4);
    for (const plain of [true, false]) {
      const target = Buffer.from(source);
      for (let at = 0, i = 0; at < target.length; at += 1 + ((picksOf(at) * 3) % 97), i += 1) {
        const value = noise[i % noise.length] as number;
        target[at] = plain ? value : value ^ (target[at] as number);
      }
      const { payload } = await addon.sparseDiff(source, target, 3);
      const { positions } = positionsOf(payload);
      // 21,000 changes or so.
      expect(payload.length - positions.length).toBeLessThan(8000);
      expect((await addon.sparsePatch(source, payload, target.length)).data.equals(target)).toBe(true);
    }
  });

  it('that are all the same take four bytes for each 128 KiB, and every reader knows them', async () => {
    await warmZstd();
    for (const count of [24, 255, 256, 257, 65_791, 65_792, 131_071, 131_072, 131_073, 400_000]) {
      const source = patternBytes(count + 9, 2);
      const target = Buffer.from(source);
      for (let at = 5; at < 5 + count; at += 1) target[at] = ~(target[at] as number) & 255;
      const { payload } = await addon.sparseDiff(source, target, 3);
      expect(payload.length).toBeLessThan(28 + 4 * Math.ceil(count / 131_072));
      expect((await addon.sparsePatch(source, payload, target.length)).data.equals(target)).toBe(true);
      const twin = await sparsePatchNow(source, payload, target.length, undefined, undefined);
      expect(twin.data.equals(target)).toBe(true);
    }
    // The last one differs.
    const source = Buffer.alloc(400_000);
    const target = Buffer.alloc(400_000, 9);
    target[399_999] = 8;
    const { payload } = await addon.sparseDiff(source, target, 3);
    expect((await addon.sparsePatch(source, payload, target.length)).data.equals(target)).toBe(true);
  });

  it('whose places come again are told by a frame', async () => {
    const source = patternBytes(1 << 20, 3);
    const steps = patternBytes(700, 4);
    const target = Buffer.from(source);
    for (let at = 0, i = 0; at < target.length; at += 1 + (steps[i % steps.length] as number), i += 1) {
      target[at] = ~(target[at] as number) & 255;
    }
    const { payload } = await addon.sparseDiff(source, target, 3);
    expect(payload.length).toBeLessThan(2000);
  });
});

describe('frozen payload', () => {
  it('is made for ever', async () => {
    const source = Buffer.alloc(70_000);
    const target = Buffer.from(source);
    for (const at of [0, 1, 2, 500, 501, 4096, 69_999]) target[at] = (at % 250) + 1;
    for (let at = 10_000; at < 20_000; at += 100) target[at] = 255;
    const { payload } = await addon.sparseDiff(source, target, 3);
    expect(payload.toString('hex')).toBe(
      '6b021602040b000030f12905dbc301006363010001b287030128b52ffd206b75000040010203010261fffa0100200546',
    );
  });
});
