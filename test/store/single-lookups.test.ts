import { describe, expect, it } from 'vitest';
import type { Digest } from '../../src/format/format.js';
import { commitFiles, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

describe('lookups of one blob after another', () => {
  it('find what lookups of many find, and let others have their turn', async () => {
    const store = await fixture.open();
    await commitFiles(store, { one: noise(500, 1), two: noise(600, 2) });
    const versions = await store.heads(['one', 'two']);
    const digests = [...versions.map((version) => version?.digest as Digest), Buffer.alloc(32, 7)];
    const together = await store.blobInfos(digests);
    expect(together.map((info) => info?.decodedBytes)).toEqual([500, 600, undefined]);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 0);
    for (let count = 0; count < 3000; count += 1) {
      const [info] = await store.blobInfos([digests[count % 3] as Digest]);
      if (info?.offset !== together[count % 3]?.offset) throw new Error(`lookup ${count} found something else`);
    }
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
    await store.close();
  });
});
