/** Prunes of small stores: the pack that commits append to goes, too, and no prune makes a store larger for nothing. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PruneOptions, PruneReport, Store } from '../../src/store/store.js';
import { everything, writeHistory } from './condensed-store.js';
import { commitFiles, contentOf, noise, StoreFixture, sequencesOf } from './store-fixture.js';

const fixture = new StoreFixture();

async function versions(store: Store, count: number, bytes: number): Promise<void> {
  for (let version = 1; version <= count; version += 1) {
    await commitFiles(store, { file: noise(bytes, version), [`name-${version % 3}`]: noise(100, 900 + version) });
  }
}

const packBytes = async (store: Store): Promise<number> => (await store.stats()).packBytes;

/** What a prune says beforehand, and what it does; what it says of bytes is what the disk says. */
async function pruneTwice(
  store: Store,
  keepLast: number,
  options: PruneOptions = {},
): Promise<{ readonly before: number; readonly dry: PruneReport; readonly done: PruneReport }> {
  const before = await packBytes(store);
  const dry = await store.prune({ keepLast }, { ...options, dryRun: true });
  expect(await packBytes(store)).toBe(before);
  const done = await store.prune({ keepLast }, options);
  expect([done.bytesBefore, done.bytesAfter]).toEqual([before, await packBytes(store)]);
  expect((await store.verify()).damage).toEqual([]);
  return { before, dry, done };
}

const commitPacks = async (): Promise<string[]> =>
  (await readdir(path.join(fixture.root, 'packs'))).filter((name) => name < '5').sort();

describe('a prune of a store whose log is one pack', () => {
  it('gives the space back, as the dry run said', async () => {
    const store = await fixture.open();
    await versions(store, 10, 100_000);
    const { before, dry, done } = await pruneTwice(store, 1);
    expect(done.bytesAfter).toBeLessThan(before / 8);
    expect(Math.abs(dry.bytesAfter - done.bytesAfter)).toBeLessThan(done.bytesAfter / 50);
    expect(dry).toMatchObject({ versions: done.versions, movedBytes: done.movedBytes, removedPacks: 1 });
    expect(await commitPacks()).toEqual(['00000002.dkp']);
    expect((await contentOf(store, 'file'))?.equals(noise(100_000, 10))).toBe(true);
  });

  it('rewrites it also when most of it is needed and the store would grow otherwise', async () => {
    const store = await fixture.open();
    await versions(store, 200, 300);
    const { before, dry, done } = await pruneTwice(store, 150);
    expect(done.bytesAfter).toBeLessThan(before);
    expect(Math.abs(dry.bytesAfter - done.bytesAfter)).toBeLessThan(done.bytesAfter / 50);
  });

  it('can be made anew from the packs alone, and goes on', async () => {
    let store = await fixture.open();
    for (let round = 0; round < 3; round += 1) {
      await versions(store, 5, 20_000);
      await store.prune({ keepLast: 2 });
      const kept = await sequencesOf(store);
      await store.close();
      if (round > 0) await rm(path.join(fixture.root, 'meta'), { recursive: true });
      store = await fixture.open();
      expect(await sequencesOf(store)).toEqual(kept);
      expect((await contentOf(store, 'file'))?.equals(noise(20_000, 5))).toBe(true);
      expect((await store.verify()).damage).toEqual([]);
    }
    expect((await store.rebuildIndex()).damage).toEqual([]);
  });

  it('loses nothing when the record that ends the log is damaged and the metadata is gone', async () => {
    const store = await fixture.open();
    await versions(store, 6, 20_000);
    await store.prune({ keepLast: 2 });
    await store.close();
    const [name] = await commitPacks();
    const file = path.join(fixture.root, 'packs', name as string);
    const bytes = await readFile(file);
    bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1;
    await writeFile(file, bytes);
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const again = await fixture.open();
    expect(await sequencesOf(again)).toEqual([5, 6]);
    await commitFiles(again, { file: noise(500, 77) });
    expect(await sequencesOf(again)).toEqual([5, 6, 7]);
    expect((await contentOf(again, 'name-2'))?.equals(noise(100, 905))).toBe(true);
  });

  it('beside commits keeps what they wrote', async () => {
    const store = await fixture.open();
    await versions(store, 10, 50_000);
    const pruning = store.prune({ keepLast: 2 });
    for (let version = 11; version <= 30; version += 1) await commitFiles(store, { file: noise(50_000, version % 10) });
    const { kept } = await pruning;
    expect(kept.length).toBe(2);
    const all = await sequencesOf(store);
    expect(all.slice(0, 2)).toEqual(kept);
    expect(all.at(-1)).toBe(30);
    expect((await store.verify()).damage).toEqual([]);
  });
});

