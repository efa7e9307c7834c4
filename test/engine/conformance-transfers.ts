/** Hashing in any order, and what the kernel knows about a connection. */
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';

const GROUP = 65536;
const SEED = 0x9e3779b97f4a7c15n;
/** Of the pattern with seed 5: XXH3-128 without a seed and with `SEED`, as xxHash 0.8.3 makes it. */
const WIDE: [number, [string, string]][] = [
  [0, ['99aa06d3014798d86001c324468d497f', 'd142977a2cca554b4ca5176998171787']],
  [1, ['748c656f86fdad7e277b1946ac9655b6', '93faf1e8ab4dff4a8761e5e32bff7169']],
  [3, ['c837c289480737023295f693f7d83d8d', 'f6e8ade34b680f3ee9413cbdfd1b7d84']],
  [4, ['ed005bcf6b2fca2770c5b6eda33961bd', 'f627b70d7e9f3dd35eee3783b86e570b']],
  [8, ['50d193350d3d083ea44dd0a7af27f6bd', '7139f3cb75389a3ada7f2b59ce7e8088']],
  [9, ['3186fe21c205da3d7a1b8e36db51aeab', 'b38e05fd78372e8d754210393d6b981d']],
  [16, ['567f4a81afb55706c0a2151abd24aa38', '22372b3f6f53a8b73c0f01b07e4a5365']],
  [17, ['d85a745027b36096b57ed3972d0beaf0', 'e4133ab1aa37e88ba579d6da9b5adcd7']],
  [96, ['91050dbe2409b5384a613153e54a821a', '4651122101bfadbe302c8a19d3ef204c']],
  [128, ['45a63247dc09a64fc35be5e34d62ff7d', '8fd48ea0b1e3ab434b4b116e293eea83']],
  [129, ['f71d08364472dcd3c99fe271131fb07d', 'e8963823f50fa2be91d571613b7cf950']],
  [200, ['0f140c029311d219e3a10020e51144c4', 'e54436121d2d38b566553cedd0b65a84']],
  [240, ['3dd1a972353d93ca70d42982c253acd4', 'af5fc54bb27eba287bb2450680af6c6b']],
  [241, ['00b5e111ddf0ae44b96d4540d680665c', '92c50db6fc4863dac855f418cc44f63a']],
  [1024, ['9ee9d00467079b19a7ddeb08ece79668', 'ba666ab1fc6953837bf243ad998d24fc']],
  [1025, ['47e5322767f0a4949c7e096f28ff3771', '6bf277384a4bd2d9a643939af1d5ca6d']],
  [65536, ['03765f9c3bf2aa5e80fd89d513e7cb24', 'cf129e08262393ae060ce1a1c536911e']],
  [300001, ['7fc41899b9813c8e8b150dfdbd5d0bbd', '157ce1892d2debf4c6af9a8dc2fc88b3']],
];

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

  it.each(WIDE)('makes XXH3-128 of %i bytes', (size, expected) => {
    const data = patternBytes(size, 5);
    expect([0n, SEED].map((seed) => engine.xxh3Wide(data, seed).toString('hex'))).toEqual(expected);
  });

  it.each([0, 1, GROUP, GROUP + 1, 3 * GROUP - 1])('makes XXH3-128 of the groups of %i bytes', (size) => {
    const data = patternBytes(size, 3);
    const values: Buffer[] = [];
    for (let at = 0; at < size; at += GROUP) values.push(engine.xxh3Wide(data.subarray(at, at + GROUP), SEED));
    expect(engine.xxh3Groups(data, SEED).equals(Buffer.concat(values))).toBe(true);
  });

  it('refuses what is no seed', () => {
    for (const seed of [-1n, 2n ** 64n]) {
      expect(() => engine.xxh3Wide(Buffer.alloc(1), seed)).toThrow(RangeError);
      expect(() => engine.xxh3Groups(Buffer.alloc(1), seed)).toThrow(RangeError);
    }
    expect(() => engine.xxh3Wide(Buffer.alloc(1), 5 as unknown as bigint)).toThrow(TypeError);
    expect(() => engine.xxh3Groups('x' as unknown as Buffer, 5n)).toThrow(TypeError);
  });

  it('has no figures of what is no connection, and sets nothing on it', () => {
    expect(engine.socketFigures(2 ** 31 - 1)).toBeUndefined();
    expect(engine.tuneSocket(2 ** 31 - 1, { congestion: 'bbr', userTimeoutMs: 1000 })).toBe(false);
    expect(() => engine.socketFigures(-1)).toThrow(RangeError);
    expect(() => engine.tuneSocket(1, { unsentBytes: -1 })).toThrow(RangeError);
  });
}
