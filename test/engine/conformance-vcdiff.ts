/** What every implementation of the `xdelta` engine (VCDIFF) must do. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { editedBytes, patternBytes, RUNS, textBytes } from './samples.js';
import { CASE_BYTES_MAX, VCDIFF_CASES } from './vcdiff-cases.js';

const LIMIT = 1 << 24;

/** Pairs that meet every kind of instruction, and the edges. */
export function filePairs(): [name: string, source: Buffer, target: Buffer][] {
  const text = textBytes(30_000, 1);
  const noise = patternBytes(40_000, 2);
  return [
    ['nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['from nothing', Buffer.alloc(0), text],
    ['to nothing', text, Buffer.alloc(0)],
    ['one byte', Buffer.from('a'), Buffer.from('b')],
    ['itself', noise, noise],
    ['edits', noise, editedBytes(noise, 3)],
    ['edited text', text, editedBytes(text, 4)],
    ['halves swapped', noise, Buffer.concat([noise.subarray(20_000), noise.subarray(0, 20_000)])],
    ['longer', noise, Buffer.concat([text, noise, Buffer.alloc(5000), noise.subarray(7, 9000)])],
    ['shorter', Buffer.concat([text, noise]), noise.subarray(111, 2000)],
    [
      'runs',
      Buffer.alloc(5000, 'ab'),
      Buffer.concat([Buffer.alloc(3000), Buffer.alloc(999, 'ba'), Buffer.alloc(40, 7)]),
    ],
    ['unlike', text, noise],
  ];
}

export function describeVcdiff(engine: Engine): void {
  it.each(filePairs())('brings the target back: %s', async (_, source, target) => {
    for (const checksum of [true, false]) {
      const delta = await engine.vcdiffDiff(source, target, checksum);
      expect((await engine.vcdiffPatch(source, delta, target.length)).equals(target)).toBe(true);
      if (target.length > 0) {
        const tooLong = engine.vcdiffPatch(source, delta, target.length - 1);
        await expect(tooLong).rejects.toMatchObject({ code: 'DK_LIMIT' });
      }
    }
  });

  it('is small where little changed', async () => {
    const noise = patternBytes(400_000, 2);
    expect((await engine.vcdiffDiff(noise, editedBytes(noise, 3), true)).length).toBeLessThan(400);
  });

  it.each(VCDIFF_CASES)('by hand: $name', async ({ source, delta, result }) => {
    const outcome = await engine
      .vcdiffPatch(source, delta, CASE_BYTES_MAX)
      .catch((error: { code: string; message: string }) => error.code ?? error.message);
    expect(outcome.toString('latin1')).toBe(result.toString('latin1'));
  });

  it('turns any bytes into any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 600, max: 3 });
    await fc.assert(
      fc.asyncProperty(bytes, bytes, fc.boolean(), async (source, target, checksum) => {
        const delta = await engine.vcdiffDiff(source, target, checksum);
        expect([...(await engine.vcdiffPatch(source, delta, LIMIT))]).toEqual([...target]);
      }),
      RUNS,
    );
  });

  it('finds every cut and every changed byte, with a checksum', async () => {
    const source = textBytes(2000, 5);
    const target = Buffer.concat([
      source.subarray(900),
      patternBytes(30, 1),
      Buffer.alloc(60),
      source.subarray(0, 300),
    ]);
    const delta = await engine.vcdiffDiff(source, target, true);
    const outcome = (bytes: Buffer) =>
      engine.vcdiffPatch(source, bytes, 10_000).then(
        (made) => (made.equals(target) ? 'same' : 'other'),
        (error: { code?: string; message: string }) => error.code ?? error.message,
      );
    for (let end = 0; end < delta.length; end += 1) {
      // Five bytes are a whole file without windows.
      expect(await outcome(delta.subarray(0, end)), `${end}`).toBe(end === 5 ? 'other' : 'DK_CORRUPT_DELTA');
    }
    for (let at = 0; at < delta.length; at += 1) {
      const bad = Buffer.from(delta);
      bad[at] = (bad[at] as number) ^ (1 << (at % 8));
      expect(await outcome(bad), `${at}`).toMatch(/^(same|DK_CORRUPT_DELTA|DK_UNSUPPORTED|DK_LIMIT)$/);
    }
  });

  it('refuses wrong arguments', async () => {
    const bytes = Buffer.from('abc');
    await expect(engine.vcdiffDiff('a' as unknown as Buffer, bytes, true)).rejects.toThrow(TypeError);
    await expect(engine.vcdiffDiff(bytes, bytes, 1 as unknown as boolean)).rejects.toThrow(TypeError);
    await expect(engine.vcdiffPatch(bytes, bytes, -1)).rejects.toThrow(RangeError);
  });
}
