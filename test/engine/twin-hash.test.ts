/** The twin's own BLAKE3 and XXH3 against two independent libraries. */
import { blake3 as nobleBlake3 } from '@noble/hashes/blake3.js';
import { createXXHash3 } from 'hash-wasm';
import { describe, expect, it } from 'vitest';
import { blake3, GROUP_BYTES, groupValue, rootFromGroups } from '../../src/engine/twin-blake3.js';
import { xxh3 } from '../../src/engine/twin-xxh3.js';
import { patternBytes } from './samples.js';

const BLAKE3_LENGTHS = [
  0, 1, 3, 4, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3073, 5120, 65535, 65536, 65537, 131072, 200_001,
];

describe('twin blake3', () => {
  it('equals an independent implementation at block, chunk and group borders', () => {
    for (const length of BLAKE3_LENGTHS) {
      const data = patternBytes(length, 7);
      expect(blake3(data).toString('hex'), `length ${length}`).toBe(Buffer.from(nobleBlake3(data)).toString('hex'));
    }
  });

  it('gets the same root from group values', () => {
    for (const length of [1, 65535, 65536, 65537, 131071, 131072, 131073, 196608, 262144, 327681]) {
      const data = patternBytes(length, 9);
      const count = Math.floor((length - 1) / GROUP_BYTES);
      const groups = Array.from({ length: count }, (_, i) =>
        groupValue(data.subarray(i * GROUP_BYTES, (i + 1) * GROUP_BYTES), i),
      );
      const root = rootFromGroups(Buffer.concat(groups), count, data.subarray(count * GROUP_BYTES));
      expect(root.equals(blake3(data)), `length ${length}`).toBe(true);
    }
  });
});

describe('twin xxh3', () => {
  it('equals an independent implementation for every short length and at stripe and block borders', async () => {
    const seeds: [number, number][] = [
      [0, 0],
      [1, 0],
      [0x89abcdef, 0xfedcba98],
    ];
    for (const [low, high] of seeds) {
      const hasher = await createXXHash3(low, high);
      const seed = BigInt(low) | (BigInt(high) << 32n);
      for (const length of [...Array(300).keys(), 1023, 1024, 1025, 1088, 1089, 2047, 2048, 2049, 4096, 10_007]) {
        const data = patternBytes(length, 3);
        const expected = hasher.init().update(data).digest('hex');
        expect(xxh3(data, seed).toString(16).padStart(16, '0'), `length ${length} seed ${seed}`).toBe(expected);
      }
    }
  });
});
