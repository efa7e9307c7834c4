/** Dictionaries for first versions of many small similar files. */
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { TRY } from '../../src/engine/engine.js';
import { encodeExtents, removedVersion, VERSION_TYPE } from '../../src/format/format.js';
import { dictionaryExtents, indexKind, isDictionaryList, kindFacts } from '../../src/store/dictionary-list.js';
import { exchangeOf, openStore, type Store } from '../../src/store/store.js';
import { expectSecondContents } from '../format/second-compare.js';
import { contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

/** A small configuration file, as services have hundreds of. */
function config(number: number): Buffer {
  const value = {
    service: `service-${number}`,
    description: 'keeps the answers of the upstream for a while, so that they need not be asked for again',
    listen: { address: '0.0.0.0', port: 8000 + number, backlog: 511, keepAliveSeconds: 75 },
    upstream: { host: `upstream-${number % 7}.internal`, retries: 3, timeoutMilliseconds: 1500, circuitBreaker: true },
    logging: { level: number % 3 === 0 ? 'debug' : 'information', format: 'structured', destination: 'standard-error' },
    checksum: noise(12, number).toString('hex'),
  };
  return Buffer.from(JSON.stringify(value, null, 2));
}

/** One checkpoint whose files are stored in one call, as a capture does it. */
async function commitAll(store: Store, files: ReadonlyMap<string, Buffer>, tries?: number): Promise<void> {
  const transaction = store.begin();
  const inputs = [...files.values()].map((bytes) => ({ bytes, kind: 'blob' as const, ...(tries && { tries }) }));
  const digests = await transaction.storeBlobs(inputs);
  for (const [index, [name, bytes]] of [...files].entries()) {
    const facts = { size: bytes.length, digest: digests[index] as Buffer, recipe: { kind: 'whole' as const } };
    transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644, ...facts });
  }
  await transaction.commit();
}

function configs(from: number, count: number): Map<string, Buffer> {
  return new Map(Array.from({ length: count }, (_, index) => [`c${from + index}`, config(from + index)]));
}

const savings = async (store: Store) =>
  (await store.stats()).savings as NonNullable<Awaited<ReturnType<Store['stats']>>['savings']>;

async function expectAll(store: Store, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [name, bytes] of files) expect((await contentOf(store, name))?.equals(bytes), name).toBe(true);
}

