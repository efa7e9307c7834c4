import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { CODEC } from '../../src/engine/engine.js';
import { type Digest, type Extent, encodeExtents, encodeRecord, RECORD } from '../../src/format/format.js';
import { exchangeOf, openSnapshotStore, openStore, type Store } from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

async function source(name: string): Promise<Store> {
  return openStore(path.join(fixture.base, name), { create: true });
}

async function digestsOf(store: Store, sequence: number): Promise<Digest[]> {
  return (await store.changes(sequence)).flatMap(({ digest }) => (digest ? [digest] : []));
}

/** A record of these bytes as a stranger would make it. */
function forge(
  store: Store,
  bytes: Buffer,
  given: {
    readonly digest?: Digest;
    readonly kind?: 1 | 2 | 3 | 4 | 5;
    readonly codec?: number;
    readonly depth?: number;
    readonly context?: readonly Extent[];
    readonly decodedBytes?: number;
  } = {},
): Buffer {
  const { kind = RECORD.blob, codec = CODEC.raw, depth = 0, context, decodedBytes = bytes.length } = given;
  const digest = given.digest ?? store.engine.digest(store.hashAlgo, bytes);
  const contextList = context ? encodeExtents(context) : Buffer.alloc(0);
  const record = { kind, codec, depth, digest, decodedBytes, contextList, payload: bytes };
  return encodeRecord(record, (all) => store.engine.xxh3(all));
}

describe('blobs that are kept before their checkpoint', () => {
  it('are there after opening again, also in a store without a checkpoint', async () => {
    const from = await source('from');
    await commitFiles(from, { one: noise(5000, 1), two: noise(5000, 2) });
    const digests = await digestsOf(from, 1);
    const records = await exchangeOf(from).records(digests);
    const store = await fixture.open();
    await exchangeOf(store).keepBlobs(records);
    await store.close();
    const again = await fixture.open();
    expect(again.newest).toBeNull();
    expect(await exchangeOf(again).has(digests)).toEqual([true, true]);
    expect((await again.verify()).damage).toEqual([]);
    await commitFiles(again, { own: noise(100, 3) });
    await exchangeOf(again).keepBlobs(await exchangeOf(from).records([(await keepOne(from, 4)) as Digest]));
    await commitFiles(again, { other: noise(100, 5) });
    await again.close();
    const last = await fixture.open();
    expect(last.newest?.sequence).toBe(2);
    expect((await last.verify()).damage).toEqual([]);
    expect((await contentOf(last, 'other'))?.equals(noise(100, 5))).toBe(true);
    expect(await exchangeOf(last).has(digests)).toEqual([true, true]);
    await from.close();
  });

  it('that are all here already change nothing, also where the last pack is full', async () => {
    const { packBytes } = LIMITS;
    const first = await fixture.open();
    await commitFiles(first, { one: noise(5000, 1) });
    await first.close();
    (LIMITS as { packBytes: number }).packBytes = 4000;
    try {
      const store = await fixture.open();
      const known = await exchangeOf(store).records(await digestsOf(store, 1));
      await exchangeOf(store).keepBlobs(known);
      await exchangeOf(store).keepBlobs([]);
      const abandoned = store.begin();
      await abandoned.storeBlobs([{ bytes: noise(3000, 2), kind: 'blob' }]);
      await abandoned.abort();
      expect((await contentOf(store, 'one'))?.equals(noise(5000, 1))).toBe(true);
      await commitFiles(store, { two: noise(100, 3) });
      await store.close();
      const again = await fixture.open();
      expect(again.newest?.sequence).toBe(2);
      expect((await contentOf(again, 'one'))?.equals(noise(5000, 1))).toBe(true);
      expect((await again.verify()).damage).toEqual([]);
    } finally {
      (LIMITS as { packBytes: number }).packBytes = packBytes;
    }
  });

  it('may be lost with the metadata, and nothing else is', async () => {
    const from = await source('from');
    await commitFiles(from, { one: noise(5000, 1) });
    const digests = await digestsOf(from, 1);
    const store = await fixture.open();
    await commitFiles(store, { own: noise(100, 3) });
    await exchangeOf(store).keepBlobs(await exchangeOf(from).records(digests));
    expect((await store.rebuildIndex()).damage).toEqual([]);
    expect(await exchangeOf(store).has(digests)).toEqual([false]);
    await exchangeOf(store).keepBlobs(await exchangeOf(from).records(digests));
    await commitFiles(store, { more: noise(100, 4) });
    await store.close();
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const again = await fixture.open();
    expect((await again.verify()).damage).toEqual([]);
    expect((await contentOf(again, 'more'))?.equals(noise(100, 4))).toBe(true);
    expect(await exchangeOf(again).has(digests)).toEqual([true]);
    await from.close();
  });

  it('do not come back with another prune of an empty history', async () => {
    const from = await source('from');
    await commitFiles(from, { one: noise(5000, 1) });
    const store = await fixture.open();
    await exchangeOf(store).keepBlobs(await exchangeOf(from).records(await digestsOf(from, 1)));
    expect(await store.prune({ keepLast: 1 })).toMatchObject({ kept: [], dropped: [] });
    expect((await store.verify()).damage).toEqual([]);
    await from.close();
  });
});

