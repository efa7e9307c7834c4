import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isDiffKeeperError, LIMITS } from '../../src/core/core.js';
import { loadTwin } from '../../src/engine/load.js';
import { type Extent, removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import { computeTreeRoot, openStore, type Store, type StoreOptions } from '../../src/store/store.js';
import { noise } from './store-fixture.js';

let base = '';
let root = '';
const opened: Store[] = [];

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-store-'));
  root = path.join(base, 'keep');
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await rm(base, { recursive: true, force: true });
});

async function open(options: StoreOptions = {}): Promise<Store> {
  const store = await openStore(root, { create: true, ...options });
  opened.push(store);
  return store;
}

async function commitFiles(store: Store, files: Record<string, Buffer | null>, tag = ''): Promise<void> {
  const transaction = store.begin();
  for (const [name, bytes] of Object.entries(files)) {
    if (bytes === null) {
      transaction.remove(name);
      continue;
    }
    const digest = store.engine.digest(store.hashAlgo, bytes);
    const [head] = await store.heads([name]);
    const extents: Extent[] = [];
    for (let at = 0; at < bytes.length; at += LIMITS.blobBytes) {
      const piece = bytes.subarray(at, at + LIMITS.blobBytes);
      const source = head && head.size >= at + piece.length ? store.reader(head) : null;
      const context = source
        ? { bytes: await source.read(at, piece.length), extents: await source.extents(at, piece.length), aligned: true }
        : undefined;
      const [blob] = await transaction.storeBlobs([{ bytes: piece, kind: 'blob', ...(context ? { context } : {}) }]);
      extents.push({ digest: blob as Buffer, offset: 0, length: piece.length });
    }
    const size = bytes.length;
    const recipe = await transaction.storeRecipe({ extents, size, digest, ...(head ? { source: head } : {}) });
    transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644, size, digest, recipe });
  }
  await transaction.commit({ tag });
}

async function contentOf(store: Store, name: string): Promise<Buffer | null> {
  const [head] = await store.heads([name]);
  return head ? store.reader(head).read(0, head.size) : null;
}

/** `toEqual` compares byte by byte in JavaScript: slow for large buffers. */
function expectBytes(actual: Buffer | null, expected: Buffer): void {
  expect(actual?.length).toBe(expected.length);
  expect(actual?.equals(expected)).toBe(true);
}

async function names(store: Store, at?: number): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of store.entries(at === undefined ? {} : { at })) found.push(...batch.map((one) => one.path));
  return found.sort();
}

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    return isDiffKeeperError(error) ? error.code : String(error);
  }
  return 'no error';
}

const engines: [string, StoreOptions][] = [
  ['default engine', {}],
  ['twin', { engine: loadTwin() }],
  ['sha256', { hashAlgo: 'sha256' }],
];