describe('many small similar files', () => {
  it('take less with a dictionary, which every later step knows', async () => {
    const files = configs(0, 300);
    const without = await openStore(`${fixture.root}-plain`, { create: true });
    await commitAll(without, files, TRY.zstd);
    expect((await savings(without)).dictionaryBytes).toBe(0);
    let store = await fixture.open();
    await commitAll(store, files);
    const before = await store.stats();
    expect(before.savings?.dictionaryBytes).toBeGreaterThan(50_000);
    expect(before.packBytes).toBeLessThan(0.8 * (await without.stats()).packBytes);
    expect(before.blobs).toBe(301);
    expect(before.depths).toEqual([expect.any(Number), expect.any(Number)]);
    await without.close();

    // Another opening goes on with it, for a few files too, and with none to find in the cache.
    await store.close();
    store = await fixture.open();
    await commitAll(store, configs(300, 3));
    expect((await store.stats()).blobs).toBe(304);
    expect((await savings(store)).dictionaryBytes).toBeGreaterThan(before.savings?.dictionaryBytes as number);
    await store.close();
    await rm(path.join(fixture.root, 'cache'), { recursive: true });
    store = await fixture.open();
    await commitAll(store, configs(303, 3));
    const all = configs(0, 306);
    await expectAll(store, all);
    const kept = await savings(store);

    // What the index says follows from the packs alone.
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    expect(await savings(store)).toEqual(kept);
    await commitAll(store, configs(0, 2));
    await store.prune({ keepLast: 1 }, { compactBelow: 1 });
    expect((await store.verify()).damage).toEqual([]);
    await expectAll(store, all);
    expect((await savings(store)).dictionaryBytes).toBe(kept.dictionaryBytes);
    await store.close();
    await expectSecondContents(fixture.root, all);
  });

  it('are the same in an encrypted store', async () => {
    const key = { keyBytes: Buffer.alloc(32, 'k') };
    let store = await fixture.open({ encrypt: true, key });
    await commitAll(store, configs(0, 200));
    await store.close();
    store = await fixture.open({ key });
    await commitAll(store, configs(200, 1));
    expect((await store.stats()).blobs).toBe(202);
    await expectAll(store, configs(0, 201));
  });

  it('go to another store with their dictionary', async () => {
    const from = await fixture.open();
    await commitAll(from, configs(0, 200));
    const to = await openStore(`${fixture.root}-other`, { create: true });
    const [give, take] = [exchangeOf(from), exchangeOf(to)];
    const { digest } = (await from.heads(['c7']))[0] as { digest: Buffer };
    const [described] = await give.describe([digest]);
    expect(described?.contexts.length).toBe(1);
    await take.keepBlobs(await give.records(described?.contexts ?? []));
    await take.keepBlobs(await give.records([digest]));
    expect((await savings(to)).dictionaryBytes).toBeGreaterThan(0);
    expect((await to.readBlobs([digest]))[0]).toEqual(config(7));
    await to.close();
  });

  it('that were given up leave nothing behind', async () => {
    const store = await fixture.open();
    const transaction = store.begin();
    await transaction.storeBlobs([...configs(0, 200).values()].map((bytes) => ({ bytes, kind: 'blob' as const })));
    await transaction.abort();
    expect((await store.stats()).blobs).toBe(0);
    await commitAll(store, configs(0, 5));
    await expectAll(store, configs(0, 5));
    expect((await store.verify()).damage).toEqual([]);
  });
});

describe('files that have nothing in common', () => {
  it('are stored on their own', async () => {
    const store = await fixture.open();
    const files = new Map(Array.from({ length: 200 }, (_, index) => [`n${index}`, noise(700, index)]));
    await commitAll(store, files);
    const { blobs, depths } = await store.stats();
    expect([blobs, depths]).toEqual([200, [200]]);
    expect((await savings(store)).dictionaryBytes).toBe(0);
  });

  it('do not take a dictionary that an earlier capture made', async () => {
    const store = await fixture.open();
    await commitAll(store, configs(0, 200));
    const before = await savings(store);
    await commitAll(store, new Map(Array.from({ length: 100 }, (_, index) => [`n${index}`, noise(700, index)])));
    expect((await savings(store)).dictionaryBytes).toBe(before.dictionaryBytes);
  });
});

describe('a context list', () => {
  const digest = Buffer.alloc(32, 7);

  it('says that it is a dictionary, and no other one does', () => {
    for (const bytes of [2, 127, 128, 129, 16_384, 32_768, 1 << 20]) {
      const list = encodeExtents(dictionaryExtents(digest, bytes));
      expect(isDictionaryList(list), String(bytes)).toBe(true);
      expect(kindFacts(indexKind(1, list))).toEqual({ kind: 1, dictionary: true });
      expect(indexKind(2, list)).toBe(2);
      expect(isDictionaryList(encodeExtents([{ digest, offset: 0, length: bytes }]))).toBe(false);
    }
    const others = [
      [
        { digest, offset: 0, length: 2 },
        { digest, offset: 2, length: 8 },
      ],
      [
        { digest, offset: 1, length: 1 },
        { digest, offset: 2, length: 8 },
      ],
      [
        { digest, offset: 0, length: 1 },
        { digest: Buffer.alloc(32, 8), offset: 1, length: 8 },
      ],
    ];
    for (const list of others) expect(isDictionaryList(encodeExtents(list))).toBe(false);
    expect(isDictionaryList(Buffer.alloc(0))).toBe(false);
  });
});
