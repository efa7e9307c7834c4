/** Pruning: what stays can be read back bit for bit, what goes gives its space back, captures go on meanwhile. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, noise, putFile, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const MB = 1 << 20;

async function contentAt(store: Store, at: number, name: string): Promise<Buffer | null> {
  for await (const batch of store.entries({ at })) {
    const version = batch.find((one) => one.path === name);
    if (version) return store.reader(version).read(0, version.size);
  }
  return null;
}

async function sequences(store: Store): Promise<number[]> {
  const all: number[] = [];
  for await (const { sequence } of store.checkpoints()) all.push(sequence);
  return all.reverse();
}

async function packFiles(): Promise<string[]> {
  return (await readdir(path.join(fixture.root, 'packs'))).sort();
}

/** Ten checkpoints of a file that is new each time, and one that never changes. */
async function tenVersions(store: Store): Promise<void> {
  for (let version = 1; version <= 10; version += 1) {
    await commitFiles(store, { 'a/file': noise(300_000, version), ...(version === 1 && { same: noise(5000, 99) }) });
  }
}

/** Two commits that fill a pack with what nothing needs: the pack that commits write is never rewritten. */
async function fillPack(store: Store): Promise<void> {
  const names = Array.from({ length: 66 }, (_, index) => `big-${index}`);
  await commitFiles(store, Object.fromEntries(names.map((name, index) => [name, noise(MB, 1000 + index)])));
  await commitFiles(store, Object.fromEntries(names.map((name) => [name, null])));
}

async function smallCommits(store: Store, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await commitFiles(store, { small: noise(10, index) });
}