describe.each(engines)('a store (%s)', (_name, options) => {
  it('gives back every version and survives closing', async () => {
    let store = await open(options);
    const first = noise(300_000, 1);
    const second = Buffer.from(first);
    second.write('changed', 5000);
    await commitFiles(store, { 'a/b': first, small: Buffer.from('one'), empty: Buffer.alloc(0) });
    await commitFiles(store, { 'a/b': second, small: null });
    await store.close();
    store = await open(options);
    expect(store.newest?.sequence).toBe(2);
    expect(await contentOf(store, 'a/b')).toEqual(second);
    expect(await contentOf(store, 'small')).toBeNull();
    expect(await names(store)).toEqual(['a/b', 'empty']);
    expect(await names(store, 1)).toEqual(['a/b', 'empty', 'small']);
    const seen: Version[] = [];
    for await (const { version } of store.versions('a/b')) seen.push(version);
    expect(seen.map((version) => version.sequence)).toEqual([2, 1]);
    expectBytes(await store.reader(seen[1] as Version).read(0, 300_000), first);
    const report = await store.verify();
    expect(report.damage).toEqual([]);
    expect(report.versions).toBe(5);
  });

  it('keeps the same root whether updated or recomputed', async () => {
    const store = await open(options);
    for (let round = 0; round < 12; round += 1) {
      const files: Record<string, Buffer | null> = {};
      for (let index = 0; index < 6; index += 1) {
        const name = `f${(round * 5 + index * 3) % 13}`;
        files[name] = (round + index) % 4 === 3 ? null : noise(50 + round, round * 31 + index);
      }
      await commitFiles(store, files);
      const computed = await computeTreeRoot(store.engine, store.hashAlgo, store.entries());
      expect(computed.equals(store.newest?.root as Buffer)).toBe(true);
    }
  });

  it('rebuilds its metadata from the packs alone', async () => {
    let store = await open(options);
    await commitFiles(store, { x: noise(2_500_000, 3), y: Buffer.from('y1') });
    await commitFiles(store, { y: Buffer.from('y2'), z: Buffer.from('z') }, 'named');
    await commitFiles(store, { z: null });
    const newest = store.newest;
    await store.close();
    await rm(path.join(root, 'meta'), { recursive: true });
    store = await open(options);
    expect(store.newest).toEqual(newest);
    expect(await names(store)).toEqual(['x', 'y']);
    expectBytes(await contentOf(store, 'y'), Buffer.from('y2'));
    expectBytes(await contentOf(store, 'x'), noise(2_500_000, 3));
    expect((await store.verify()).damage).toEqual([]);
    await commitFiles(store, { x: Buffer.from('small now') });
    expect(store.newest?.sequence).toBe(4);
  });
});

