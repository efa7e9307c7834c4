import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addon, noise, prose } from './addon-door.js';
import { nextRelease, realBsdiff, realBspatch, realPairs } from './delta-peers.js';

const LIMIT = 64 << 20;
const patch = (source: Uint8Array, delta: Uint8Array) => addon.bsdiffPatch(source, delta, LIMIT);

describe.each(realPairs())('bsdiff 4.3 and ours: %s', (_, source, target) => {
  it('bspatch applies ours', async () => {
    const delta = await addon.bsdiffDiff(source, target);
    expect(realBspatch(source, delta).equals(target)).toBe(true);
    expect((await patch(source, delta)).equals(target)).toBe(true);
  });

  it('ours applies those of bsdiff, and is not larger', async () => {
    // It refuses empty files.
    if (source.length === 0 || target.length === 0) return;
    const theirs = realBsdiff(source, target);
    expect((await patch(source, theirs)).equals(target)).toBe(true);
    const ours = await addon.bsdiffDiff(source, target);
    expect(ours.length).toBeLessThanOrEqual(theirs.length * 1.02 + 32);
  });
});

describe('bsdiff windows', () => {
  it('finds what it can when the source is longer than the window, at every size', async () => {
    const long = Buffer.concat([prose(60_000, 1), noise(60_000, 2)]);
    for (const window of [2, 3, 100, 5000, 50_000, 119_999, 120_000]) {
      const source = window < 1000 ? long.subarray(59_000, 60_000) : long;
      const target = nextRelease(source, 9);
      const delta = await addon.bsdiffDiff(source, target, window);
      expect((await patch(source, delta)).equals(target), `${window}`).toBe(true);
      if (window === 50_000) expect(delta.length).toBeLessThan(target.length / 4);
    }
  });

  it('gives the same bytes every time', async () => {
    const source = noise(5 << 20, 3);
    const target = nextRelease(source, 4);
    const first = await addon.bsdiffDiff(source, target);
    expect((await addon.bsdiffDiff(source, target)).equals(first)).toBe(true);
    expect((await patch(source, first)).equals(target)).toBe(true);
    expect(first.length).toBeLessThan(target.length / 3);
  });
});

describe('bsdiff with any bytes', () => {
  it('brings the target back', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 200, max: 1 }),
      fc.nat(300).map((length) => new Uint8Array(length)),
    );
    const pieces = fc.array(piece, { minLength: 1, maxLength: 6 });
    const plan = fc.array(fc.nat(5), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(pieces, plan, plan, fc.nat(400), async (parts, a, b, window) => {
        const make = (order: number[]) => Buffer.concat(order.map((i) => parts[i % parts.length] as Uint8Array));
        const [source, target] = [make(a), make(b)];
        const delta = await addon.bsdiffDiff(source, target, window + 2);
        expect((await patch(source, delta)).equals(target)).toBe(true);
      }),
      { seed: 40, numRuns: 400 },
    );
  });
});

describe('damaged BSDIFF40', () => {
  const source = prose(3000, 5);
  const target = Buffer.concat([source.subarray(500), noise(50, 1), source.subarray(0, 700)]);

  it('every cut is found', async () => {
    const delta = await addon.bsdiffDiff(source, target);
    for (let end = 0; end < delta.length; end += 1) {
      await expect(patch(source, delta.subarray(0, end)), `${end}`).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    }
    const longer = Buffer.concat([delta, Buffer.alloc(1)]);
    await expect(patch(source, longer)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });

  it('every changed byte is found or harmless', async () => {
    const delta = await addon.bsdiffDiff(source, target);
    for (let at = 0; at < delta.length; at += 1) {
      for (const mask of [1, 0x80, 0xff]) {
        const bad = Buffer.from(delta);
        bad[at] = (bad[at] as number) ^ mask;
        const outcome = await addon.bsdiffPatch(source, bad, 100_000).catch((error: { code: string }) => error.code);
        // Streams carry checksums, so nothing decodes to something else; bits that mean nothing may change.
        if (typeof outcome === 'string') expect(outcome).toMatch(/^DK_(CORRUPT_DELTA|LIMIT)$/);
        else expect(outcome.equals(target)).toBe(true);
      }
    }
  });

  it('does not allocate what a header promises', async () => {
    const delta = await addon.bsdiffDiff(source, target);
    const forged = Buffer.from(delta);
    forged.writeBigUInt64LE(2n ** 40n, 24);
    await expect(addon.bsdiffPatch(source, forged, 2 ** 32 - 1)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    await expect(addon.bsdiffPatch(source, delta, target.length - 1)).rejects.toMatchObject({ code: 'DK_LIMIT' });
    expect((await addon.bsdiffPatch(source, delta, target.length)).equals(target)).toBe(true);
  });
});
