/** Hashing in any order, and what the kernel knows about a connection. */
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';

const GROUP = 65536;

export function describeTransfers(engine: Engine): void {
  it.each([0, 1, GROUP, GROUP + 1, 5 * GROUP, 7 * GROUP + 99])(
    'makes the digest of %i bytes from parts',
    async (size) => {
      const data = patternBytes(size, 3);
      const groups = size === 0 ? 0 : Math.ceil(size / GROUP) - 1;
      const values: Buffer[] = [];
      // Backwards, in parts of up to two groups.
      for (let first = groups; first > 0; first -= 2) {
        const from = Math.max(0, first - 2);
        values.unshift(await engine.groupValues(data.subarray(from * GROUP, first * GROUP), from));
      }
      const whole = Buffer.concat(values);
      expect(engine.groupValuesSync(data.subarray(0, groups * GROUP), 0).equals(whole)).toBe(true);
      const root = engine.rootOfGroups(whole, data.subarray(groups * GROUP));
      expect(root.toString('hex')).toBe(engine.digest('blake3', data).toString('hex'));
    },
  );

  it('refuses parts that make no whole', async () => {
    await expect(engine.groupValues(Buffer.alloc(GROUP + 1), 0)).rejects.toBeInstanceOf(RangeError);
    await expect(engine.groupValues(Buffer.alloc(GROUP), -1)).rejects.toBeInstanceOf(RangeError);
    expect(() => engine.groupValuesSync(Buffer.alloc(GROUP + 1), 0)).toThrow(RangeError);
    expect(() => engine.groupValuesSync(Buffer.alloc(GROUP), -1)).toThrow(RangeError);
    expect(() => engine.rootOfGroups(Buffer.alloc(33), Buffer.alloc(1))).toThrow(RangeError);
    expect(() => engine.rootOfGroups(Buffer.alloc(32), Buffer.alloc(0))).toThrow(RangeError);
    expect(() => engine.rootOfGroups(Buffer.alloc(32), Buffer.alloc(GROUP + 1))).toThrow(RangeError);
  });

  it('has no figures of what is no connection, and sets nothing on it', () => {
    expect(engine.socketFigures(2 ** 31 - 1)).toBeUndefined();
    expect(engine.tuneSocket(2 ** 31 - 1, { congestion: 'bbr', userTimeoutMs: 1000 })).toBe(false);
    expect(() => engine.socketFigures(-1)).toThrow(RangeError);
    expect(() => engine.tuneSocket(1, { unsentBytes: -1 })).toThrow(RangeError);
  });
}
