/** Large files are read past the page cache: long reads in whole pages, and the same bytes come out of them. */
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { type Extent, RECORD_MIN_BYTES, type Version } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { codeOf, noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const PAGE = 4096;
const BLOB_BYTES = 250_000;
const LONG_BYTES = 256 << 10;
const BLOBS = 12;
const BLOB_KIND = 1;
const LARGE_BYTES = 130 << 20;
const KEY = { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'k') } };

interface Seen {
  readonly runs: Float64Array;
  readonly direct: boolean | undefined;
}

/** Notes the reads of packs; those that go past the page cache may fail. */
function watchingEngine(seen: Seen[], trouble: { status: number }): Engine {
  return new Proxy(loadEngine(), {
    get(target, key) {
      if (key === 'readRuns') {
        return async (...given: Parameters<Engine['readRuns']>) => {
          const [, runs, , direct] = given;
          seen.push({ runs, direct });
          const done = await target.readRuns(...given);
          return direct && trouble.status < 0 ? done.fill(trouble.status) : done;
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Blobs of two symbols in three, as they compress, and zeros up to the length of the file. */
async function keepBlobs(store: Store, bytes: number): Promise<{ version: Version; content: Buffer }> {
  const transaction = store.begin();
  const blobs = Array.from({ length: BLOBS }, (_, index) =>
    noise(BLOB_BYTES + index, index + 1).map((byte) => byte & 15),
  );
  const inputs = blobs.map((blob) => ({ bytes: Buffer.from(blob), kind: 'blob' as const }));
  const digests = await transaction.storeBlobs(inputs);
  const extents: Extent[] = inputs.map(({ bytes: blob }, index) => {
    return { digest: digests[index] as Buffer, offset: 0, length: blob.length };
  });
  const content = Buffer.concat(inputs.map(({ bytes: blob }) => blob));
  extents.push({ digest: null, offset: 0, length: bytes - content.length });
  const digest = store.engine.digest(store.hashAlgo, Buffer.concat([content, Buffer.alloc(bytes - content.length)]));
  await putExtents(transaction, 'f', { extents, digest });
  await transaction.commit();
  return { version: (await store.heads(['f']))[0] as Version, content };
}

async function readLoosely(store: Store, version: Version, length: number): Promise<Buffer> {
  return store.reader(version).readLoosely(0, length, Buffer.alloc(length));
}

describe('reads past the page cache', () => {
  it.each([
    ['a large file', LARGE_BYTES, {}, true],
    ['a large file of an encrypted store', LARGE_BYTES, KEY, true],
    ['a shorter file', 20 << 20, {}, false],
  ])('%s', async (_, bytes, options, direct) => {
    const seen: Seen[] = [];
    const store = await fixture.open({ ...options, engine: watchingEngine(seen, { status: 0 }) });
    const { version, content } = await keepBlobs(store, bytes);
    seen.length = 0;
    expect((await readLoosely(store, version, content.length)).equals(content)).toBe(true);
    // Of the recipe a shorter one, which an encrypted store reads in the same way.
    const long = seen.filter(({ runs }) => (runs[1] as number) >= LONG_BYTES);
    expect(long.length).toBeGreaterThan(0);
    for (const read of long) {
      expect(read.direct).toBe(direct);
      if (direct) expect(read.runs.every((number) => number % PAGE === 0)).toBe(true);
    }
  });

  it('tells what is damaged as ever', async () => {
    const store = await fixture.open();
    const { version, content } = await keepBlobs(store, LARGE_BYTES);
    await flipRecord(fixture.pack(1), BLOB_KIND, 5);
    expect(await codeOf(() => readLoosely(store, version, content.length))).toBe('DK_CORRUPT_RECORD');
  });

  it('reads records alone that the disk does not give together', async () => {
    const seen: Seen[] = [];
    const trouble = { status: 0 };
    const store = await fixture.open({ engine: watchingEngine(seen, trouble) });
    const { version, content } = await keepBlobs(store, LARGE_BYTES);
    trouble.status = -5;
    expect((await readLoosely(store, version, content.length)).equals(content)).toBe(true);
  });

  it('needs a long read', async () => {
    const seen: Seen[] = [];
    const store = await fixture.open({ engine: watchingEngine(seen, { status: 0 }) });
    const { version } = await keepBlobs(store, LARGE_BYTES);
    seen.length = 0;
    await readLoosely(store, version, 10 * RECORD_MIN_BYTES);
    expect(seen.map(({ direct }) => direct)).toEqual([false]);
  });
});
