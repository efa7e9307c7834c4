/** A repair of a store that has to be opened again: what only its metadata knows is not given up for that. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Store } from '../../src/store/store.js';
import { spoilNewest } from '../crash/spoil-newest.js';
import { disk, NO_FAILURE } from './failing-disk.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture, sequencesOf } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('./failing-disk.js');
  return failingLevel(await original());
});

const fixture = new StoreFixture();

afterEach(() => disk.begin(NO_FAILURE));

/** Three checkpoints, of which the packs have lost the records of the third, and metadata that may or may not have a fourth. */
async function inDoubt(partial: boolean): Promise<Store> {
  let store = await fixture.open();
  for (const version of [1, 2, 3]) await commitFiles(store, { [`file-${version}`]: noise(3000, version) });
  await store.close();
  spoilNewest(fixture.root, false);
  store = await fixture.open();
  // The batch of this commit fails, and so does opening the metadata again.
  disk.begin({ at: 1, sticky: true, code: 'EIO', partial, calls: ['batch', 'readdir'] });
  expect(await codeOf(() => commitFiles(store, { 'file-4': noise(3000, 4) }))).toBe('DK_IO');
  disk.begin(NO_FAILURE);
  expect(store.needsReopen).toBe(true);
  return store;
}

async function expectFiles(store: Store, last: number): Promise<void> {
  expect(await sequencesOf(store)).toEqual(Array.from({ length: last }, (_, index) => index + 1));
  for (let version = 1; version <= last; version += 1) {
    expect((await contentOf(store, `file-${version}`))?.equals(noise(3000, version))).toBe(true);
  }
}

describe.each([false, true])('a repair after a metadata batch that failed (applied: %s)', (partial) => {
  it.each([false, true])(
    'writes what the metadata has and the packs have lost into packs (check: %s)',
    async (check) => {
      const store = await inDoubt(partial);
      await store.rebuildIndex({ check });
      expect(store.needsReopen).toBe(false);
      await expectFiles(store, 4);
      await commitFiles(store, { 'file-5': noise(3000, 5) });
      await expectFiles(store, 5);
      await store.close();
      const again = await fixture.open();
      await expectFiles(again, 5);
      await again.close();
    },
  );
});
