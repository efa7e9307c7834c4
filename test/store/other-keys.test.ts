/** Key files of a copy of the store that was rotated by itself: the same numbers, other keys. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { loadTwin } from '../../src/engine/load.js';
import { openStore, rotateStoreKey } from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const KEY = { keyBytes: Buffer.alloc(32, 'k') };
const KEY_FILES = ['KEYS', 'KEYS.copy'];
const copy = (): string => `${fixture.root}-copy`;

async function commit(root: string, name: string, seed: number): Promise<void> {
  const store = await openStore(root, { key: KEY });
  await commitFiles(store, { [name]: noise(3000, seed) });
  await store.close();
}

async function put(from: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await rm(path.join(fixture.root, name), { recursive: true });
    await cp(path.join(from, name), path.join(fixture.root, name), { recursive: true });
  }
}

/** A store and a copy of it, each with a first checkpoint and a master key 1 of its own. */
async function rotatedApart(): Promise<void> {
  const store = await fixture.open({ encrypt: true, key: KEY });
  await commitFiles(store, { a: noise(3000, 1) });
  await store.close();
  await cp(fixture.root, copy(), { recursive: true });
  for (const root of [fixture.root, copy()]) await rotateStoreKey(root, KEY);
}

async function expectBoth(): Promise<void> {
  const store = await fixture.open({ key: KEY });
  expect((await contentOf(store, 'a'))?.equals(noise(3000, 1))).toBe(true);
  expect((await contentOf(store, 'b'))?.equals(noise(3000, 2))).toBe(true);
  expect((await store.verify()).damage).toEqual([]);
}

it.each([
  [KEY_FILES, 'its metadata, too'],
  [[...KEY_FILES, 'meta'], 'records behind what the metadata of the copy knows'],
])('%s: DK_KEY_LOST, and nothing is cut off (%s)', async (names) => {
  await rotatedApart();
  await commit(fixture.root, 'b', 2);
  const own = `${fixture.root}-own`;
  await cp(fixture.root, own, { recursive: true });
  const packs = await readFile(fixture.pack(1));
  await put(copy(), names);
  for (const options of [{}, { restoreMarker: true }]) {
    expect(await codeOf(() => openStore(fixture.root, { key: KEY, ...options }))).toBe('DK_KEY_LOST');
    expect((await readFile(fixture.pack(1))).equals(packs)).toBe(true);
  }
  await put(own, names);
  await expectBoth();
});

/** Places of the records under a master key, and their lengths. */
function recordsUnder(bytes: Buffer, number: number): [number, number][] {
  const found: [number, number][] = [];
  for (let at = 64; at < bytes.length; ) {
    const length = 16 + bytes.readUIntLE(at + 4, 3);
    if (bytes[at + 7] === number) found.push([at, length]);
    at += length;
  }
  return found;
}

it('one record that does not open, among others that do, is damage', async () => {
  await rotatedApart();
  const meta = `${fixture.root}-meta`;
  await cp(path.join(fixture.root, 'meta'), path.join(meta, 'meta'), { recursive: true });
  await commit(fixture.root, 'b', 2);
  const bytes = await readFile(fixture.pack(1));
  const [[at, length]] = recordsUnder(bytes, 1) as [[number, number]];
  bytes[at + 30] = (bytes[at + 30] as number) ^ 1;
  bytes.writeBigUInt64LE(BigInt.asUintN(64, loadTwin().xxh3(bytes.subarray(at, at + length - 8))), at + length - 8);
  await writeFile(fixture.pack(1), bytes);
  await put(meta, ['meta']);
  const store = await fixture.open({ key: KEY });
  expect((await contentOf(store, 'a'))?.equals(noise(3000, 1))).toBe(true);
});

it('the only record of its key that does not open is damage where one before it in the pack opens', async () => {
  await rotatedApart();
  await commit(fixture.root, 'b', 2);
  const meta = `${fixture.root}-meta`;
  await cp(path.join(fixture.root, 'meta'), path.join(meta, 'meta'), { recursive: true });
  const length = (await readFile(fixture.pack(1))).length;
  await commit(fixture.root, 'c', 3);
  const bytes = (await readFile(fixture.pack(1))) as Buffer;
  for (const [at, recordBytes] of recordsUnder(bytes, 1).filter(([place]) => place >= length)) {
    bytes[at + 30] = (bytes[at + 30] as number) ^ 1;
    const end = at + recordBytes - 8;
    bytes.writeBigUInt64LE(BigInt.asUintN(64, loadTwin().xxh3(bytes.subarray(at, end))), end);
  }
  await writeFile(fixture.pack(1), bytes);
  await put(meta, ['meta']);
  await expectBoth();
});
