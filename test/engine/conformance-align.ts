/** What every implementation of the `align` engine must do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Effort, Engine } from '../../src/engine/engine.js';
import { editedBytes, patternBytes, RUNS, textBytes } from './samples.js';

const EFFORTS: readonly Effort[] = ['fast', 'balanced', 'max'];
const DAMAGED = { code: 'DK_CORRUPT_DELTA' };

/** Pairs that between them use every part of the format. */
export function alignPairs(): [name: string, source: Buffer, target: Buffer][] {
  const noise = patternBytes(300_000, 4);
  const text = textBytes(200_000, 2);
  const addresses = Buffer.alloc(160_000);
  for (let i = 0; i < 20_000; i += 1) addresses.writeUInt32LE(0x400000 + i * 52, i * 8);
  const moved = Buffer.from(addresses);
  for (let i = 0; i < 20_000; i += 1) moved.writeUInt32LE(addresses.readUInt32LE(i * 8) + 0x1240, i * 8);
  const inPlace = Buffer.from(noise);
  for (let at = 1000; at < inPlace.length; at += 5000) inPlace.fill(at & 255, at, at + 1 + (at % 90));
  const half = noise.length / 2;
  return [
    ['nothing from nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['nothing from something', noise, Buffer.alloc(0)],
    ['something from nothing', Buffer.alloc(0), noise],
    ['text from nothing', Buffer.alloc(0), text],
    ['a byte', Buffer.from('a'), Buffer.from('b')],
    ['the same', noise, noise],
    ['small', textBytes(5000, 1), editedBytes(textBytes(5000, 1), 3)],
    ['edited', noise, editedBytes(noise, 9)],
    ['edited text', text, editedBytes(text, 5)],
    ['inserted in front', noise, Buffer.concat([patternBytes(70_000, 8), noise])],
    ['cut in front', noise, noise.subarray(100_001)],
    ['cut at the end', noise, noise.subarray(0, 99_999)],
    ['appended', text, Buffer.concat([text, textBytes(90_000, 77)])],
    ['halves swapped', noise, Buffer.concat([noise.subarray(half), noise.subarray(0, half)])],
    ['twice', noise, Buffer.concat([noise, noise])],
    ['changed in place', noise, inPlace],
    ['addresses moved', addresses, moved],
    ['zeros', noise, Buffer.alloc(200_000)],
    ['from zeros', Buffer.alloc(200_000), editedBytes(Buffer.alloc(150_000), 2)],
    ['a source that looks like a dictionary', Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), text]), text],
  ];
}

/** Any source, and a target made of its pieces and of new bytes: shifts, moves, noise, truncation. */
export const relatedPair: fc.Arbitrary<[Buffer, Buffer]> = fc
  .tuple(
    fc.nat({ max: 150_000 }),
    fc.nat({ max: 9 }),
    fc.array(
      fc.record({
        from: fc.double({ min: 0, max: 1, noNaN: true }),
        length: fc.nat({ max: 60_000 }),
        noise: fc.nat({ max: 40 }),
        fresh: fc.nat({ max: 400 }),
      }),
      { maxLength: 6 },
    ),
  )
  .map(([bytes, seed, pieces]) => {
    const source = seed % 2 === 0 ? patternBytes(bytes, seed) : textBytes(bytes, seed);
    const parts = pieces.map((piece, i) => {
      const from = Math.floor(piece.from * source.length);
      const part = Buffer.from(source.subarray(from, from + piece.length));
      const random = patternBytes(piece.noise * 4, i + 1);
      for (let k = 0; k < piece.noise && part.length > 0; k += 1) {
        part[random.readUInt32LE(k * 4) % part.length] = k;
      }
      return Buffer.concat([part, patternBytes(piece.fresh, i + 50)]);
    });
    return [source, Buffer.concat(parts)];
  });

