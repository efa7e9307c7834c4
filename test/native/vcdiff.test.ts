import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CASE_BYTES_MAX, VCDIFF_CASES } from '../engine/vcdiff-cases.js';
import { addon, noise, prose } from './addon-door.js';
import { nextRelease, realPairs, realXdelta, realXdeltaDecode } from './delta-peers.js';

const LIMIT = 64 << 20;
const patch = (source: Uint8Array, delta: Uint8Array) => addon.vcdiffPatch(source, delta, LIMIT);

describe.each(realPairs())('xdelta3 and ours: %s', (_, source, target) => {
  it.each([true, false])('xdelta3 decodes ours (checksum: %s)', async (checksum) => {
    const delta = await addon.vcdiffDiff(source, target, checksum);
    expect((await patch(source, delta)).equals(target)).toBe(true);
    expect(realXdeltaDecode(source, delta).equals(target)).toBe(true);
  });

  it.each([[[]], [['-n']], [['-A', '-9']], [['-W', '16384', '-1']], [['-A=', '-n', '-0']]])(
    'ours decodes those of xdelta3 -S none %j',
    async (options) => {
      const theirs = realXdelta(source, target, ['-S', 'none', ...options]);
      expect((await patch(source, theirs)).equals(target)).toBe(true);
    },
  );

  it('is about as small as xdelta3', async () => {
    const theirs = realXdelta(source, target, ['-S', 'none', '-A', '-6']);
    expect((await addon.vcdiffDiff(source, target, true)).length).toBeLessThan(theirs.length * 1.15 + 40);
  });
});

describe('VCDIFF by hand', () => {
  it.each(VCDIFF_CASES)('$name', async ({ source, delta, result }) => {
    const outcome = await addon
      .vcdiffPatch(source, delta, CASE_BYTES_MAX)
      .catch((error: { code: string; message: string }) => error.code ?? error.message);
    expect(outcome.toString('latin1')).toBe(result.toString('latin1'));
  });

  it.each(['djw', 'fgk', 'lzma'])('says that secondary compression (%s) is not read', async (name) => {
    const source = prose(50_000, 1);
    const theirs = realXdelta(source, prose(50_000, 2), ['-S', name]);
    await expect(patch(source, theirs)).rejects.toMatchObject({
      code: 'DK_UNSUPPORTED',
      message: expect.stringContaining('secondary compression'),
    });
  });
});

describe('VCDIFF of long files', () => {
  it('has windows that xdelta3 accepts, copies from far away and the same bytes every time', async () => {
    const source = noise(20 << 20, 1);
    const moved = Buffer.concat([source.subarray(15 << 20), prose(100_000, 1), source.subarray(0, 15 << 20)]);
    const target = nextRelease(moved, 3);
    const delta = await addon.vcdiffDiff(source, target, true);
    expect((await patch(source, delta)).equals(target)).toBe(true);
    expect(realXdeltaDecode(source, delta).equals(target)).toBe(true);
    expect((await addon.vcdiffDiff(source, target, true)).equals(delta)).toBe(true);
    expect(delta.length).toBeLessThan(target.length / 5);
  });

  it('find where the text goes on, though its short pieces stand everywhere before', async () => {
    const { SeededRandom } = (await import('../../bench/lib/seeded-data.mjs' as string)) as {
      readonly SeededRandom: new (seed: string) => { words(count: number): string };
    };
    const source = Buffer.from(new SeededRandom('long text').words(9 << 20)).subarray(0, 48 << 20);
    const target = source.subarray((47 << 20) + 1);
    const delta = await addon.vcdiffDiff(source, target, true);
    expect(delta.length).toBeLessThan(1000);
    expect((await patch(source, delta)).equals(target)).toBe(true);
  });
});

describe('VCDIFF of any bytes', () => {
  it('brings the target back', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 200, max: 1 }),
      fc.nat(300).map((length) => new Uint8Array(length)),
    );
    const plan = fc.array(fc.nat(5), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 6 }),
        plan,
        plan,
        fc.boolean(),
        async (parts, a, b, sum) => {
          const make = (order: number[]) => Buffer.concat(order.map((i) => parts[i % parts.length] as Uint8Array));
          const [source, target] = [make(a), make(b)];
          expect((await patch(source, await addon.vcdiffDiff(source, target, sum))).equals(target)).toBe(true);
        },
      ),
      { seed: 41, numRuns: 500 },
    );
  });
});

describe('damaged VCDIFF', () => {
  it('every cut and every changed byte is found, or stays within the limit', async () => {
    const source = prose(3000, 5);
    const target = Buffer.concat([source.subarray(500), noise(50, 1), source.subarray(0, 700), Buffer.alloc(90)]);
    for (const checksum of [true, false]) {
      const delta = await addon.vcdiffDiff(source, target, checksum);
      const codeOf = (bytes: Buffer) =>
        addon.vcdiffPatch(source, bytes, 10_000).then(
          (made) => (made.equals(target) ? 'same' : `other ${made.length <= 10_000}`),
          (error: { code: string }) => error.code,
        );
      for (let end = 0; end < delta.length; end += 1) {
        expect(await codeOf(delta.subarray(0, end)), `${end}`).toBe(end === 5 ? 'other true' : 'DK_CORRUPT_DELTA');
      }
      for (let at = 0; at < delta.length; at += 1) {
        for (const mask of [1, 0x80, 0xff]) {
          const bad = Buffer.from(delta);
          bad[at] = (bad[at] as number) ^ mask;
          expect(await codeOf(bad)).toMatch(checksum ? /^(DK_\w+|same)$/ : /^(DK_\w+|same|other true)$/);
        }
      }
    }
  });

  it('a wrong source is found by the checksum', async () => {
    const source = prose(3000, 5);
    const delta = await addon.vcdiffDiff(source, source, true);
    await expect(patch(prose(3000, 6), delta)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });
});
