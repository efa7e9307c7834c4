/** A rebuild of the metadata on a disk that does not read: what was there before is back, and nothing is decided on half of it. */
import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { openStore, type Store } from '../../src/store/store.js';
import { disk, NO_FAILURE } from './failing-disk.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});

const fixture = new StoreFixture();
const CHECKPOINTS = 4;
const READS = { sticky: true, code: 'EIO', partial: false, calls: ['read'] } as const;

afterEach(() => disk.begin(NO_FAILURE));

async function expectAll(store: Store): Promise<void> {
  expect(store.newest?.sequence).toBe(CHECKPOINTS);
  expect((await contentOf(store, 'file'))?.equals(noise(3 << 20, CHECKPOINTS))).toBe(true);
  expect((await store.verify()).damage).toEqual([]);
}

it('comes back as it was, whichever read fails first', async () => {
  let store = await fixture.open();
  for (let version = 1; version <= CHECKPOINTS; version += 1) {
    await commitFiles(store, { file: noise(3 << 20, version), [`only-${version}`]: noise(5000, 50 + version) });
  }
  let failures = 0;
  for (let at = 1; ; at += 1) {
    disk.begin({ ...READS, at });
    const outcome = await store.rebuildIndex().catch((error: unknown) => error);
    const { failed } = disk;
    disk.begin(NO_FAILURE);
    if (failed === 0) break;
    failures += 1;
    expect(outcome).toMatchObject({ code: 'DK_IO' });
    expect(await codeOf(() => store.prune({ keepLast: 1 }))).toBe('DK_IO');
    expect(await codeOf(() => store.prune({ keepLast: 1 }, { dryRun: true }))).toBe('DK_IO');
    expect((await readdir(path.join(fixture.root, 'quarantine'))).filter((name) => name.includes('meta'))).toEqual([]);
    // In the same process, and in the next one.
    if (at % 2 === 0) await store.reopen();
    else {
      await store.close();
      store = await openStore(fixture.root);
    }
    await expectAll(store);
  }
  expect(failures).toBeGreaterThan(1);
  await expectAll(store);
  await store.close();
});

it('is made again in the same process, whichever call that changes the disk failed', async () => {
  let store = await fixture.open();
  for (let version = 1; version <= CHECKPOINTS; version += 1) {
    await commitFiles(store, { file: noise(3 << 20, version) });
  }
  let failures = 0;
  for (let at = 1; ; at += 1) {
    disk.begin({ sticky: false, code: 'EIO', partial: true, at });
    await store.rebuildIndex().catch((error: unknown) => expect(error).toMatchObject({ code: 'DK_IO' }));
    const { failed } = disk;
    disk.begin(NO_FAILURE);
    if (failed === 0) break;
    failures += 1;
    if (store.needsReopen) await store.reopen();
    // The next process would take the metadata of before, however old it is by then.
    expect(await readdir(fixture.root)).not.toContain('meta-before');
    await store.rebuildIndex();
    await expectAll(store);
  }
  expect(failures).toBeGreaterThan(3);
  await store.close();
  store = await openStore(fixture.root);
  await expectAll(store);
  await store.close();
});

it('leaves a store that can be opened in the same process, whichever look at the disk failed when it was opened', async () => {
  let store = await fixture.open();
  await commitFiles(store, { file: noise(5000, 1) });
  await store.close();
  let failures = 0;
  for (let at = 1; ; at += 1) {
    disk.begin({ sticky: false, code: 'EIO', partial: false, at, calls: ['stat', 'readdir', 'readFile'] });
    const opened = await openStore(fixture.root).catch((error: unknown) => error);
    const { failed } = disk;
    disk.begin(NO_FAILURE);
    if (opened instanceof Error) expect(opened).toMatchObject({ code: 'DK_IO' });
    else await (opened as Store).close();
    if (failed === 0) break;
    failures += 1;
    store = await openStore(fixture.root);
    expect(store.newest?.sequence).toBe(1);
    await store.close();
  }
  expect(failures).toBeGreaterThan(3);
});