export function describeAlign(engine: Engine): void {
  const pairs = alignPairs();

  it.each(pairs)('turns one into the other: %s', async (_name, source, target) => {
    for (const effort of EFFORTS) {
      const payload = await engine.alignDiff(source, target, effort);
      expect((await engine.alignPatch(source, payload, target.length)).equals(target), effort).toBe(true);
      expect(payload.length).toBeLessThanOrEqual(target.length + 32);
    }
  });

  it('is small where the two are alike', async () => {
    const sizeOf = async (name: string) => {
      const [, source, target] = pairs.find(([pair]) => pair === name) as [string, Buffer, Buffer];
      return (await engine.alignDiff(source, target, 'fast')).length;
    };
    expect(await sizeOf('the same')).toBeLessThan(32);
    expect(await sizeOf('edited')).toBeLessThan(200);
    expect(await sizeOf('halves swapped')).toBeLessThan(120);
    expect(await sizeOf('twice')).toBeLessThan(80);
    expect(await sizeOf('addresses moved')).toBeLessThan(1000);
    expect(await sizeOf('inserted in front')).toBeLessThan(70_200);
  });

  it('turns any bytes into any related bytes', async () => {
    await fc.assert(
      fc.asyncProperty(relatedPair, fc.constantFrom(...EFFORTS), async ([source, target], effort) => {
        const payload = await engine.alignDiff(source, target, effort);
        expect((await engine.alignPatch(source, payload, target.length)).equals(target)).toBe(true);
      }),
      RUNS,
    );
  });

  describe('hostile input', () => {
    it('refuses what does not fit the target', async () => {
      for (const [name, source, target] of pairs) {
        const payload = await engine.alignDiff(source, target, 'fast');
        for (const bytes of [target.length + 1, target.length - 1, 0, 1]) {
          if (bytes < 0 || bytes === target.length) continue;
          await expect(engine.alignPatch(source, payload, bytes), name).rejects.toMatchObject(DAMAGED);
        }
        const longer = Buffer.concat([payload, Buffer.from([0])]);
        await expect(engine.alignPatch(source, longer, target.length), name).rejects.toMatchObject(DAMAGED);
      }
    });

    it('refuses every cut', async () => {
      const source = patternBytes(90_000, 4);
      for (const target of [editedBytes(source, 9), editedBytes(source.subarray(0, 3000), 1)]) {
        const payload = await engine.alignDiff(source, target, 'fast');
        for (let end = 0; end < payload.length; end += 1) {
          await expect(engine.alignPatch(source, payload.subarray(0, end), target.length)).rejects.toMatchObject(
            DAMAGED,
          );
        }
      }
    });

    it('survives any flipped byte', async () => {
      for (const name of ['edited', 'edited text', 'addresses moved', 'small', 'appended']) {
        const [, source, target] = pairs.find(([pair]) => pair === name) as [string, Buffer, Buffer];
        const payload = await engine.alignDiff(source, target, 'fast');
        const step = Math.max(1, Math.floor(payload.length / 150));
        for (let at = 0; at < payload.length; at += step) {
          const bad = Buffer.from(payload);
          bad[at] = (bad[at] as number) ^ (1 << (at % 8));
          const got = await engine.alignPatch(source, bad, target.length).catch((error: { code?: string }) => error);
          if (Buffer.isBuffer(got)) expect(got.length).toBe(target.length);
          else expect(got).toMatchObject(DAMAGED);
        }
      }
    });

    // Form 2; then the window: length, flags, copies, [stream of numbers], literals.
    it.each([
      ['nothing', []],
      ['an unknown form', [3, 0]],
      ['no window', [2]],
      ['an empty window', [2, 0, 0, 0, 0]],
      ['a window longer than the target', [2, 101, 0, 0, 101, 0]],
      ['an unknown flag', [2, 100, 8, 0, 0]],
      ['more copies than bytes', [2, 100, 1, 101, 0]],
      ['copies without numbers', [2, 100, 1, 1, 0, 0]],
      ['a copy beyond the source', [2, 100, 1, 1, 3, 0, 0, 99, 2, 0]],
      ['a copy before the source', [2, 100, 1, 1, 3, 0, 0, 99, 1, 0]],
      ['a copy beyond the window', [2, 100, 1, 1, 3, 0, 0, 100, 0, 0]],
      ['literals beyond the window', [2, 100, 1, 1, 4, 0, 101, 0, 0, 0]],
      ['numbers left over', [2, 100, 1, 1, 4, 0, 0, 99, 0, 0, 0]],
      ['a number not in its shortest form', [2, 100, 1, 1, 4, 0, 0, 0xe3, 0, 0, 0]],
      ['a huge diagonal', [2, 100, 1, 1, 12, 0, 0, 99, ...Array(9).fill(0xff), 1, 0]],
      ['runs announced and missing', [2, 100, 5, 1, 4, 0, 0, 99, 0, 0, 0, 0, 0, 0]],
      ['a run beyond its copy', [2, 100, 5, 1, 6, 0, 0, 99, 0, 1, 63, 99, 1, 0, 7, 0, 0, 0]],
      ['more runs than bytes', [2, 100, 5, 1, 5, 0, 0, 99, 0, 200, 1, 0, 0, 0, 0]],
      ['too few difference bytes', [2, 100, 5, 1, 5, 0, 0, 99, 0, 1, 0, 0, 0, 0]],
      ['too many difference bytes', [2, 100, 5, 1, 5, 0, 0, 99, 0, 1, 1, 2, 0, 7, 7, 0, 0, 0]],
      ['a stream beyond its limit', [2, 100, 1, 1, 0xc9, 2, 0]],
      ['literals that do not add up', [2, 100, 1, 1, 3, 0, 0, 49, 0, 49, 0, ...Array(49).fill(1)]],
    ] as [string, number[]][])('refuses %s', async (_name, bytes) => {
      const source = patternBytes(100, 1);
      await expect(engine.alignPatch(source, Buffer.from(bytes), 100)).rejects.toMatchObject(DAMAGED);
    });

    it('reads the same by hand', async () => {
      const source = patternBytes(100, 1);
      const whole = Buffer.from([2, 100, 1, 1, 3, 0, 0, 99, 0, 0]);
      expect((await engine.alignPatch(source, whole, 100)).equals(source)).toBe(true);
      const run = Buffer.from([2, 100, 5, 1, 5, 0, 0, 99, 0, 1, 7 | 64, 1, 0, 3, 1, 0, 250, 0, 0]);
      const expected = Buffer.from(source);
      expected[7] = ((source[7] as number) + 3) & 255;
      expected[8] = ((source[8] as number) + 250) & 255;
      expect((await engine.alignPatch(source, run, 100)).equals(expected)).toBe(true);
    });

    it('does not decode bombs', async () => {
      const bomb = (await engine.compress(Buffer.alloc(32 << 20))).subarray(4);
      await expect(
        engine.alignPatch(Buffer.alloc(4), Buffer.concat([Buffer.from([1]), bomb]), 4),
      ).rejects.toMatchObject(DAMAGED);
      const head = Buffer.from([2, 100, 1, 1, 0x80, 0x80, 0x80, 0x10, 0xff, 0x7f]);
      await expect(engine.alignPatch(Buffer.alloc(4), Buffer.concat([head, bomb]), 100)).rejects.toMatchObject(DAMAGED);
    });

    it('refuses wrong arguments', async () => {
      const bytes = Buffer.alloc(4);
      await expect(engine.alignDiff(bytes, bytes, 'best' as Effort)).rejects.toThrow(TypeError);
      await expect(engine.alignDiff('a' as unknown as Buffer, bytes, 'fast')).rejects.toThrow(TypeError);
      await expect(engine.alignPatch(bytes, bytes, -1)).rejects.toThrow(RangeError);
    });
  });
}
