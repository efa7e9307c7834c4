import { describe, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadNative } from '../../src/engine/load.js';
import { describeEngine } from './conformance.js';

/** The engine, or the error that says why there is none. */
function tryNative(): Engine | unknown {
  try {
    return loadNative();
  } catch (error) {
    return error;
  }
}

const native = tryNative();

if (native instanceof Error) {
  describe('native engine', () => {
    it('says what is missing and what to type, where it is not required', () => {
      expect(isDiffKeeperError(native, 'DK_NATIVE_MISSING')).toBe(true);
      expect(native.message).toContain('npm run build:native');
      expect(process.env.DIFFKEEPER_REQUIRE_NATIVE).not.toBe('1');
    });
  });
} else {
  describeEngine('native', native as Engine, { exactTimes: true });
  describe('native engine', () => {
    it('tells where it came from', () => {
      expect((native as Engine).info).toMatchObject({ kind: 'native', path: expect.stringContaining('.node') });
    });
  });
}