/** Digest of a blob that another checkpoint of the store has. */
async function keepOne(store: Store, seed: number): Promise<Digest | undefined> {
  await commitFiles(store, { [`file-${seed}`]: noise(3000, seed) });
  return (await digestsOf(store, store.newest?.sequence ?? 0))[0];
}

describe('records from elsewhere are refused', () => {
  const bytes = noise(2000, 1);

  it.each<[string, (store: Store) => Buffer, string]>([
    [
      'of other bytes than the digest says',
      (store) => forge(store, bytes, { digest: noise(32, 9) }),
      'DK_DIGEST_MISMATCH',
    ],
    ['of a checkpoint', (store) => forge(store, bytes, { kind: RECORD.checkpoint }), 'DK_CORRUPT_RECORD'],
    ['of versions', (store) => forge(store, bytes, { kind: RECORD.versions }), 'DK_CORRUPT_RECORD'],
    ['of a prune', (store) => forge(store, bytes, { kind: RECORD.prune }), 'DK_CORRUPT_RECORD'],
    ['of an unknown codec', (store) => forge(store, bytes, { codec: 4 }), 'DK_CORRUPT_RECORD'],
    ['that do not decode', (store) => forge(store, bytes, { codec: CODEC.zstd }), 'DK_CORRUPT_RECORD'],
    ['of nothing', (store) => forge(store, Buffer.alloc(0)), 'DK_CORRUPT_RECORD'],
    ['with a depth and no context', (store) => forge(store, bytes, { depth: 3 }), 'DK_CORRUPT_RECORD'],
    ['with a depth beyond all', (store) => forge(store, bytes, { depth: 65 }), 'DK_CORRUPT_RECORD'],
    ['with a checksum that differs', (store) => flip(forge(store, bytes)), 'DK_CORRUPT_RECORD'],
    ['that are cut', (store) => forge(store, bytes).subarray(0, 500), 'DK_CORRUPT_RECORD'],
    ['that say they are longer', (store) => forge(store, bytes, { decodedBytes: 3000 }), 'DK_CORRUPT_RECORD'],
    [
      'with a context that is not there',
      (store) => forge(store, bytes, { codec: CODEC.zstdContext, depth: 1, context: [slice(noise(32, 8), 0, 10)] }),
      'DK_CORRUPT_RECORD',
    ],
    [
      'with a context of zeros',
      (store) => forge(store, bytes, { codec: CODEC.zstdContext, depth: 1, context: [slice(null, 0, 10)] }),
      'DK_CORRUPT_RECORD',
    ],
  ])('%s', async (_, make, code) => {
    const store = await fixture.open();
    await commitFiles(store, { own: noise(100, 3) });
    const good = forge(store, noise(700, 6));
    const exchange = exchangeOf(store);
    expect(await codeOf(() => exchange.keepBlobs([good, make(store)]))).toBe(code);
    expect(await exchange.has([store.engine.digest(store.hashAlgo, noise(700, 6))])).toEqual([false]);
    await exchange.keepBlobs([good, good]);
    expect((await store.verify()).damage).toEqual([]);
    await commitFiles(store, { more: noise(100, 4) });
  });

  it('whose context ends outside its blob, or whose depth is not that of the context', async () => {
    const store = await fixture.open();
    await commitFiles(store, { own: noise(100, 3) });
    const [digest] = (await digestsOf(store, 1)) as [Digest];
    const record = (extent: Extent, depth: number): Buffer =>
      forge(store, bytes, { codec: CODEC.zstdContext, depth, context: [extent] });
    for (const forged of [record(slice(digest, 50, 51), 1), record(slice(digest, 0, 100), 2)]) {
      expect(await codeOf(() => exchangeOf(store).keepBlobs([forged]))).toBe('DK_CORRUPT_RECORD');
    }
  });
});

function slice(digest: Digest | null, offset: number, length: number): Extent {
  return { digest, offset, length };
}

function flip(record: Buffer): Buffer {
  record[100] = (record[100] as number) ^ 1;
  return record;
}

describe('an exchange', () => {
  it('is not to be had with whole-file snapshots', async () => {
    const store = await openSnapshotStore(fixture.root, { create: true });
    expect(await codeOf(() => exchangeOf(store))).toBe('DK_UNSUPPORTED');
    await store.close();
  });

  it('takes only checkpoints that follow', async () => {
    const store = await fixture.open();
    await commitFiles(store, { own: noise(100, 3) });
    const newest = store.newest;
    expect(newest && (await codeOf(async () => exchangeOf(store).draft(newest)))).toBe('DK_ARGUMENT');
    const next = newest && { ...newest, sequence: 7 };
    const draft = next && exchangeOf(store).draft(next);
    expect(await draft?.commit(await exchangeOf(store).pruneMark())).toBe(true);
    expect(store.newest?.sequence).toBe(7);
    const wrong = next && exchangeOf(store).draft({ ...next, sequence: 8, root: noise(32, 1) });
    expect(await codeOf(async () => wrong?.commit(0))).toBe('DK_DIGEST_MISMATCH');
    await store.close();
    const again = await fixture.open();
    expect(again.newest?.sequence).toBe(7);
    expect((await again.verify()).damage).toEqual([]);
  });
});
