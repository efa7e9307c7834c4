import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Extent, Version } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { codeOf, noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const MIB = 1 << 20;
const REGION = LIMITS.regionBytes;

async function blobs(store: Store, count: number, bytes: number): Promise<Extent[]> {
  const transaction = store.begin();
  const inputs = Array.from({ length: count }, (_, index) => ({
    bytes: noise(bytes, index + 1),
    kind: 'blob' as const,
  }));
  const digests = await transaction.storeBlobs(inputs);
  await transaction.commit({ force: true });
  return digests.map((digest) => ({ digest, offset: 0, length: bytes }));
}

const zeros = (length: number): Extent => ({ digest: null, offset: 0, length });

async function keep(store: Store, extents: readonly Extent[]): Promise<Version> {
  const transaction = store.begin();
  // The digest of the content is the caller's: here only the recipe is looked at.
  await putExtents(transaction, 'f', { extents, digest: Buffer.alloc(32, 9) });
  await transaction.commit();
  const [head] = await store.heads(['f']);
  return head as Version;
}

async function expectSame(store: Store, version: Version, extents: readonly Extent[]): Promise<void> {
  const reader = store.reader(version);
  let at = 0;
  for (const { digest, length } of extents) {
    for (const offset of [at, at + length - 1, at + Math.floor(length / 2)]) {
      const [byte] = await reader.read(offset, 1);
      if (digest === null) expect(byte).toBe(0);
      else {
        const [blob] = await store.readBlobs([digest]);
        expect(byte).toBe((blob as Buffer)[offset - at]);
      }
    }
    at += length;
  }
  expect(at).toBe(version.size);
}

describe('recipes', () => {
  it('of sparse files may have runs of zeros longer than a region', async () => {
    let store = await fixture.open();
    const [one, two] = (await blobs(store, 2, MIB)) as [Extent, Extent];
    const cases: Extent[][] = [
      [zeros(REGION + 1)],
      [zeros(3 * REGION)],
      [one, zeros(REGION * 2 + 77), two],
      [zeros(REGION - 5), one, zeros(5), two],
    ];
    for (const extents of cases) {
      const version = await keep(store, extents);
      await expectSame(store, version, extents);
      await store.close();
      store = await fixture.open();
      const [head] = await store.heads(['f']);
      await expectSame(store, head as Version, extents);
    }
    expect((await store.verify()).damage).toEqual([]);
  });

  it('hold at the edges of regions', async () => {
    const store = await fixture.open();
    const pieces = await blobs(store, 8, MIB);
    const long = Array.from({ length: 130 }, (_, index) => pieces[(index * 3) % 8] as Extent);
    const tail = (bytes: number): Extent[] => (bytes === 0 ? [] : [{ ...(pieces[1] as Extent), length: bytes }]);
    for (const extents of [
      long.slice(0, 64),
      [...long.slice(0, 64), ...tail(1)],
      [...long.slice(0, 63), ...tail(MIB - 1)],
      long.slice(0, 128),
      [...tail(7), ...long.slice(0, 128)],
      [...long.slice(0, 1), ...tail(1)],
    ]) {
      await expectSame(store, await keep(store, extents), extents);
    }
    expect((await store.verify()).damage).toEqual([]);
  });

  it('that nobody could read back are refused before they are stored', async () => {
    const store = await fixture.open();
    const [blob] = (await blobs(store, 1, MIB)) as [Extent];
    const fragments = Array.from({ length: LIMITS.regionExtents + 1 }, (_, index) => ({
      ...blob,
      offset: (index * 7919) % 1000,
      length: 3,
    }));
    expect(await codeOf(() => keep(store, fragments))).toBe('DK_LIMIT');
  });

  it('of the largest files fit a record', async () => {
    const store = await fixture.open();
    const [blob] = (await blobs(store, 1, MIB)) as [Extent];
    const gap = zeros(2 ** 42);
    const extents = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? blob : gap)).slice(0, 4);
    await expectSame(store, await keep(store, extents), extents);
  });
});
