import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadTwin } from '../../src/engine/load.js';
import { describeEngine } from './conformance.js';

describeEngine('typescript', loadTwin(), { exactTimes: false });

describe('typescript engine', () => {
  it('says that it is a fallback and why', () => {
    expect(loadTwin('because').info).toMatchObject({
      kind: 'typescript',
      simd: 'none',
      threads: 0,
      fallbackReason: 'because',
    });
    expect(loadTwin().info.fallbackReason).toBeUndefined();
  });

  it('tells the versions that the package pins', () => {
    const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(loadTwin().info.versions).toEqual({
      'zstd-wasm': dependencies['@bokuweb/zstd-wasm'],
      'hash-wasm': dependencies['hash-wasm'],
    });
  });
});
