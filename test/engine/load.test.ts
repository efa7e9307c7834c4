import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** The loader as a new thread would see it. */
async function freshLoader() {
  vi.resetModules();
  return import('../../src/engine/load.js');
}

describe('loading an engine', () => {
  const empty = mkdtempSync(join(tmpdir(), 'dk-no-addon-'));
  let warnings: string[] = [];

  beforeEach(() => {
    warnings = [];
    vi.spyOn(process, 'emitWarning').mockImplementation((message: string | Error) => {
      warnings.push(String(message));
    });
    for (const name of ['DIFFKEEPER_ENGINE', 'DIFFKEEPER_REQUIRE_NATIVE', 'DIFFKEEPER_PREBUILD']) vi.stubEnv(name, '');
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  afterAll(() => rmSync(empty, { recursive: true, force: true }));

  it('gives the same engine on every call', async () => {
    const { engineInfo, loadEngine } = await freshLoader();
    expect(loadEngine()).toBe(loadEngine());
    expect(engineInfo()).toBe(loadEngine().info);
  });

  it('takes the twin without a word when asked to', async () => {
    vi.stubEnv('DIFFKEEPER_ENGINE', 'typescript');
    const { engineInfo } = await freshLoader();
    expect(engineInfo()).toMatchObject({
      kind: 'typescript',
      fallbackReason: expect.stringContaining('DIFFKEEPER_ENGINE'),
    });
    expect(warnings).toEqual([]);
  });

  it('falls back with one warning when the addon is not there', async () => {
    vi.stubEnv('DIFFKEEPER_PREBUILD', empty);
    const { engineInfo, loadEngine, loadNative } = await freshLoader();
    expect(engineInfo()).toMatchObject({
      kind: 'typescript',
      fallbackReason: expect.stringContaining('No native build'),
    });
    loadEngine();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('npm run build:native');
    expect(loadNative).toThrow(/No native build/);
  });

  it('fails when native is required', async () => {
    vi.stubEnv('DIFFKEEPER_PREBUILD', empty);
    vi.stubEnv('DIFFKEEPER_REQUIRE_NATIVE', '1');
    const { loadEngine } = await freshLoader();
    expect(loadEngine).toThrow(expect.objectContaining({ code: 'DK_NATIVE_MISSING' }));
    expect(warnings).toEqual([]);
  });

  it('refuses an engine that does not exist', async () => {
    vi.stubEnv('DIFFKEEPER_ENGINE', 'quantum');
    const { loadEngine } = await freshLoader();
    expect(loadEngine).toThrow(expect.objectContaining({ code: 'DK_CONFIG' }));
  });
});
