/** Page tables on disk: they come back for the version that they describe, and for no other. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PageTable, PageTables } from '../../src/capture/page-tables.js';
import { removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import { openStore, type Store } from '../../src/store/store.js';

const SIZE = 1_000_001;
const PAGES = Math.ceil(SIZE / 4096);
const TABLE: PageTable = {
  digest: Buffer.alloc(32, 7),
  size: SIZE,
  pages: Buffer.alloc(16 * PAGES, 'pages'),
  groups: Buffer.alloc(32 * Math.floor(SIZE / 65536), 'groups'),
};
const VERSION: Version = { ...removedVersion('d/f', 3), type: VERSION_TYPE.file, size: SIZE, digest: TABLE.digest };

describe.each([
  ['in the clear', {}],
  ['encrypted', { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'k') } }],
])('a page table, %s', (_, options) => {
  let base = '';
  let store: Store;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'dk-tables-'));
    store = await openStore(join(base, 'keep'), { create: true, ...options });
    const tables = new PageTables(store, () => 0);
    tables.stage(VERSION.path, TABLE, 0);
    await tables.commit();
    await tables.save();
  });
  afterEach(async () => {
    await store.close();
    await rm(base, { recursive: true, force: true });
  });

  const find = (version: Version) => new PageTables(store, () => 0).find(version);

  it('comes back for its version', async () => {
    const found = await find(VERSION);
    expect(found?.pages.equals(TABLE.pages)).toBe(true);
    expect(found?.groups.equals(TABLE.groups)).toBe(true);
  });

  it('of a file that is written all the time goes to the disk now and then, not with each capture', async () => {
    let nowMs = 60_000;
    const tables = new PageTables(store, () => nowMs);
    const kept: boolean[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      const digest = Buffer.alloc(32, 100 + turn);
      tables.stage(VERSION.path, { ...TABLE, digest }, SIZE);
      await tables.commit();
      kept.push((await find({ ...VERSION, digest })) !== undefined);
      nowMs += 1000;
    }
    expect(kept).toEqual([true, false, false, false, false, true, false, false]);
    const newest = { ...VERSION, digest: Buffer.alloc(32, 107) };
    expect(await tables.find(newest)).toBeDefined();
    await tables.save();
    expect(await find(newest)).toBeDefined();
  });

  it('is no other version’s', async () => {
    expect(await find({ ...VERSION, digest: Buffer.alloc(32, 8) })).toBeUndefined();
    expect(await find({ ...VERSION, size: SIZE + 1 })).toBeUndefined();
    expect(await find({ ...VERSION, path: 'd/g' })).toBeUndefined();
  });

  it('is ignored when any byte of it changed, or its end is missing', async () => {
    const folder = join(store.cachePath, 'pages');
    const file = join(folder, (await readdir(folder))[0] as string);
    const bytes = await readFile(file);
    for (const at of [0, 40, 100, 200, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      await writeFile(file, changed);
      expect(await find(VERSION)).toBeUndefined();
    }
    await writeFile(file, bytes.subarray(0, bytes.length - 1));
    expect(await find(VERSION)).toBeUndefined();
    await writeFile(file, bytes);
    expect(await find(VERSION)).toBeDefined();
  });
});