describe('prune', () => {
  it('keeps what the policy says and gives back the rest', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    await fillPack(store);
    await smallCommits(store, 3);
    const before = (await store.stats()).packBytes;
    const report = await store.prune({ keepLast: 3 });
    expect(report.kept).toEqual([13, 14, 15]);
    expect(report.dropped.length).toBe(12);
    expect(report.bytesBefore).toBe(before);
    expect(report.bytesAfter).toBe((await store.stats()).packBytes);
    expect(report.bytesAfter).toBeLessThan(before / 3);
    expect(await sequences(store)).toEqual([13, 14, 15]);
    expect((await contentAt(store, 13, 'a/file'))?.equals(noise(300_000, 10))).toBe(true);
    expect((await contentAt(store, 14, 'same'))?.equals(noise(5000, 99))).toBe(true);
    expect(await codeOf(() => store.checkpointAt(5))).toBe('DK_NOT_FOUND');
    expect((await store.verify()).damage).toEqual([]);
    expect(await packFiles()).not.toContain('00000001.dkp');
  });

  it('says with dryRun what it would do, and does nothing', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    const files = await packFiles();
    const report = await store.prune({ keepLast: 2 }, { dryRun: true });
    expect(report).toMatchObject({ dryRun: true, kept: [9, 10], dropped: [1, 2, 3, 4, 5, 6, 7, 8] });
    expect(await packFiles()).toEqual(files);
    expect(await sequences(store)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('leaves a store alone that has nothing to drop, and an empty one', async () => {
    const store = await fixture.open();
    expect(await store.prune({ keepLast: 1 })).toMatchObject({ kept: [], dropped: [], writtenPacks: 0 });
    await tenVersions(store);
    expect(await store.prune({ keepLast: 10 })).toMatchObject({ dropped: [], writtenPacks: 0 });
    expect(await packFiles()).toEqual(['00000001.dkp']);
  });

  it('can be repeated, and rebuilt from the packs alone each time', async () => {
    let store = await fixture.open();
    for (let round = 0; round < 3; round += 1) {
      await tenVersions(store);
      await store.prune({ keepLast: 2 });
      const last = await sequences(store);
      await store.close();
      await rm(path.join(fixture.root, 'meta'), { recursive: true });
      store = await fixture.open();
      expect(await sequences(store)).toEqual(last);
      expect((await contentOf(store, 'a/file'))?.equals(noise(300_000, 10))).toBe(true);
      expect((await store.verify()).damage).toEqual([]);
    }
  });

  it('takes tagged checkpoints along with what they need', async () => {
    const store = await fixture.open();
    await commitFiles(store, { one: noise(2000, 1) });
    const transaction = store.begin();
    await putFile(store, transaction, 'one', noise(2000, 2));
    await transaction.commit({ tag: 'release' });
    await commitFiles(store, { one: null, two: noise(2000, 3) });
    await commitFiles(store, { two: noise(2000, 4) });
    await store.prune({ keepTags: ['release'] });
    expect(await sequences(store)).toEqual([2, 4]);
    expect((await contentAt(store, 2, 'one'))?.equals(noise(2000, 2))).toBe(true);
    expect(await contentAt(store, 4, 'one')).toBeNull();
    const changed = (await store.changes(4)).map(({ path: name, type }) => `${name} ${type}`);
    expect(changed.sort()).toEqual(['one 0', 'two 1']);
  });
});

describe('beside a running capture', () => {
  it('blobs that an open transaction has found in the store stay', async () => {
    const store = await fixture.open();
    await commitFiles(store, { old: noise(400_000, 1) });
    await fillPack(store);
    await commitFiles(store, { old: null });
    const transaction = store.begin();
    // Stored once, and found there again: nothing is written for it.
    await putFile(store, transaction, 'again', noise(400_000, 1));
    const pruning = store.prune({ keepLast: 1 }, { compactBelow: 1 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await transaction.commit();
    const { kept } = await pruning;
    expect(kept).toEqual([4]);
    expect(await sequences(store)).toEqual([4, 5]);
    expect((await contentOf(store, 'again'))?.equals(noise(400_000, 1))).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('commits go on, and nothing of them is lost', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    await fillPack(store);
    await smallCommits(store, 2);
    let going = true;
    const pruning = store.prune({ keepLast: 2 }, { compactBelow: 1 }).finally(() => {
      going = false;
    });
    let made = 0;
    while (going || made < 3) {
      made += 1;
      await commitFiles(store, { [`new-${made}`]: noise(3000, 5000 + made), 'a/file': noise(300_000, made % 10) });
    }
    await pruning;
    const all = await sequences(store);
    expect(all).toEqual([13, 14, ...Array.from({ length: made }, (_, index) => 15 + index)]);
    for (let index = 1; index <= made; index += 1) {
      expect((await contentOf(store, `new-${index}`))?.equals(noise(3000, 5000 + index))).toBe(true);
    }
    expect((await store.verify()).damage).toEqual([]);
  });

  it('a reader that has begun reads on', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    await fillPack(store);
    await smallCommits(store, 2);
    const entries = store.entries({ at: 13 })[Symbol.asyncIterator]();
    const pruning = store.prune({ keepLast: 2 });
    const first = await entries.next();
    expect(first.done).toBe(false);
    await entries.return?.();
    await pruning;
    expect((await store.verify()).damage).toEqual([]);
  });

  it('closing the store ends a prune as if it had not begun', async () => {
    let store = await fixture.open();
    await tenVersions(store);
    const open = store.begin();
    const pruning = codeOf(() => store.prune({ keepLast: 1 }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await open.abort();
    await store.close();
    expect(['DK_ABORTED', 'no error']).toContain(await pruning);
    store = await fixture.open();
    expect((await store.verify()).damage).toEqual([]);
    expect((await contentOf(store, 'a/file'))?.equals(noise(300_000, 10))).toBe(true);
  });
});

describe('damage', () => {
  it('ends a prune before anything is written, unless that is allowed', async () => {
    const store = await fixture.open();
    await commitFiles(store, { old: noise(400_000, 1), other: noise(400_000, 2) });
    await fillPack(store);
    await store.close();
    const bytes = await readFile(fixture.pack(1));
    bytes[1000] = (bytes[1000] as number) ^ 1;
    await writeFile(fixture.pack(1), bytes);
    const again = await fixture.open();
    const files = await packFiles();
    expect(await codeOf(() => again.prune({ keepLast: 1 }))).toBe('DK_CORRUPT_RECORD');
    // The last pack may have been closed.
    expect((await packFiles()).slice(0, files.length)).toEqual(files);
    const report = await again.prune({ keepLast: 1 }, { allowDamaged: true });
    expect(report.damaged).toBe(1);
    expect(await packFiles()).toContain('00000001.dkp');
    expect((await contentOf(again, 'other'))?.equals(noise(400_000, 2))).toBe(true);
  });

  it('of one copy of the seal is survived without the metadata', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    await store.prune({ keepLast: 1 });
    await store.close();
    const last = (await packFiles()).pop() as string;
    const file = path.join(fixture.root, 'packs', last);
    const bytes = await readFile(file);
    bytes[100] = (bytes[100] as number) ^ 1;
    await writeFile(file, bytes);
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const again = await fixture.open();
    expect(await sequences(again)).toEqual([10]);
    expect((await contentOf(again, 'a/file'))?.equals(noise(300_000, 10))).toBe(true);
  });
});

describe('damage of both copies of the seal, and no metadata', () => {
  it('costs no pack: what the prune wrote is kept, used, and reported', async () => {
    const store = await fixture.open();
    await tenVersions(store);
    await store.prune({ keepLast: 1 });
    await store.close();
    const before = await packFiles();
    for (const name of before.slice(-2)) {
      const file = path.join(fixture.root, 'packs', name);
      const bytes = await readFile(file);
      bytes[100] = (bytes[100] as number) ^ 1;
      await writeFile(file, bytes);
    }
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    for (let openings = 0; openings < 2; openings += 1) {
      const again = await fixture.open();
      await again.close();
      expect(await packFiles()).toEqual(expect.arrayContaining(before));
    }
    const again = await fixture.open();
    expect((await again.rebuildIndex()).damage.map(({ message }) => message).join()).toContain('no seal');
  });
});

describe('an index made from the packs alone', () => {
  it('does not name blobs of a transaction that never ended', async () => {
    let store = await fixture.open();
    await commitFiles(store, { a: noise(1000, 1) });
    const transaction = store.begin();
    await transaction.storeBlobs([{ bytes: noise(MB, 2), kind: 'blob' }]);
    await transaction.storeBlobs([{ bytes: noise(MB, 3), kind: 'blob' }]);
    await transaction.storeBlobs([{ bytes: noise(MB, 4), kind: 'blob' }]);
    const torn = await readFile(fixture.pack(1));
    expect(torn.length).toBeGreaterThan(2 * MB);
    await store.close();
    await writeFile(fixture.pack(1), torn);
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    store = await fixture.open();
    await commitFiles(store, { b: noise(MB, 2) });
    expect((await contentOf(store, 'b'))?.equals(noise(MB, 2))).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
  });
});
