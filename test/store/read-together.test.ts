/** Which blobs are copied to be kept when they are read. */
import { expect, it } from 'vitest';
import { commitFiles, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

it('blobs of a long request stand side by side, and one that is read alone does not keep others alive', async () => {
  const store = await fixture.open();
  const files = { a: noise(600_000, 1), b: noise(600_000, 2), c: noise(600_000, 3) };
  await commitFiles(store, files);
  const digests = Object.values(files).map((bytes) => store.engine.digest(store.hashAlgo, bytes));
  await store.close();
  const again = await fixture.open();
  const together = await again.readBlobs(digests);
  expect(together).toEqual(Object.values(files));
  const [first, second] = together as Buffer[];
  expect(second?.buffer).toBe(first?.buffer);
  expect(second?.byteOffset).toBe((first?.byteOffset ?? 0) + 600_000);
  for (const digest of digests) {
    const [alone] = (await again.readBlobs([digest])) as Buffer[];
    expect(alone?.buffer.byteLength).toBe(600_000);
    // Kept: the next one has the same memory.
    expect(((await again.readBlobs([digest])) as Buffer[])[0]?.buffer).toBe(alone?.buffer);
  }
});
