/** Digests of bytes that come in any order, hashed on this thread or on another one. */
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { BlobDigest, GROUP_BYTES } from '../../src/transport/blob-digest.js';
import { seededBytes } from './session-fixture.js';

const engine = loadEngine();

describe.each([true, false])('the digest of a blob, elsewhere %s', (elsewhere) => {
  it.each([0, 1, GROUP_BYTES, 3 * GROUP_BYTES, 21 * GROUP_BYTES + 77])('of %i bytes', async (size) => {
    const bytes = seededBytes(size, 4);
    const digest = new BlobDigest(engine, size, elsewhere);
    const step = 4 * GROUP_BYTES;
    const pieces = Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step).reverse();
    await Promise.all(pieces.map((at) => digest.add(at, bytes.subarray(at, at + step))));
    expect(digest.finish().equals(engine.digest('blake3', bytes))).toBe(true);
  });

  it('is none before all is there', async () => {
    const digest = new BlobDigest(engine, 2 * GROUP_BYTES, elsewhere);
    await digest.add(0, seededBytes(GROUP_BYTES, 1));
    expect(() => digest.finish()).toThrow(/not all here/);
  });
});
