/** Encrypted stores: keys, order, tampering. That everything else works is in `store-property.test.ts`. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  addStoreKey,
  changeStoreKey,
  exchangeOf,
  listStoreKeys,
  openSharedStore,
  openStore,
  removeStoreKey,
  type Store,
  shareStore,
  tagSharedStore,
} from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, directory, noise, putFile, StoreFixture } from './store-fixture.js';

const PASSPHRASE = { passphrase: 'correct horse', cost: 12 };
const KEY = { keyBytes: Buffer.alloc(32, 'k') };
const fixture = new StoreFixture();
const sealed = { encrypt: true, key: KEY };

async function packBytes(): Promise<Map<string, Buffer>> {
  const packs = path.join(fixture.root, 'packs');
  const names = (await readdir(packs)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(path.join(packs, name))] as const)));
}

async function list(store: Store, at?: number): Promise<string[]> {
  const paths: string[] = [];
  for await (const batch of store.entries(at === undefined ? {} : { at })) paths.push(...batch.map((one) => one.path));
  return paths;
}

describe('the key', () => {
  it('is asked for, and only the right one opens', async () => {
    const store = await fixture.open({ encrypt: true, key: PASSPHRASE });
    await commitFiles(store, { name: Buffer.from('content') });
    await store.close();
    expect(await codeOf(() => openStore(fixture.root))).toBe('DK_KEY_NEEDED');
    expect(await codeOf(() => openStore(fixture.root, { key: { passphrase: 'Correct horse' } }))).toBe('DK_KEY_WRONG');
    expect(await codeOf(() => openStore(fixture.root, { key: KEY }))).toBe('DK_KEY_WRONG');
    const again = await fixture.open({ key: PASSPHRASE });
    expect(again.guard.sealed).toBe(true);
    expect((await contentOf(again, 'name'))?.toString()).toBe('content');
    expect((await again.stats()).encrypted).toBe(true);
  });

  it('must be there before a store is made, and fit what stands', async () => {
    expect(await codeOf(() => openStore(fixture.root, { create: true, encrypt: true }))).toBe('DK_KEY_NEEDED');
    expect(await codeOf(() => openStore(fixture.root, { create: true, key: KEY }))).toBe('DK_ARGUMENT');
    expect(await readdir(fixture.base)).toEqual([]);
    await (await fixture.open()).close();
    expect(await codeOf(() => openStore(fixture.root, { key: KEY }))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => openStore(fixture.root, sealed))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => listStoreKeys(fixture.root))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => listStoreKeys(path.join(fixture.base, 'none')))).toBe('DK_NO_STORE');
  });

  it('changes without a byte of the packs, also while the store is open', async () => {
    const store = await fixture.open({ encrypt: true, key: PASSPHRASE });
    await commitFiles(store, { name: Buffer.from('content') });
    const before = await packBytes();
    const facts = await addStoreKey(fixture.root, PASSPHRASE, KEY);
    expect(facts.map(({ id, kind }) => [id, kind])).toEqual([
      [1, 'passphrase'],
      [2, 'key-file'],
    ]);
    const next = { passphrase: 'next', cost: 12 };
    expect((await changeStoreKey(fixture.root, PASSPHRASE, next)).map(({ id }) => id)).toEqual([2, 3]);
    expect(await packBytes()).toEqual(before);
    await commitFiles(store, { other: Buffer.from('more') });
    await store.close();
    expect(await codeOf(() => openStore(fixture.root, { key: PASSPHRASE }))).toBe('DK_KEY_WRONG');
    for (const key of [next, KEY]) {
      const again = await openStore(fixture.root, { key });
      expect((await contentOf(again, 'other'))?.toString()).toBe('more');
      await again.close();
    }
    expect(await codeOf(() => removeStoreKey(fixture.root, KEY, 1))).toBe('DK_NOT_FOUND');
    expect((await removeStoreKey(fixture.root, KEY, 3)).map(({ id }) => id)).toEqual([2]);
    expect(await codeOf(() => removeStoreKey(fixture.root, KEY, 2))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => addStoreKey(fixture.root, next, PASSPHRASE))).toBe('DK_KEY_WRONG');
    expect(await codeOf(() => openStore(fixture.root, { key: next }))).toBe('DK_KEY_WRONG');
  });

  it('survives the loss of either key file, not of both', async () => {
    const files = ['KEYS', 'KEYS.copy'].map((name) => path.join(fixture.root, name));
    const store = await fixture.open(sealed);
    await commitFiles(store, { name: Buffer.from('content') });
    await store.close();
    const whole = await readFile(files[0] as string);
    for (const lost of files) {
      for (const damage of [() => rm(lost), () => writeFile(lost, whole.subarray(1))]) {
        await damage();
        await (await openStore(fixture.root, { key: KEY })).close();
        expect((await readFile(lost)).equals(whole)).toBe(true);
      }
    }
    for (const lost of files) await writeFile(lost, 'no keys');
    expect(await codeOf(() => openStore(fixture.root, { key: KEY }))).toBe('DK_KEY_LOST');
  });
});

describe('listing', () => {
  it('has the order of names, and every range that a plain store has', async () => {
    const names = ['a', 'a-', 'a.b', 'a/b', 'a/b/c', 'a/bc', 'a/z', 'b', 'zz/0', 'zz/1/2', '\xff\xfe', '0'];
    const stores = [await fixture.open(sealed), await openStore(`${fixture.root}-plain`, { create: true })] as const;
    const seen: unknown[] = [];
    for (const store of stores) {
      for (const round of [0, 1]) {
        const transaction = store.begin();
        for (const name of ['a', 'a/b', 'zz', 'zz/1']) transaction.put(directory(name));
        for (const name of names) {
          if (['a', 'a/b'].includes(name) || (round === 1 && name < 'a/c')) continue;
          await putFile(store, transaction, name, Buffer.from(`${name} ${round}`));
        }
        if (round === 1) transaction.remove('a-');
        await transaction.commit();
      }
      const facts: unknown[] = [await list(store), await list(store, 1)];
      for (const under of ['a', 'a/b', 'zz', 'zz/1', 'a-', 'none']) {
        for (const at of [1, 2]) {
          const found: string[] = [];
          for await (const batch of store.entries({ under: [under], at })) found.push(...batch.map(({ path: p }) => p));
          facts.push([under, at, found]);
        }
      }
      for (const name of names) {
        const versions: [number, number][] = [];
        for await (const { sequence, version } of store.versions(name)) versions.push([sequence, version.type]);
        facts.push([name, versions]);
      }
      seen.push(facts);
    }
    await stores[1].close();
    expect(seen[0]).toEqual(seen[1]);
  });
});

/** Where the records of a pack begin and end, as anyone can see them. */
function records(pack: Buffer): { readonly at: number; readonly end: number }[] {
  const found: { at: number; end: number }[] = [];
  for (let at = 64; at < pack.length; ) {
    const end = at + 16 + pack.readUInt32LE(at + 4);
    found.push({ at, end });
    at = end;
  }
  return found;
}

