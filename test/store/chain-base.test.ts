/** Chains of deltas that reach the depth limit go on from an older blob, as long as that costs less than standing alone. */
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const BYTES = 20_000;
const INTERVAL = 4;

interface Kept {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

/** Commits versions of one file, each coded against the one before. */
async function keepVersions(store: Store, versions: readonly Buffer[]): Promise<Kept[]> {
  const kept: Kept[] = [];
  for (const bytes of versions) {
    const transaction = store.begin();
    const last = kept.at(-1);
    const extents = last && [{ digest: last.digest, offset: 0, length: last.bytes.length }];
    const context = last && extents && { bytes: last.bytes, extents, aligned: false };
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob', ...(context && { context }) }]);
    const whole = { digest: digest as Digest, offset: 0, length: bytes.length };
    await putExtents(transaction, 'f', { extents: [whole], digest: digest as Digest });
    await transaction.commit();
    kept.push({ bytes, digest: digest as Digest });
  }
  return kept;
}

/** Versions that differ by so many new bytes each, at changing places. */
function changing(count: number, changed: number): Buffer[] {
  const versions = [noise(BYTES, 1)];
  for (let version = 1; version < count; version += 1) {
    const bytes = Buffer.from(versions[version - 1] as Buffer);
    noise(changed, version + 100).copy(bytes, (version * 7919) % (BYTES - changed));
    versions.push(bytes);
  }
  return versions;
}

async function expectAll(store: Store, kept: readonly Kept[]): Promise<void> {
  for await (const { version } of store.versions('f')) {
    const { bytes } = kept[version.sequence - 1] as Kept;
    expect((await store.reader(version).read(0, version.size)).equals(bytes)).toBe(true);
  }
}

describe('a chain at the depth limit', () => {
  it('goes on from an older blob: few stand alone, none lies deeper than the limit', async () => {
    const store = await fixture.open({ snapshotInterval: INTERVAL });
    const kept = await keepVersions(store, changing(60, 100));
    const { depths, packBytes } = await store.stats();
    expect(depths.length).toBe(INTERVAL + 1);
    expect(depths.reduce((sum, count) => sum + count, 0)).toBe(60);
    // One in five stood alone before.
    expect(depths[0]).toBeLessThanOrEqual(4);
    expect(packBytes).toBeLessThan(7 * BYTES);
    await expectAll(store, kept);
    expect((await store.verify({ readData: true })).damage).toEqual([]);
  });

  it('begins anew where what changed since the older blobs is as long as the whole', async () => {
    const store = await fixture.open({ snapshotInterval: INTERVAL });
    const kept = await keepVersions(store, changing(20, BYTES / 3));
    const { depths } = await store.stats();
    expect(depths[0]).toBeGreaterThanOrEqual(3);
    await expectAll(store, kept);
  });

  it('goes on from what is left of it after a prune, and from the packs alone', async () => {
    const store = await fixture.open({ snapshotInterval: INTERVAL });
    const versions = changing(30, 100);
    await keepVersions(store, versions.slice(0, 20));
    await store.prune({ keepLast: 1 }, { compactBelow: 1 });
    await store.rebuildIndex();
    const [newest] = await store.heads(['f']);
    expect((await store.reader(newest as never).read(0, BYTES)).equals(versions[19] as Buffer)).toBe(true);
    const more = await keepVersions(store, versions.slice(19));
    expect((await store.verify({ readData: true })).damage).toEqual([]);
    const [last] = await store.heads(['f']);
    expect((await store.reader(last as never).read(0, BYTES)).equals((more.at(-1) as Kept).bytes)).toBe(true);
  });
});
