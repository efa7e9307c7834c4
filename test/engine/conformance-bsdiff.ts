/** What every implementation of the `bsdiff` engine (BSDIFF40) must do. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { BSDIFF_CASES } from './bsdiff-cases.js';
import { filePairs } from './conformance-vcdiff.js';
import { editedBytes, patternBytes, RUNS, textBytes } from './samples.js';
import { CASE_BYTES_MAX } from './vcdiff-cases.js';

const LIMIT = 1 << 24;

export function describeBsdiff(engine: Engine): void {
  it.each(filePairs())('brings the target back: %s', async (_, source, target) => {
    const delta = await engine.bsdiffDiff(source, target);
    expect((await engine.bsdiffPatch(source, delta, target.length)).equals(target)).toBe(true);
    if (target.length > 0) {
      const tooLong = engine.bsdiffPatch(source, delta, target.length - 1);
      await expect(tooLong).rejects.toMatchObject({ code: 'DK_LIMIT' });
    }
  });

  it('is small where little changed', async () => {
    const noise = patternBytes(100_000, 2);
    expect((await engine.bsdiffDiff(noise, editedBytes(noise, 3))).length).toBeLessThan(400);
  });

  it.each(BSDIFF_CASES)('by hand: $name', async ({ source, delta, result }) => {
    const outcome = await engine
      .bsdiffPatch(source, delta, CASE_BYTES_MAX)
      .catch((error: { code: string; message: string }) => error.code ?? error.message);
    expect(outcome.toString('latin1')).toBe(result.toString('latin1'));
  });

  it('turns any bytes into any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 600, max: 3 });
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (source, target) => {
        const delta = await engine.bsdiffDiff(source, target);
        expect([...(await engine.bsdiffPatch(source, delta, LIMIT))]).toEqual([...target]);
      }),
      RUNS,
    );
  });

  it('finds every cut, and every changed byte that means something', async () => {
    const source = textBytes(2000, 5);
    const target = Buffer.concat([source.subarray(900), patternBytes(30, 1), source.subarray(0, 300)]);
    const delta = await engine.bsdiffDiff(source, target);
    const outcome = (bytes: Buffer) =>
      engine.bsdiffPatch(source, bytes, 10_000).then(
        (made) => (made.equals(target) ? 'same' : 'other'),
        (error: { code?: string; message: string }) => error.code ?? error.message,
      );
    for (let end = 0; end < delta.length; end += 1) {
      expect(await outcome(delta.subarray(0, end)), `${end}`).toBe('DK_CORRUPT_DELTA');
    }
    for (let at = 0; at < delta.length; at += 1) {
      const bad = Buffer.from(delta);
      bad[at] = (bad[at] as number) ^ (1 << (at % 8));
      expect(await outcome(bad), `${at}`).toMatch(/^(same|DK_CORRUPT_DELTA|DK_LIMIT)$/);
    }
  });

  it('refuses wrong arguments', async () => {
    const bytes = Buffer.from('abc');
    await expect(engine.bsdiffDiff('a' as unknown as Buffer, bytes)).rejects.toThrow(TypeError);
    await expect(engine.bsdiffPatch(bytes, bytes, -1)).rejects.toThrow(RangeError);
    await expect(engine.bsdiffPatch(bytes, bytes, 2 ** 40)).rejects.toThrow(RangeError);
  });
}
