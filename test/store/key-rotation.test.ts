/** A new master key: packs stay, everything else follows; old keys open what is old, and nothing of what comes after. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  addStoreKey,
  changeStoreKey,
  exchangeOf,
  listStoreKeys,
  openSharedStore,
  openStore,
  rotateStoreKey,
  type Store,
  shareStore,
} from '../../src/store/store.js';
import { SecondStore } from '../format/second-decoder.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const [KEY, NEXT, THIRD] = ['k', 'n', 't'].map((fill) => ({ keyBytes: Buffer.alloc(32, fill) })) as [
  { keyBytes: Buffer },
  { keyBytes: Buffer },
  { keyBytes: Buffer },
];
const sealed = { encrypt: true, key: KEY };
const KEY_FILES = ['KEYS', 'KEYS.copy'];

async function directoryBytes(name: string): Promise<Map<string, Buffer>> {
  const place = path.join(fixture.root, name);
  const names = (await readdir(place)).sort();
  return new Map(await Promise.all(names.map(async (one) => [one, await readFile(path.join(place, one))] as const)));
}

async function withStore<T>(work: (store: Store) => Promise<T>, key = KEY): Promise<T> {
  const store = await openStore(fixture.root, { key });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function filled(): Promise<void> {
  const store = await fixture.open(sealed);
  await commitFiles(store, { a: noise(9000, 1), 'd/b': Buffer.from('text') });
  await commitFiles(store, { a: noise(9000, 2) });
  await store.close();
}

/** Numbers of the master keys that the records of a pack name, in order, each once. */
async function epochs(pack: number): Promise<number[]> {
  const bytes = await readFile(fixture.pack(pack));
  const found: number[] = [];
  for (let at = 64; at < bytes.length; at += 16 + bytes.readUIntLE(at + 4, 3)) {
    if (found[found.length - 1] !== bytes[at + 7]) found.push(bytes[at + 7] as number);
  }
  return found;
}

const commit = (name: string, seed: number, key = KEY) =>
  withStore((store) => commitFiles(store, { [name]: noise(3000, seed) }), key);

