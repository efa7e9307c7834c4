import { describe, expect, it } from 'vitest';
import { decodeContainer, encodeContainer } from '../../src/delta/container.js';
import { type BareFormat, deltaFormat, diff, diffBare, patch, patchBare } from '../../src/delta/delta.js';
import { loadEngine } from '../../src/engine/load.js';
import { editedBytes, patternBytes } from '../engine/samples.js';

const source = patternBytes(50_000, 1);
const target = editedBytes(source, 2);

describe.each<BareFormat>(['bsdiff', 'vcdiff', 'zstd'])('bare %s', (format) => {
  it('brings the target back and is known by its first bytes', async () => {
    const delta = await diffBare(source, target, { format });
    expect(deltaFormat(delta)).toBe(format);
    expect(delta.length).toBeLessThan(600);
    expect((await patchBare(source, delta)).equals(target)).toBe(true);
  });

  it('is bounded, and stops when asked', async () => {
    const delta = await diffBare(source, target, { format });
    const bounded = patchBare(source, delta, { targetBytesMax: target.length - 1 });
    await expect(bounded).rejects.toMatchObject({ code: 'DK_LIMIT' });
    const signal = AbortSignal.abort();
    await expect(patchBare(source, delta, { signal })).rejects.toMatchObject({ code: 'DK_ABORTED' });
    await expect(diffBare(source, target, { format, signal })).rejects.toMatchObject({ code: 'DK_ABORTED' });
  });

  it('as a payload, must make what the container says', async () => {
    const engine = loadEngine();
    const choice = format === 'vcdiff' ? 'xdelta' : format;
    const parts = decodeContainer(engine, await diff(source, target, { engine: choice }));
    for (const targetBytes of [target.length - 1, target.length + 1]) {
      const forged = encodeContainer(engine, { ...parts, targetBytes });
      await expect(patch(source, forged)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    }
  });
});

describe('bare deltas', () => {
  it('are told from the rest', async () => {
    const delta = await diff(source, target);
    expect(deltaFormat(delta)).toBe('dkd');
    expect(deltaFormat(Buffer.from('DKD'))).toBeUndefined();
    await expect(patchBare(source, delta)).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    await expect(patchBare(source, source)).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    expect(() => deltaFormat('x' as unknown as Buffer)).toThrow(TypeError);
    await expect(diffBare(source, target, { format: 'zip' as BareFormat })).rejects.toThrow(TypeError);
    await expect(diffBare(source, target, { format: 'zstd', level: 20 })).rejects.toThrow(RangeError);
    await expect(diffBare('a' as unknown as Buffer, target, { format: 'vcdiff' })).rejects.toThrow(TypeError);
  });
});
