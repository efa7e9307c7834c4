/** The marker and the keys stand twice: when the disk does not give one of the two files any more, the other one does. */
import { readdir, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { listStoreKeys, openSharedStore, openStore, type Store, shareStore } from '../../src/store/store.js';
import { sectors } from './bad-sectors.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { badFs } = await import('./bad-sectors.js');
  return badFs(await original());
});

const fixture = new StoreFixture();
const KEY = { keyBytes: Buffer.alloc(32, 'k') };
const BYTES = noise(5000, 1);
const at = (name: string): string => path.join(fixture.root, name);
beforeEach(() => sectors.clear());

async function fill(): Promise<void> {
  const store = await fixture.open({ encrypt: true, key: KEY });
  await commitFiles(store, { name: BYTES });
  await store.close();
}

async function damageOf(store: Store): Promise<string[]> {
  return (await store.verify()).damage.map(({ kind, where }) => `${kind} ${where}`);
}

describe.each(['DIFFKEEPER', 'DIFFKEEPER.copy', 'KEYS', 'KEYS.copy'])('%s that cannot be read', (name) => {
  it('is no reason not to open: verify names it, repair writes it anew and keeps the file', async () => {
    await fill();
    const bytes = await readFile(at(name));
    sectors.spoil(at(name));
    const store = await fixture.open({ key: KEY });
    expect((await contentOf(store, 'name'))?.equals(BYTES)).toBe(true);
    expect(await damageOf(store)).toEqual([`file ${name}`]);
    // Nothing is touched that may be read the next time.
    expect(sectors.isBad(at(name), 0, 1)).toBe(true);
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    expect((await readFile(at(name))).equals(bytes)).toBe(true);
    expect(await damageOf(store)).toEqual([]);
    const aside = (await readdir(store.quarantinePath)).find((one) => one.startsWith('unreadable-')) as string;
    expect(sectors.isBad(path.join(store.quarantinePath, aside), 0, 1)).toBe(true);
    await store.close();
    expect(await listStoreKeys(fixture.root)).toHaveLength(1);
  });

  it('is named to who only reads, too', async () => {
    await fill();
    const owner = await fixture.open({ key: KEY });
    await shareStore(owner);
    sectors.spoil(at(name));
    const reader = (await openSharedStore(fixture.root, { key: KEY })) as Store;
    expect(await damageOf(reader)).toEqual([`file ${name}`]);
    await reader.close();
  });
});

it.each([['DIFFKEEPER', 'DIFFKEEPER.copy'] as const, ['KEYS', 'KEYS.copy'] as const])(
  'of both that cannot be read (%s, %s) that is told: no other store is made, no key is called lost',
  async (one, other) => {
    await fill();
    sectors.spoil(at(one));
    sectors.spoil(at(other));
    expect(await codeOf(() => openStore(fixture.root, { create: true, key: KEY }))).toBe('DK_IO');
    sectors.clear();
    const store = await fixture.open({ key: KEY });
    expect((await contentOf(store, 'name'))?.equals(BYTES)).toBe(true);
  },
);