describe('a prune that does not pay', () => {
  it('with nothing to drop says and does nothing', async () => {
    const store = await fixture.open();
    await versions(store, 10, 2000);
    for (const keepLast of [10, 3, 3]) {
      await store.prune({ keepLast });
      const { before, dry, done } = await pruneTwice(store, keepLast);
      expect([dry.bytesAfter, done.bytesAfter, done.writtenPacks]).toEqual([before, before, 0]);
    }
  });

  it('drops nothing when it may not grow', async () => {
    const store = await fixture.open();
    await commitFiles(store, { file: noise(100, 1) });
    await commitFiles(store, { file: noise(100, 2) });
    const { before, done } = await pruneTwice(store, 1, { growthMax: 0 });
    expect(done).toMatchObject({ kept: [1, 2], dropped: [], bytesAfter: before });
    expect((await pruneTwice(store, 1)).done.dropped).toEqual([1]);
  });

  it('made again and again does not pile up', async () => {
    const store = await fixture.open();
    const sizes: number[] = [];
    for (let round = 0; round < 12; round += 1) {
      await versions(store, 3, 4000);
      await store.prune({ keepLast: 3 });
      sizes.push(await packBytes(store));
    }
    // Three versions of 4 KB, and at most a block of what is dead.
    expect(Math.max(...sizes)).toBeLessThan(3 * 4500 + 4096 + 4096);
    expect((await readdir(path.join(fixture.root, 'packs'))).length).toBeLessThan(8);
  });
});

describe('a condensed store', () => {
  it('is condensed after a prune', async () => {
    let store = await fixture.open();
    await writeHistory(store, 1, 120);
    await store.condense();
    for (const keepLast of [90, 40, 5]) {
      const before = await everything(store);
      const { dry, done } = await pruneTwice(store, keepLast);
      expect(done.bytesAfter).toBeLessThan(done.bytesBefore);
      expect(dry.bytesAfter).toBeLessThan(dry.bytesBefore);
      const after = await everything(store);
      expect(after.size).toBeGreaterThan(0);
      for (const [name, digest] of after) expect([name, before.get(name)]).toEqual([name, digest]);
      // Nothing is left to be condensed.
      expect((await store.condense()).packs).toBe(0);
      await store.close();
      await rm(path.join(fixture.root, 'meta'), { recursive: true });
      store = await fixture.open();
      expect(await everything(store)).toEqual(after);
    }
    await writeHistory(store, 121, 130);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('gives checkpoints other tags without losing what stands with its history', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 60);
    await store.condense();
    await store.prune({ keepLast: 20 });
    const before = await everything(store);
    await store.retag(50, 'fifty');
    expect(await everything(store)).toEqual(before);
    expect((await store.rebuildIndex()).damage).toEqual([]);
    expect(await everything(store)).toEqual(before);
    await store.prune({ keepLast: 10 });
    expect((await store.verify()).damage).toEqual([]);
  });

  it('can be condensed after it was pruned', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const { bytesAfter } = await store.prune({ keepLast: 100 });
    const report = await store.condense();
    expect(report.packs).toBeGreaterThan(0);
    expect(report.bytesAfter).toBeLessThan(bytesAfter / 2);
    expect((await store.verify()).damage).toEqual([]);
  });
});