describe('a rotation', () => {
  it('leaves the packs, and nothing of what comes after to who had the key before', async () => {
    await filled();
    const before = await directoryBytes('packs');
    const keys = await readFile(path.join(fixture.root, 'KEYS'));
    const facts = await rotateStoreKey(fixture.root, KEY);
    expect(facts).toEqual({
      keys: [expect.objectContaining({ id: 1, kind: 'key-file' })],
      masterKey: 1,
      olderKeys: [0],
    });
    expect(await directoryBytes('packs')).toEqual(before);
    await commit('c', 3);
    expect(await epochs(1)).toEqual([0, 1]);
    const changed = await readFile(path.join(fixture.root, 'KEYS'));
    for (const name of KEY_FILES) await writeFile(path.join(fixture.root, name), keys);
    const packs = await directoryBytes('packs');
    expect(await codeOf(() => openStore(fixture.root, { key: KEY }))).toBe('DK_KEY_LOST');
    expect(await codeOf(() => openStore(fixture.root, { key: KEY, restoreMarker: true }))).toBe('DK_KEY_LOST');
    // What another key would open was not taken for a torn end.
    expect(await directoryBytes('packs')).toEqual(packs);
    for (const name of KEY_FILES) await writeFile(path.join(fixture.root, name), changed);
    await withStore(async (store) => {
      expect((await contentOf(store, 'c'))?.equals(noise(3000, 3))).toBe(true);
      expect((await contentOf(store, 'd/b'))?.toString()).toBe('text');
      expect((await store.verify()).damage).toEqual([]);
      expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
      expect((await contentOf(store, 'a'))?.equals(noise(9000, 2))).toBe(true);
    });
    const second = await SecondStore.open(fixture.root, KEY);
    expect(second.checkpoints.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    await expect(SecondStore.open(fixture.root, NEXT)).rejects.toThrow('fits no slot');
  });

  it('is not undone by one key file of before', async () => {
    await filled();
    const [file, copy] = KEY_FILES.map((name) => path.join(fixture.root, name)) as [string, string];
    const before = await readFile(file);
    await rotateStoreKey(fixture.root, KEY);
    await commit('c', 3);
    const after = await readFile(file);
    for (const stale of [file, copy]) {
      await writeFile(stale, before);
      await withStore(async (store) => expect((await contentOf(store, 'c'))?.length).toBe(3000));
      expect((await readFile(stale)).equals(after)).toBe(true);
    }
  });

  it('writes every key of the index anew that names something', async () => {
    await filled();
    const names = async (): Promise<Set<string>> => {
      const { ClassicLevel } = await import('classic-level');
      const level = new ClassicLevel<Buffer, Buffer>(path.join(fixture.root, 'meta'), {
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
      });
      const found = (await level.keys().all()).filter(
        (key) => key.length > 9 && !['c', 's'].includes(key.toString('latin1', 0, 1)),
      );
      await level.close();
      return new Set(found.map((key) => key.toString('hex')));
    };
    const before = await names();
    await rotateStoreKey(fixture.root, KEY);
    const after = await names();
    expect(after.size).toBe(before.size);
    expect([...after].filter((key) => before.has(key))).toEqual([]);
    expect(await readdir(path.join(fixture.root, 'quarantine'))).toEqual([]);
    expect(await readdir(fixture.root)).not.toContain('meta-before');
  });

  it('takes away the caches, and versions that have arrived in part', async () => {
    await filled();
    await mkdir(path.join(fixture.root, 'incoming'));
    await writeFile(path.join(fixture.root, 'incoming', '9-0-aa'), 'sealed');
    await mkdir(path.join(fixture.root, 'cache', 'pages'));
    await writeFile(path.join(fixture.root, 'cache', 'pages', '1'), 'sealed');
    await writeFile(path.join(fixture.root, 'cache', 'stat.idx'), 'sealed');
    await rotateStoreKey(fixture.root, KEY);
    const left = await readdir(path.join(fixture.root, 'cache'));
    expect(left.filter((name) => name === 'stat.idx' || name === 'pages')).toEqual([]);
    expect(await readdir(fixture.root)).not.toContain('incoming');
  });

  it('takes away the caches of a store without a checkpoint, too, and metadata that a crash has kept it from removing', async () => {
    await (await fixture.open(sealed)).close();
    await writeFile(path.join(fixture.root, 'cache', 'stat.idx'), 'sealed');
    const left = path.join(fixture.root, 'quarantine', 'meta-older-1-0123abcd');
    await mkdir(left);
    await writeFile(path.join(left, 'CURRENT'), 'sealed');
    await withStore(async () => expect(await readdir(left)).toEqual(['CURRENT']));
    await rotateStoreKey(fixture.root, KEY);
    expect(await readdir(path.join(fixture.root, 'cache'))).not.toContain('stat.idx');
    expect(await readdir(path.join(fixture.root, 'quarantine'))).toEqual([]);
    await mkdir(left);
    await withStore(async () => expect(await readdir(path.join(fixture.root, 'quarantine'))).toEqual([]));
  });

  it('is done by the next opening when it was cut off, whatever the index is worth', async () => {
    await filled();
    const meta = path.join(fixture.root, 'meta');
    for (const [index, damage] of [async () => {}, loseRow].entries()) {
      await cp(meta, `${meta}-of-before`, { recursive: true });
      await rotateStoreKey(fixture.root, KEY);
      await rm(meta, { recursive: true });
      await cp(`${meta}-of-before`, meta, { recursive: true });
      await rm(`${meta}-of-before`, { recursive: true });
      await damage(meta);
      await withStore(async (store) => {
        expect(store.newest?.sequence).toBe(2 + index);
        expect((await contentOf(store, 'a'))?.equals(noise(9000, 2))).toBe(true);
        expect((await store.verify()).damage).toEqual([]);
        await commitFiles(store, { more: noise(100, index) });
      });
    }
    expect(await epochs(1)).toEqual([0, 1, 2]);
  });

  it('is refused with key files of before another one, which would get the number of a key that is in use', async () => {
    await filled();
    const before = await Promise.all(KEY_FILES.map((name) => readFile(path.join(fixture.root, name))));
    await rotateStoreKey(fixture.root, KEY);
    await commit('c', 3);
    const after = await Promise.all(KEY_FILES.map((name) => readFile(path.join(fixture.root, name))));
    const packs = await directoryBytes('packs');
    const put = (all: readonly Buffer[]) =>
      Promise.all(all.map((bytes, i) => writeFile(path.join(fixture.root, KEY_FILES[i] as string), bytes)));
    await put(before);
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY))).toBe('DK_KEY_LOST');
    expect(await directoryBytes('packs')).toEqual(packs);
    await put(after);
    await withStore(async (store) => expect((await contentOf(store, 'c'))?.length).toBe(3000));
  });

  it('is refused while an application runs that a killed sidecar has left', async () => {
    await filled();
    const note = path.join(fixture.root, 'running-0123456789abcdef');
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
    await writeFile(note, `${boot} 4026531836\n${process.pid} 77 -\n`);
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY))).toBe('DK_ARGUMENT');
    // What ran before the machine was started anew does not run.
    await writeFile(note, `other-boot 4026531836\n${process.pid} 77 -\n`);
    expect((await rotateStoreKey(fixture.root, KEY)).masterKey).toBe(1);
  });

  it('is refused while a process has the store, or a recover has not ended', async () => {
    const store = await fixture.open(sealed);
    const keys = await readFile(path.join(fixture.root, 'KEYS'));
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY))).toBe('DK_STORE_LOCKED');
    await store.close();
    await writeFile(path.join(fixture.root, 'recovering-0123456789abcdef'), '1\n');
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => rotateStoreKey(`${fixture.root}-none`, KEY))).toBe('DK_NO_STORE');
    expect(await readFile(path.join(fixture.root, 'KEYS'))).toEqual(keys);
    const plain = await openStore(`${fixture.root}-plain`, { create: true });
    await plain.close();
    expect(await codeOf(() => rotateStoreKey(`${fixture.root}-plain`, KEY))).toBe('DK_ARGUMENT');
  });
});

