/** Another tag for a checkpoint that stands: durable, in the packs alone too, and kept by a prune. */
import { readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RECORD } from '../../src/format/format.js';
import { openSharedStore, type Store, type StoreOptions, shareStore } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const ENCRYPTED = { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'key') } };

/** Newest first: sequence, tag, and what the checkpoint has of `a`. */
async function listed(store: Store): Promise<string[]> {
  const rows: string[] = [];
  for await (const { sequence, tag, root } of store.checkpoints()) {
    for await (const [version] of store.entries({ at: sequence, under: ['a'] })) {
      rows.push(`${sequence} "${tag}" ${version?.digest?.toString('hex', 0, 4)} ${root.toString('hex', 0, 4)}`);
    }
  }
  return rows;
}

async function filled(options: StoreOptions = {}): Promise<Store> {
  const store = await fixture.open(options);
  for (let version = 1; version <= 4; version += 1)
    await commitFiles(store, { a: noise(300, version), b: noise(9, version) });
  return store;
}

describe.each([
  ['in the clear', {}],
  ['encrypted', ENCRYPTED],
])('a tag of a checkpoint that stands, %s', (_name, options: StoreOptions) => {
  it('replaces another one, and is in the packs alone', async () => {
    const store = await filled(options);
    const before = await listed(store);
    const expected = before.map((row) => row.replace(/^([24]) ""/, '$1 "tag $1"'));
    expect(await store.retag(2, 'wrong')).toMatchObject({ sequence: 2, tag: 'wrong' });
    await store.retag(2, 'tag 2');
    await store.retag(4, 'tag 4');
    expect(store.newest?.tag).toBe('tag 4');
    expect(await listed(store)).toEqual(expected);
    expect((await store.verify()).damage).toEqual([]);
    await commitFiles(store, { a: noise(300, 5) });
    await store.close();
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const alone = await fixture.open(options.key ? { key: options.key } : {});
    expect((await listed(alone)).slice(1)).toEqual(expected);
    expect((await alone.verify()).damage).toEqual([]);
    await alone.retag(2, '');
    await alone.retag(4, '');
    expect((await listed(alone)).slice(1)).toEqual(before);
  });
});

describe('a tag of a checkpoint that stands', () => {
  it('is what a prune keeps by, and takes no packs for good', async () => {
    const store = await filled();
    for (let turn = 0; turn < 5; turn += 1) await store.retag(2, `turn ${turn}`);
    // One pack of commits, one of the history, two of the seal.
    expect(await readdir(path.join(fixture.root, 'packs'))).toHaveLength(4);
    expect(await store.prune({ keepTags: ['turn 4'] })).toMatchObject({ kept: [2, 4], dropped: [1, 3] });
    expect((await listed(store)).map((row) => row.slice(0, 11))).toEqual([
      expect.stringMatching(/^4 ""/),
      '2 "turn 4" ',
    ]);
    await store.retag(2, 'after the prune');
    expect((await store.verify()).damage).toEqual([]);
    expect((await contentOf(store, 'a'))?.equals(noise(300, 4))).toBe(true);
  });

  it('waits for a transaction, and commits go on', async () => {
    const store = await filled();
    const transaction = store.begin();
    const renamed = store.retag(1, 'first');
    transaction.remove('b');
    await transaction.commit();
    await renamed;
    await commitFiles(store, { a: noise(300, 6) });
    expect((await listed(store)).map((row) => row.slice(0, 3))).toEqual(['6 "', '5 "', '4 "', '3 "', '2 "', '1 "']);
    expect((await listed(store)).at(-1)).toContain('1 "first"');
    expect((await store.verify()).damage).toEqual([]);
  });

  it('is refused where it cannot be: no such checkpoint, too long, a damaged history, who only reads', async () => {
    const store = await filled();
    expect(await codeOf(() => store.retag(9, 'x'))).toBe('DK_NOT_FOUND');
    await expect(store.retag(1, 'x'.repeat(1025))).rejects.toThrow(RangeError);
    await shareStore(store);
    const reader = (await openSharedStore(fixture.root)) as Store;
    expect(await codeOf(() => reader.retag(1, 'x'))).toBe('DK_STORE_LOCKED');
    await reader.close();
    await store.close();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    const damaged = await fixture.open();
    const before = await listed(damaged).catch(() => []);
    expect(await codeOf(() => damaged.retag(1, 'x'))).toBe('DK_CORRUPT_RECORD');
    expect(await listed(damaged).catch(() => [])).toEqual(before);
    await commitFiles(damaged, { a: noise(300, 7) });
    expect((await contentOf(damaged, 'a'))?.equals(noise(300, 7))).toBe(true);
  });
});