describe('another store', () => {
  it.each([
    [{}, sealed],
    [sealed, {}],
    [sealed, { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'other') } }],
  ])('takes over what one has, whichever is encrypted (%#)', async (from, to) => {
    const source = await openStore(`${fixture.root}-source`, { create: true, ...from });
    await commitFiles(source, { one: noise(5000, 1), two: Buffer.alloc(90_000, 'two') });
    await commitFiles(source, { two: Buffer.concat([Buffer.alloc(90_000, 'two'), noise(10, 3)]) });
    const target = await fixture.open(to);
    const [give, take] = [exchangeOf(source), exchangeOf(target)];
    for await (const { checkpoint, versionsBytes } of give.history(0)) {
      const middle = versionsBytes >> 1;
      const pieces = [
        await give.readVersions(checkpoint.sequence, 0, middle),
        await give.readVersions(checkpoint.sequence, middle, versionsBytes),
      ];
      const { versions } = await take.parseVersions(Buffer.concat(pieces));
      const { blobs } = await take.missing(versions, new Set());
      const records = await give.records(blobs);
      const described = await give.describe(blobs);
      expect(described.map((one) => one?.recordBytes)).toEqual(records.map((record) => record.length));
      await take.keepBlobs(records);
      const draft = take.draft(checkpoint);
      draft.put(versions);
      expect(await draft.commit(await take.pruneMark())).toBe(true);
    }
    await source.close();
    expect((await target.verify()).damage).toEqual([]);
    expect((await target.rebuildIndex({ check: true })).damage).toEqual([]);
    expect((await contentOf(target, 'two'))?.length).toBe(90_010);
  });
});

describe('a reader beside the owner', () => {
  it('needs the key, and sees what the owner has', async () => {
    const store = await fixture.open(sealed);
    await commitFiles(store, { b: noise(50, 1), a: noise(60, 2), 'a.b': noise(70, 3) });
    await shareStore(store, { tag: async (tag) => store.begin().commit({ tag }) });
    expect(await codeOf(() => openSharedStore(fixture.root))).toBe('DK_KEY_NEEDED');
    expect(await codeOf(() => openSharedStore(fixture.root, { key: PASSPHRASE }))).toBe('DK_KEY_WRONG');
    const reader = (await openSharedStore(fixture.root, { key: KEY })) as Store;
    expect(await list(reader)).toEqual(['a', 'a.b', 'b']);
    expect(await list(reader, 1)).toEqual(['a', 'a.b', 'b']);
    expect((await contentOf(reader, 'a'))?.equals(noise(60, 2))).toBe(true);
    expect((await reader.verify()).damage).toEqual([]);
    expect((await tagSharedStore(reader, 'mine'))?.tag).toBe('mine');
    await reader.close();
  });
});