describe('deltas', () => {
  it('store a small change small, and keep within the snapshot interval', async () => {
    const store = await open({ snapshotInterval: 3 });
    const bytes = noise(200_000, 9);
    await commitFiles(store, { f: bytes });
    const before = (await store.stats()).packBytes;
    for (let round = 0; round < 8; round += 1) {
      bytes.write(`round ${round}`, 1000 * round);
      await commitFiles(store, { f: bytes });
    }
    const stats = await store.stats();
    expect(stats.depths.length).toBe(4);
    // At the limit it goes on from an older blob.
    expect(stats.depths[0]).toBe(1);
    expect(stats.packBytes - before).toBeLessThan(8 * 2000);
    expectBytes(await contentOf(store, 'f'), bytes);
    const kept = store.checkpoints();
    const sequences: number[] = [];
    for await (const checkpoint of kept) sequences.push(checkpoint.sequence);
    expect(sequences).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('stores equal bytes once', async () => {
    const store = await open();
    const bytes = noise(400_000, 4);
    await commitFiles(store, { one: bytes });
    const before = (await store.stats()).packBytes;
    await commitFiles(store, { two: bytes, three: bytes });
    expect((await store.stats()).packBytes - before).toBeLessThan(1000);
  });
});

describe('crashes', () => {
  it('forgets an uncommitted transaction and a torn end', async () => {
    let store = await open();
    await commitFiles(store, { kept: Buffer.from('kept') });
    const transaction = store.begin();
    await transaction.storeBlobs([{ bytes: noise(9000, 5), kind: 'blob' }]);
    await store.close();
    const pack = path.join(root, 'packs', '00000001.dkp');
    const whole = await readFile(pack);
    await writeFile(pack, Buffer.concat([whole, noise(777, 6)]));
    store = await open();
    expectBytes(await contentOf(store, 'kept'), Buffer.from('kept'));
    expect((await readFile(pack)).length).toBe(whole.length);
    await commitFiles(store, { next: Buffer.from('next') });
    expect((await store.verify()).damage).toEqual([]);
  });

  it('rolls a complete checkpoint forward that the metadata lost', async () => {
    let store = await open();
    await commitFiles(store, { a: Buffer.from('a1') });
    await store.close();
    const meta = path.join(root, 'meta');
    const saved = path.join(base, 'meta-saved');
    spawnSync('cp', ['-a', meta, saved]);
    store = await open();
    await commitFiles(store, { a: Buffer.from('a2'), b: noise(70_000, 8) });
    await commitFiles(store, { c: Buffer.from('c') });
    const newest = store.newest;
    await store.close();
    await rm(meta, { recursive: true });
    spawnSync('cp', ['-a', saved, meta]);
    store = await open();
    expect(store.newest).toEqual(newest);
    expectBytes(await contentOf(store, 'a'), Buffer.from('a2'));
    expectBytes(await contentOf(store, 'b'), noise(70_000, 8));
    expect((await store.verify()).damage).toEqual([]);
  });

  it('opens at every cut of the last pack without losing an older checkpoint', async () => {
    let store = await open();
    await commitFiles(store, { a: Buffer.from('a1') });
    const pack = path.join(root, 'packs', '00000001.dkp');
    const first = (await readFile(pack)).length;
    await commitFiles(store, { a: Buffer.from('a2') });
    await store.close();
    const whole = await readFile(pack);
    for (let length = first; length <= whole.length; length += 7) {
      await writeFile(pack, whole.subarray(0, length));
      await rm(path.join(root, 'meta'), { recursive: true });
      store = await open();
      const expected = length === whole.length ? 'a2' : 'a1';
      expect((await contentOf(store, 'a'))?.toString()).toBe(expected);
      await store.close();
    }
  });
});

describe('damage', () => {
  it('is found, named, and does not reach other files', async () => {
    let store = await open();
    await commitFiles(store, { good: noise(5000, 1), bad: noise(6000, 2) });
    const [head] = await store.heads(['bad']);
    const [info] = await store.blobInfos([head?.digest as Buffer]);
    await store.close();
    const pack = path.join(root, 'packs', '00000001.dkp');
    const bytes = await readFile(pack);
    const at = (info?.offset ?? 0) + 200;
    bytes[at] = (bytes[at] as number) ^ 0x40;
    await writeFile(pack, bytes);
    store = await open();
    expectBytes(await contentOf(store, 'good'), noise(5000, 1));
    expect(await codeOf(() => contentOf(store, 'bad'))).toBe('DK_CORRUPT_RECORD');
    const { damage } = await store.verify();
    expect(damage.some((one) => one.kind === 'record')).toBe(true);
    const affected = damage.flatMap((one) => one.affected.map((version) => version.path));
    expect(affected).toEqual(['bad']);
  });

  it('in the metadata is never silent', async () => {
    let store = await open();
    await commitFiles(store, { a: Buffer.from('a') });
    await store.close();
    const meta = path.join(root, 'meta');
    await rm(path.join(meta, 'CURRENT'));
    store = await open();
    expectBytes(await contentOf(store, 'a'), Buffer.from('a'));
    await store.close();
    for (const name of await readdir(meta)) {
      if (/\.(log|ldb)$/.test(name)) await truncate(path.join(meta, name), 0);
    }
    store = await open();
    expectBytes(await contentOf(store, 'a'), Buffer.from('a'));
  });
});

describe('opening', () => {
  it('refuses what is no store, strange directories, and newer formats', async () => {
    expect(await codeOf(() => openStore(root))).toBe('DK_NO_STORE');
    await mkdir(root);
    await writeFile(path.join(root, 'precious.txt'), 'mine');
    expect(await codeOf(() => openStore(root, { create: true }))).toBe('DK_NO_STORE');
    await rm(path.join(root, 'precious.txt'));
    await writeFile(path.join(root, 'DIFFKEEPER'), JSON.stringify({ diffkeeper: 'store', format: 77 }));
    expect(await codeOf(() => openStore(root))).toBe('DK_STORE_FORMAT_NEWER');
    await expect(openStore(root, { snapshotInterval: 0 })).rejects.toThrow(RangeError);
  });

  it('says which process has the store', async () => {
    await open();
    try {
      await openStore(root);
      expect.unreachable();
    } catch (error) {
      expect(isDiffKeeperError(error, 'DK_STORE_LOCKED')).toBe(true);
      if (isDiffKeeperError(error)) expect(error.facts.pid).toBe(process.pid);
    }
  });

  it('refuses work after closing', async () => {
    const store = await open();
    await store.close();
    expect(await codeOf(() => store.heads(['a']))).toBe('DK_STORE_CLOSED');
  });
});