/** A value that does not open: of the newest keys the first. */
async function loseRow(meta: string): Promise<void> {
  const { ClassicLevel } = await import('classic-level');
  const level = new ClassicLevel<Buffer, Buffer>(meta, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const [head] = await level.keys({ gte: Buffer.from('h'), lt: Buffer.from('i') }).all();
  await level.put(head as Buffer, Buffer.alloc(60));
  await level.close();
}

describe('the keys that open the store', () => {
  it('are wrapped anew as far as they are given, and none is lost unasked', async () => {
    await filled();
    await addStoreKey(fixture.root, KEY, NEXT);
    const before = await readFile(path.join(fixture.root, 'KEYS'));
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => rotateStoreKey(fixture.root, KEY, { others: [THIRD] }))).toBe('DK_KEY_WRONG');
    expect(await codeOf(() => rotateStoreKey(fixture.root, THIRD))).toBe('DK_KEY_WRONG');
    expect(await readFile(path.join(fixture.root, 'KEYS'))).toEqual(before);
    expect((await rotateStoreKey(fixture.root, KEY, { others: [NEXT] })).keys.map(({ id }) => id)).toEqual([1, 2]);
    for (const key of [KEY, NEXT]) await withStore(async () => {}, key);
    const { keys, masterKey } = await rotateStoreKey(fixture.root, NEXT, { replacement: THIRD, dropOthers: true });
    expect([keys.map(({ id }) => id), masterKey]).toEqual([[3], 2]);
    for (const key of [KEY, NEXT]) expect(await codeOf(() => openStore(fixture.root, { key }))).toBe('DK_KEY_WRONG');
    await commit('c', 3, THIRD);
    expect((await listStoreKeys(fixture.root)).map(({ id }) => id)).toEqual([3]);
  });

  it('come, change and go after it as before, and open every master key', async () => {
    await filled();
    await rotateStoreKey(fixture.root, KEY);
    await commit('c', 3);
    await changeStoreKey(fixture.root, KEY, NEXT);
    await addStoreKey(fixture.root, NEXT, THIRD);
    for (const key of [NEXT, THIRD]) {
      const files = await withStore(async (store) => [await contentOf(store, 'a'), await contentOf(store, 'c')], key);
      expect(files).toEqual([noise(9000, 2), noise(3000, 3)]);
    }
    expect(await codeOf(() => openStore(fixture.root, { key: KEY }))).toBe('DK_KEY_WRONG');
  });

  it('of a passphrase take no other salt, and open the new master key only', async () => {
    const passphrase = { passphrase: 'correct horse', cost: 12 };
    await (await fixture.open({ encrypt: true, key: passphrase })).close();
    await rotateStoreKey(fixture.root, passphrase);
    await (await openStore(fixture.root, { key: passphrase })).close();
    expect(await codeOf(() => openStore(fixture.root, { key: { passphrase: 'wrong', cost: 12 } }))).toBe(
      'DK_KEY_WRONG',
    );
  });
});

