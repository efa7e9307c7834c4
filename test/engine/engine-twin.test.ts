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
});
