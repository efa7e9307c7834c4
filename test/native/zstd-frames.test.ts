import { describe, expect, it } from 'vitest';
import { deltaFormat, diffBare, patchBare } from '../../src/delta/delta.js';
import { loadTwin } from '../../src/engine/load.js';
import { noise } from './addon-door.js';
import { realPairs, realZstd, realZstdDecode } from './delta-peers.js';

describe.each(realPairs())('zstd --patch-from and ours: %s', (_, source, target) => {
  it('zstd -d --patch-from decodes ours', async () => {
    // It refuses an empty source.
    if (source.length === 0) return;
    const frame = await diffBare(source, target, { format: 'zstd' });
    expect(realZstdDecode(source, frame).equals(target)).toBe(true);
    expect((await patchBare(source, frame)).equals(target)).toBe(true);
    const plain = await loadTwin().compress(target, { level: 3, context: source });
    expect(realZstdDecode(source, plain).equals(target)).toBe(true);
  });

  it.each([[['-3']], [['-9', '--long=31']], [['-1', '--no-check']]])('ours decodes zstd %j', async (options) => {
    if (source.length === 0 || target.length === 0) return;
    const frame = realZstd(source, target, options);
    expect(deltaFormat(frame)).toBe('zstd');
    expect((await patchBare(source, frame)).equals(target)).toBe(true);
    const twins = await loadTwin().decompress(frame, { decodedBytes: target.length, context: source });
    expect(twins.equals(target)).toBe(true);
  });
});

describe('zstd frames', () => {
  it('reach all of a long source, and zstd decodes them without options', async () => {
    const source = noise(4 << 20, 1);
    const target = Buffer.concat([source.subarray(3 << 20), noise(1000, 2), source.subarray(0, 2 << 20)]);
    const frame = await diffBare(source, target, { format: 'zstd' });
    expect(frame.length).toBeLessThan(20_000);
    expect(realZstdDecode(source, frame).equals(target)).toBe(true);
  });

  it('that came from a pipe say no length and are refused', async () => {
    const frame = Buffer.from('28b52ffd0058190000612062', 'hex');
    await expect(patchBare(noise(10, 1), frame)).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
  });

  it('with a checksum tell a wrong source', async () => {
    const [source, wrong] = [noise(50_000, 1), noise(50_000, 9)];
    const frame = realZstd(source, source, ['-3']);
    await expect(patchBare(wrong, frame)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });

  it('that claim too much are refused before any memory is taken', async () => {
    const claims = Buffer.from('28b52ffde000000000ff000000010000', 'hex');
    await expect(patchBare(noise(10, 1), claims)).rejects.toMatchObject({ code: 'DK_LIMIT' });
    await expect(patchBare(noise(10, 1), claims.subarray(0, 8))).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });
});