describe('older master keys', () => {
  it('die out as prunes move what was sealed under them', async () => {
    await filled();
    await rotateStoreKey(fixture.root, KEY);
    await commit('c', 3);
    await withStore(async (store) => {
      await store.prune({ keepLast: 1 }, { compactBelow: 1 });
      expect((await contentOf(store, 'd/b'))?.toString()).toBe('text');
    });
    for (const name of await readdir(path.join(fixture.root, 'packs'))) {
      const found = await epochs(Number.parseInt(name, 10));
      expect(
        found.filter((epoch) => epoch !== 1),
        name,
      ).toEqual([]);
    }
    expect((await rotateStoreKey(fixture.root, KEY)).olderKeys).toEqual([1]);
    await withStore(async (store) => {
      for (const [name, bytes] of [
        ['a', noise(9000, 2)],
        ['c', noise(3000, 3)],
      ] as const)
        expect((await contentOf(store, name))?.equals(bytes)).toBe(true);
      expect((await store.verify()).damage).toEqual([]);
    });
  });

  it('stay while anything is put aside that may have been sealed under them', async () => {
    await (await fixture.open(sealed)).close();
    await writeFile(path.join(fixture.root, 'quarantine', 'end-of-00000001.dkp-1-aaaaaaaa'), 'sealed');
    expect((await rotateStoreKey(fixture.root, KEY)).olderKeys).toEqual([0]);
    await rm(path.join(fixture.root, 'quarantine', 'end-of-00000001.dkp-1-aaaaaaaa'));
    expect((await rotateStoreKey(fixture.root, KEY)).olderKeys).toEqual([]);
  });

  it('are no matter to a replica, nor to a reader beside the owner', async () => {
    await filled();
    await rotateStoreKey(fixture.root, KEY);
    await commit('c', 3);
    const source = await fixture.open({ key: KEY });
    await shareStore(source, {});
    const reader = (await openSharedStore(fixture.root, { key: KEY })) as Store;
    expect((await contentOf(reader, 'a'))?.equals(noise(9000, 2))).toBe(true);
    expect((await reader.verify()).damage).toEqual([]);
    await reader.close();
    const target = await openStore(`${fixture.root}-target`, { create: true, encrypt: true, key: NEXT });
    const [give, take] = [exchangeOf(source), exchangeOf(target)];
    for await (const { checkpoint, versionsBytes } of give.history(0)) {
      const { versions } = await take.parseVersions(await give.readVersions(checkpoint.sequence, 0, versionsBytes));
      const { blobs } = await take.missing(versions, new Set());
      const records = await give.records(blobs);
      expect((await give.describe(blobs)).map((one) => one?.recordBytes)).toEqual(records.map(({ length }) => length));
      await take.keepBlobs(records);
      const draft = take.draft(checkpoint);
      draft.put(versions);
      expect(await draft.commit(await take.pruneMark())).toBe(true);
    }
    expect((await contentOf(target, 'c'))?.equals(noise(3000, 3))).toBe(true);
    await target.close();
    await source.close();
  });
});