describe('tampering', () => {
  const one = noise(5000, 1);
  const other = noise(5000, 2);

  async function twoFiles(): Promise<void> {
    const store = await fixture.open(sealed);
    await commitFiles(store, { one, other });
    await store.close();
  }

  it('with places of records is noticed', async () => {
    await twoFiles();
    const pack = await readFile(fixture.pack(1));
    const [first, second] = records(pack) as [{ at: number; end: number }, { at: number; end: number }];
    const swapped = Buffer.concat([
      pack.subarray(0, 64),
      pack.subarray(second.at, second.end),
      pack.subarray(first.at, first.end),
      pack.subarray(second.end),
    ]);
    await writeFile(fixture.pack(1), swapped);
    const store = await fixture.open({ key: KEY });
    expect(await codeOf(() => contentOf(store, 'one'))).toBe('DK_CORRUPT_INDEX');
    expect((await store.verify()).damage.length).toBeGreaterThan(0);
    // Where a record stands is no part of it: an index made anew finds each again, and under its own name.
    await store.rebuildIndex();
    expect((await contentOf(store, 'one'))?.equals(one)).toBe(true);
    expect((await contentOf(store, 'other'))?.equals(other)).toBe(true);
  });

  it('with bytes of a record is noticed, also when its checksum is made right', async () => {
    await twoFiles();
    const pack = await readFile(fixture.pack(1));
    const [first] = records(pack) as [{ at: number; end: number }];
    const store = await fixture.open({ key: KEY });
    pack[first.at + 100] = (pack[first.at + 100] as number) ^ 1;
    pack.writeBigUInt64LE(store.engine.xxh3(pack.subarray(first.at, first.end - 8)), first.end - 8);
    await writeFile(fixture.pack(1), pack);
    expect(await codeOf(() => contentOf(store, 'one'))).toBe('DK_CORRUPT_RECORD');
    expect((await contentOf(store, 'other'))?.equals(other)).toBe(true);
  });

  it('with records of another store is noticed, even with the same key', async () => {
    await twoFiles();
    const pack = await readFile(fixture.pack(1));
    const twin = await openStore(`${fixture.root}-twin`, { create: true, ...sealed });
    await commitFiles(twin, { one, other });
    await twin.close();
    const theirs = await readFile(path.join(`${fixture.root}-twin`, 'packs', '00000001.dkp'));
    const [first] = records(pack) as [{ at: number; end: number }];
    theirs.copy(pack, first.at, first.at, first.end);
    await writeFile(fixture.pack(1), pack);
    const store = await fixture.open({ key: KEY });
    expect(await codeOf(() => contentOf(store, 'one'))).toBe('DK_CORRUPT_RECORD');
  });

  it.each([false, true])('by appending an old checkpoint again changes nothing (metadata lost: %s)', async (lost) => {
    const store = await fixture.open(sealed);
    await commitFiles(store, { one });
    await commitFiles(store, { one: other });
    await store.close();
    const pack = await readFile(fixture.pack(1));
    const [, versions, checkpoint] = records(pack) as { at: number; end: number }[];
    const replayed = [versions, checkpoint].map((record) => pack.subarray(record?.at, record?.end));
    await writeFile(fixture.pack(1), Buffer.concat([pack, ...replayed]));
    if (lost) await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const again = await fixture.open({ key: KEY });
    expect(again.newest?.sequence).toBe(2);
    expect((await contentOf(again, 'one'))?.equals(other)).toBe(true);
    await commitFiles(again, { two: one });
    expect((await again.verify()).damage).toEqual([]);
  });

  it('with values of the metadata is noticed', async () => {
    await twoFiles();
    const { ClassicLevel } = await import('classic-level');
    const level = new ClassicLevel<Buffer, Buffer>(path.join(fixture.root, 'meta'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    const heads = await level.iterator({ gte: Buffer.from('h'), lt: Buffer.from('i') }).all();
    expect(heads.length).toBe(2);
    const [[first, firstValue], [second, secondValue]] = heads as [[Buffer, Buffer], [Buffer, Buffer]];
    await level.put(first, secondValue);
    await level.put(second, firstValue);
    await level.close();
    const store = await fixture.open({ key: KEY });
    expect(await codeOf(() => contentOf(store, 'one'))).toBe('DK_CORRUPT_INDEX');
    await store.rebuildIndex();
    expect((await contentOf(store, 'one'))?.equals(one)).toBe(true);
  });
});
