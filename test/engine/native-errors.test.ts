/** How the wrapper treats what the addon throws, with an addon made for the test. */
import { describe, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { wrapAddon } from '../../src/engine/native.js';
import { checkAddon, type RawAddon } from '../../src/engine/raw-addon.js';

function addonThatFails(code: string): RawAddon {
  const failure = () => Promise.reject(Object.assign(new Error('from afar'), { code }));
  return {
    info: () => ({ simd: 'none', threads: 1, versions: {} }),
    cut: failure,
    digestFile: failure,
  } as unknown as RawAddon;
}

const SIZES = { minBytes: 64, averageBytes: 64, maxBytes: 64 };

describe('errors of the addon', () => {
  it('become ours when they carry one of our codes, with the stack of the caller', async () => {
    const engine = wrapAddon(addonThatFails('DK_CORRUPT_DELTA'), '');
    const error: unknown = await engine.cut(Buffer.alloc(1), SIZES).catch((failure: unknown) => failure);
    expect(isDiffKeeperError(error, 'DK_CORRUPT_DELTA')).toBe(true);
    expect((error as Error).stack).toContain('native-errors.test');
  });

  it('stay system errors otherwise', async () => {
    const engine = wrapAddon(addonThatFails('ENOSPC'), '');
    const error: unknown = await engine.cut(Buffer.alloc(1), SIZES).catch((failure: unknown) => failure);
    expect(isDiffKeeperError(error)).toBe(false);
    expect(error).toMatchObject({ code: 'ENOSPC', message: 'from afar' });
  });

  it('do not surface after an abort', async () => {
    const control = new AbortController();
    const never = { ...addonThatFails('EIO'), digestFile: () => new Promise<Buffer>(() => {}) };
    const digest = wrapAddon(never, '').digestFile('sha256', '/x', control.signal);
    control.abort();
    await expect(digest).rejects.toMatchObject({ code: 'DK_ABORTED', name: 'AbortError' });
  });

  it('refuse an addon that lacks functions', () => {
    expect(() => checkAddon(addonThatFails('x'))).toThrow(/lacks digest,.*another version/);
    expect(() => checkAddon(undefined)).toThrow(/another version/);
  });
});
