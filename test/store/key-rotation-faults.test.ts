/**
 * Every call that changes the disk fails once while a master key is rotated, or from there on: the store opens with the key
 * before or with the one that takes its place, with all that it had, and goes on.
 */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openSharedStore } from '../../src/store/shared-store.js';
import { openStore, rotateStoreKey, type Store, type StoreKey, shareStore } from '../../src/store/store.js';
import { disk, type FailurePlan, NO_FAILURE, onFailingDisk } from './failing-disk.js';
import { codeOf, commitFiles, contentOf, noise } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('./failing-disk.js');
  return failingLevel(await original());
});

const KEY: StoreKey = { keyBytes: Buffer.alloc(32, 'k') };
const NEXT: StoreKey = { keyBytes: Buffer.alloc(32, 'n') };
const FILES = { a: noise(3000, 3), 'd/b': noise(2000, 2) };
let base = '';

beforeAll(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-rotation-faults-'));
  const store = await openStore(path.join(base, 'before'), { create: true, encrypt: true, key: KEY });
  await commitFiles(store, FILES);
  await store.close();
  // Something older than the key that is rotated, so that it goes.
  await rotateStoreKey(path.join(base, 'before'), KEY);
});
afterAll(async () => {
  disk.begin(NO_FAILURE);
  await rm(base, { recursive: true, force: true });
});

async function openWithEither(root: string): Promise<Store> {
  const codes = [await codeOf(async () => (await openStore(root, { key: NEXT })).close())];
  codes.push(await codeOf(async () => (await openStore(root, { key: KEY })).close()));
  expect(codes.sort()).toEqual(['DK_KEY_WRONG', 'no error']);
  return openStore(root, { key: NEXT }).catch(() => openStore(root, { key: KEY }));
}

async function failAt(at: number, plan: Omit<FailurePlan, 'at'>): Promise<number> {
  const root = path.join(base, `keep-${at}-${plan.sticky}`);
  await cp(path.join(base, 'before'), root, { recursive: true });
  const { error, failed, log } = await onFailingDisk({ ...plan, at }, () =>
    rotateStoreKey(root, KEY, { replacement: NEXT }),
  );
  try {
    if (error !== null && !isDiffKeeperError(error)) throw error;
    const store = await openWithEither(root);
    try {
      for (const [name, bytes] of Object.entries(FILES)) {
        expect((await contentOf(store, name))?.equals(bytes), name).toBe(true);
      }
      await commitFiles(store, { more: noise(500, 5) });
      expect((await store.verify()).damage).toEqual([]);
    } finally {
      await store.close();
    }
    expect((await rotateStoreKey(root, error === null ? NEXT : await opening(root))).masterKey).toBeGreaterThan(1);
  } catch (reason) {
    throw new Error(`call ${at} failed (${log}): ${String(error)}`, { cause: reason });
  }
  await rm(root, { recursive: true, force: true });
  return failed;
}

async function opening(root: string): Promise<StoreKey> {
  const code = await codeOf(async () => (await openStore(root, { key: NEXT })).close());
  return code === 'no error' ? NEXT : KEY;
}

/** Damage and files that another process is told of, which knows the newest keys and asks the owner. */
async function readThrough(store: Store): Promise<[unknown[], string[]]> {
  await shareStore(store);
  const reader = await openSharedStore(store.path, { key: KEY });
  if (!reader) throw new Error('nobody shares it');
  try {
    expect((await contentOf(reader, 'd/b'))?.equals(FILES['d/b'])).toBe(true);
    const names: string[] = [];
    for await (const entries of reader.entries()) names.push(...entries.map(({ path: name }) => name));
    return [[...(await reader.verify()).damage], names];
  } finally {
    await reader.close();
  }
}

it('a disk that is full at the next opening is no reason not to open', async () => {
  const root = path.join(base, 'full');
  await cp(path.join(base, 'before'), root, { recursive: true });
  const meta = path.join(root, 'meta');
  await cp(meta, path.join(base, 'meta-of-before'), { recursive: true });
  await rotateStoreKey(root, KEY);
  await rm(meta, { recursive: true });
  await cp(path.join(base, 'meta-of-before'), meta, { recursive: true });
  const warned: string[] = [];
  const note = (_facts: object, message: string): void => void warned.push(message);
  const logger = { debug: () => {}, info: () => {}, warn: note, error: note };
  disk.begin({ sticky: true, code: 'ENOSPC', partial: false, calls: ['batch'], at: 1 });
  for (const full of [true, false]) {
    if (!full) disk.begin(NO_FAILURE);
    const store = await openStore(root, { key: KEY, logger });
    expect((await contentOf(store, 'a'))?.equals(FILES.a)).toBe(true);
    expect(await readThrough(store)).toEqual([[], ['a', 'd/b']]);
    await store.close();
    expect(warned).toEqual(['the metadata stays under an older master key: the next opening tries again']);
  }
  expect((await openStore(root, { key: KEY, logger }).then((store) => store.close().then(() => warned))).length).toBe(
    1,
  );
});

it.each([false, true])(
  'metadata that cannot be put aside (done all the same: %s) is used as it is',
  async (partial) => {
    const root = path.join(base, `unmoved-${partial}`);
    await cp(path.join(base, 'before'), root, { recursive: true });
    const meta = path.join(root, 'meta');
    await cp(meta, `${meta}-of-before`, { recursive: true });
    await rotateStoreKey(root, KEY);
    await rm(meta, { recursive: true });
    await cp(`${meta}-of-before`, meta, { recursive: true });
    await rm(`${meta}-of-before`, { recursive: true });
    // The first one gives owner.json its name.
    disk.begin({ sticky: false, code: 'ENOSPC', partial, calls: ['rename'], at: 2 });
    for (const fails of [true, false]) {
      const store = await openStore(root, { key: KEY });
      expect(disk.failed).toBe(1);
      expect(existsSync(path.join(root, 'meta-before'))).toBe(false);
      expect((await contentOf(store, 'a'))?.equals(FILES.a)).toBe(true);
      await commitFiles(store, { [`more-${fails}`]: noise(50, 1) });
      expect((await store.verify()).damage).toEqual([]);
      await store.close();
    }
    disk.begin(NO_FAILURE);
  },
);

const kinds: Omit<FailurePlan, 'at'>[] = [
  { sticky: false, code: 'EIO', partial: true },
  { sticky: false, code: 'ENOSPC', partial: false },
  { sticky: true, code: 'EIO', partial: false },
];

describe.each(kinds)('a disk that fails with %o', (kind) => {
  it('leaves a store that opens with one of the two keys', async () => {
    let at = 1;
    while ((await failAt(at, kind)) > 0) at += 1;
    expect(at).toBeGreaterThan(15);
  }, 120_000);
});
