/** Merkle leaves kept from run to run: used when they are those of the newest checkpoint, never believed otherwise. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { decodeSection, loadLeaves, saveLeaves } from '../../src/store/leaf-file.js';
import { computeTreeRoot, type Store } from '../../src/store/store.js';
import { commitFiles, directory, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const leafFile = () => join(fixture.root, 'cache', 'leaves.idx');
const file = (seed: number) => noise(100, seed);

async function expectRightRoot(store: Store): Promise<void> {
  const root = await computeTreeRoot(store.engine, store.hashAlgo, store.entries());
  expect(store.newest?.root.toString('hex')).toBe(root.toString('hex'));
}

async function makeTree(store: Store): Promise<void> {
  const transaction = store.begin();
  for (const name of ['', 'a', 'a/b', 'c']) transaction.put(directory(name));
  await transaction.commit();
  await commitFiles(store, { 'a/1': file(1), 'a/b/2': file(2), 'a/b/3': file(3), 'c/4': file(4), '5': file(5) });
}

/** A life in three runs; `between` is done to the closed store. Everything must add up whatever that is. */
async function live(between: () => void): Promise<void> {
  const first = await fixture.open();
  await makeTree(first);
  await first.close();
  between();
  const second = await fixture.open();
  await commitFiles(second, { 'a/b/2': file(12), 'c/4': null, '6': file(6) });
  await expectRightRoot(second);
  await second.close();
  between();
  const third = await fixture.open();
  await commitFiles(third, { 'c/7': file(7), 'a/b/3': null });
  await expectRightRoot(third);
  await third.close();
}

describe('leaves in the cache directory', () => {
  test('a run that begins with the leaves of the last one computes the same roots', async () => {
    await live(() => expect(existsSync(leafFile())).toBe(true));
  });

  test('without the file', () => live(() => rmSync(leafFile())));

  test('with the file of an older checkpoint', async () => {
    let older: Buffer | undefined;
    await live(() => {
      const now = readFileSync(leafFile());
      if (older) writeFileSync(leafFile(), older);
      older = now;
    });
  });

  test('with a flipped bit anywhere in it', async () => {
    let at = 0;
    await live(() => {
      const bytes = readFileSync(leafFile());
      at = (at + 97) % bytes.length;
      bytes[at] = (bytes[at] as number) ^ 4;
      writeFileSync(leafFile(), bytes);
    });
  });

  test('a removed directory that comes back has nothing of the old one', async () => {
    const first = await fixture.open();
    await makeTree(first);
    await first.close();
    const second = await fixture.open();
    await commitFiles(second, { 'a/b/2': null, 'a/b/3': null, 'a/b': null });
    await expectRightRoot(second);
    await second.close();
    const third = await fixture.open();
    const transaction = third.begin();
    transaction.put(directory('a/b'));
    await transaction.commit();
    await expectRightRoot(third);
  });

  test('a store that is only read leaves the file as it is', async () => {
    const first = await fixture.open();
    await makeTree(first);
    await first.close();
    rmSync(leafFile());
    const second = await fixture.open();
    await expectRightRoot(second);
    await second.close();
    expect(existsSync(leafFile())).toBe(false);
  });
});

describe('sections', () => {
  test('names of every length up to the longest come back', async () => {
    const store = await fixture.open();
    await makeTree(store);
    const { newest } = store;
    if (newest === null) throw new Error('nothing was committed');
    const file = join(fixture.base, 'leaves');
    const place = { engine: loadEngine(), guard: store.guard, file, storeId: store.id };
    const leaves = new Map<string, string>();
    for (let length = 1; length <= 255; length += 1) {
      leaves.set('\xff'.repeat(length), noise(32, length).toString('latin1'));
    }
    await saveLeaves(place, newest, { sections: new Map(), directories: new Map([['some/where', leaves]]) });
    const sections = await loadLeaves(place, newest);
    expect([...sections.keys()]).toEqual(['some/where']);
    expect(decodeSection(sections.get('some/where') as Buffer)).toEqual(leaves);
    expect((await loadLeaves(place, { ...newest, sequence: newest.sequence + 1 })).size).toBe(0);
    expect((await loadLeaves({ ...place, storeId: '0'.repeat(32) }, newest)).size).toBe(0);
  });

  test('a section that ends within a leaf is refused', () => {
    expect(decodeSection(Buffer.from([1, 97, ...noise(31, 1)]))).toBeUndefined();
    expect(decodeSection(Buffer.from([200]))).toBeUndefined();
  });
});
