/** The quick digest: what it is made of, and that nothing else has it. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { GROUP_BYTES } from '../../src/transport/blob-digest.js';
import { BlobDigests, checkDigest } from '../../src/transport/blob-digests.js';
import { digestSeed } from '../../src/transport/greeting.js';
import { ListDigest, listDigest } from '../../src/transport/list-digest.js';
import type { DigestKind } from '../../src/transport/transport.js';
import { memorySource, seededBytes } from './session-fixture.js';

const engine = loadEngine();
const SEED = 0x0123456789abcdefn;
const SIZE = 21 * GROUP_BYTES + 77;
const RUNS = { seed: 30, numRuns: 150 };

/** The digest as docs/format-transport.md has it, without the class. */
function plainDigest(bytes: Buffer, seed: bigint): Buffer {
  const head = Buffer.from('DKXXH3L1\0\0\0\0\0\0\0\0', 'latin1');
  head.writeUInt32LE(bytes.length, 8);
  const values: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += GROUP_BYTES) {
    values.push(engine.xxh3Wide(bytes.subarray(at, at + GROUP_BYTES), seed));
  }
  return engine.xxh3Wide(Buffer.concat([head, ...values]), seed);
}

describe('the quick digest', () => {
  it.each([0, 1, GROUP_BYTES, GROUP_BYTES + 1, 3 * GROUP_BYTES, SIZE])('of %i bytes in any order', (size) => {
    const bytes = seededBytes(size, 4);
    const digest = new ListDigest(engine, SEED, size);
    const step = 4 * GROUP_BYTES;
    const pieces = Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step).reverse();
    for (const at of pieces) {
      const piece = bytes.subarray(at, at + step);
      // With the values of its frame, or without them.
      if (at % (2 * step) === 0) digest.add(at, piece);
      else digest.add(at, piece, engine.xxh3Groups(piece, SEED));
    }
    expect(digest.finish().equals(plainDigest(bytes, SEED))).toBe(true);
    expect(listDigest(engine, SEED, bytes).equals(plainDigest(bytes, SEED))).toBe(true);
  });

  it.each([
    [0, 'be90e67e599befe922ce22737279792e'],
    [1, '9f79269c649b667895dbed1c9a8c7567'],
    [65536, 'db326e69d2eff2abe8e2b07fbe06983d'],
    [65537, 'f63290f7530911f04c0d30523f4fcce7'],
    [1376333, '991d93003c9397a1d351a4a973cb2078'],
  ])('never changes: %i bytes', (size, expected) => {
    expect(listDigest(engine, SEED, seededBytes(size, 4)).toString('hex')).toBe(expected);
  });

  it('is none before all is there', () => {
    const digest = new ListDigest(engine, SEED, 3 * GROUP_BYTES);
    digest.add(0, seededBytes(GROUP_BYTES, 1));
    digest.add(2 * GROUP_BYTES, seededBytes(GROUP_BYTES, 1));
    expect(() => digest.finish()).toThrow(/not all here/);
  });

  it('is another one for bytes with one changed, parts exchanged, cut off or added, and for another seed', () => {
    const bytes = seededBytes(5 * GROUP_BYTES + 300, 7);
    const right = listDigest(engine, SEED, bytes);
    const differs = (other: Buffer, seed = SEED): void => {
      expect(listDigest(engine, seed, other).equals(right)).toBe(false);
    };
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, value) => {
        const other = Buffer.from(bytes);
        other[at] = (other[at] as number) ^ value;
        differs(other);
        differs(bytes.subarray(0, at));
        differs(Buffer.concat([bytes, Buffer.alloc(1 + (at % 70_000), value)]));
      }),
      RUNS,
    );
    for (let group = 1; group < 5; group += 1) {
      const other = Buffer.from(bytes);
      bytes.copy(other, 0, group * GROUP_BYTES, (group + 1) * GROUP_BYTES);
      bytes.copy(other, group * GROUP_BYTES, 0, GROUP_BYTES);
      differs(other);
    }
    differs(bytes, SEED + 1n);
    // Zeros behind the end, and none: their groups are alike but for the length.
    const zeros = [0, 1, 240, 241, GROUP_BYTES, 2 * GROUP_BYTES].map((size) =>
      listDigest(engine, SEED, Buffer.alloc(size)).toString('hex'),
    );
    expect(new Set(zeros).size).toBe(zeros.length);
  });
});

describe('the seed of a session', () => {
  const welcome = {
    version: 3,
    windowBytes: 4 << 20,
    sessionId: seededBytes(16, 1),
    secret: seededBytes(32, 2),
    streamsMax: 4,
    rights: 'append',
    quickDigests: true,
  } as const;

  it('is made of its secret, where quick digests were agreed upon', () => {
    const about = Buffer.concat([welcome.sessionId, Buffer.from('xxh3 groups')]);
    const expected = createHmac('sha256', welcome.secret).update(about).digest().readBigUInt64LE(0);
    expect(digestSeed(welcome)).toBe(expected);
    expect(digestSeed({ ...welcome, version: 2 })).toBeUndefined();
    expect(digestSeed({ ...welcome, quickDigests: false })).toBeUndefined();
    expect(digestSeed({ ...welcome, secret: seededBytes(32, 3) })).not.toBe(expected);
  });
});

describe('what a blob is checked by', () => {
  const source = memorySource(seededBytes(10, 1));
  const named = memorySource(seededBytes(10, 1), { digest: Buffer.alloc(32) });

  it('is what was asked for, unless its BLAKE3 is known or nothing else was agreed upon', () => {
    const both = new BlobDigests(engine, SEED);
    const one = new BlobDigests(engine, undefined);
    expect(both.kindOf(source, 'xxh3')).toBe('xxh3');
    expect(both.kindOf(source, 'blake3')).toBe('blake3');
    expect(both.kindOf(source, undefined)).toBe('blake3');
    expect(both.kindOf(named, 'xxh3')).toBe('blake3');
    expect(one.kindOf(source, 'xxh3')).toBe('blake3');
    expect(() => one.begin('xxh3', 10)).toThrow(/no quick digests/);
  });

  it('is one of two', () => {
    expect(checkDigest('xxh3')).toBe('xxh3');
    expect(() => checkDigest('md5' as DigestKind)).toThrow(RangeError);
  });
});
