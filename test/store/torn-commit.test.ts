/** A commit that a crash tore, at each place; found by the crash states of `test/crash`. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
afterEach(() => vi.restoreAllMocks());

const meta = () => path.join(fixture.root, 'meta');
const quarantined = () => readdir(path.join(fixture.root, 'quarantine'));

/** Two commits in one pack, the metadata that knows the first only, the lengths of the pack after each. */
async function twoCommits(): Promise<{ before: string; bytes: Buffer; first: number }> {
  let store = await fixture.open();
  await commitFiles(store, { a: noise(2000, 1) });
  await store.close();
  const before = path.join(fixture.base, 'meta-before');
  await cp(meta(), before, { recursive: true });
  const first = (await readFile(fixture.pack(1))).length;
  store = await fixture.open();
  await commitFiles(store, { a: noise(2000, 2), b: noise(1500, 3) });
  await store.close();
  return { before, bytes: await readFile(fixture.pack(1)), first };
}

async function restore(before: string | null, pack: Buffer): Promise<void> {
  await rm(meta(), { recursive: true });
  if (before) await cp(before, meta(), { recursive: true });
  await writeFile(fixture.pack(1), pack);
}

async function expectFirstOnly(): Promise<void> {
  const store = await fixture.open();
  expect(store.newest?.sequence).toBe(1);
  expect((await contentOf(store, 'a'))?.equals(noise(2000, 1))).toBe(true);
  expect((await store.verify()).damage).toEqual([]);
  await commitFiles(store, { b: noise(1500, 3) });
  expect((await contentOf(store, 'b'))?.equals(noise(1500, 3))).toBe(true);
  expect((await store.verify()).damage).toEqual([]);
  await store.close();
}

describe('a commit whose end is on disk and whose middle is not', () => {
  it.each(['known', 'lost'])('is cut off and kept aside, wherever it is torn, with the metadata %s', async (how) => {
    const { before, bytes, first } = await twoCommits();
    for (let at = first; at < bytes.length - 300; at += 512) {
      const torn = Buffer.from(bytes);
      torn.fill(0, at, at + 200);
      await restore(how === 'known' ? before : null, torn);
      await rm(path.join(fixture.root, 'quarantine'), { recursive: true });
      await expectFirstOnly();
      expect((await quarantined()).filter((name) => name.startsWith('end-of-00000001.dkp'))).toHaveLength(1);
    }
  });

  it('is kept, and its damage named, when a later one proves that it had been committed', async () => {
    const { before, bytes, first } = await twoCommits();
    let store = await fixture.open();
    await commitFiles(store, { c: noise(100, 4) });
    await store.close();
    const later = await readFile(fixture.pack(1));
    expect(later.subarray(0, bytes.length).equals(bytes)).toBe(true);
    later.fill(0, first + 600, first + 800);
    for (const meta of [before, null]) {
      await restore(meta, later);
      store = await fixture.open();
      expect(store.newest?.sequence).toBe(3);
      expect((await contentOf(store, 'c'))?.equals(noise(100, 4))).toBe(true);
      const { damage } = await store.verify();
      expect(damage.length).toBeGreaterThan(0);
      await store.close();
    }
  });
});

describe('opening after a crash', () => {
  it('gives blobs behind the last checkpoint no entry in rebuilt metadata: they are cut off', async () => {
    const { bytes } = await twoCommits();
    // Blobs of the second commit are whole, its checkpoint record is not.
    await restore(null, bytes.subarray(0, bytes.length - 20));
    await expectFirstOnly();
  });

  it('writes a prune record again whose pack lost its header', async () => {
    let store = await fixture.open();
    for (let seed = 1; seed <= 3; seed += 1) await commitFiles(store, { a: noise(3000, seed) });
    await store.prune({ keepLast: 1 }, { compactBelow: 1 });
    await store.close();
    const packs = path.join(fixture.root, 'packs');
    const seal = path.join(packs, (await readdir(packs)).sort().pop() as string);
    const whole = await readFile(seal);
    await writeFile(seal, Buffer.concat([Buffer.alloc(64), whole.subarray(64)]));
    await rm(meta(), { recursive: true });
    store = await fixture.open();
    expect((await contentOf(store, 'a'))?.equals(noise(3000, 3))).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
    await store.close();
    expect((await readFile(seal)).equals(whole)).toBe(true);
  });

  it('puts metadata aside twice within one millisecond', async () => {
    let store = await fixture.open();
    await commitFiles(store, { a: noise(100, 1) });
    await store.close();
    vi.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000);
    // What CURRENT names is not there: LevelDB does not open, and what replaces it is empty.
    for (const name of await readdir(meta())) if (name.startsWith('MANIFEST')) await rm(path.join(meta(), name));
    store = await fixture.open();
    expect((await contentOf(store, 'a'))?.equals(noise(100, 1))).toBe(true);
    await store.close();
  });
});
