/** Several blobs are read together with their chains by the engine; what is odd about one is told as if it had been read alone. */
import { open } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { type Digest, RECORD } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const BLOBS = 6;
const VERSIONS = 5;
const BYTES = 3000;
/** The twin reads link by link. */
const NATIVE = loadEngine().info.kind === 'native';

/** What the engine was asked for: `follow` and `decode`, or `runs` for each read of records. */
type Ways = ('follow' | 'decode' | 'runs')[];
const NAMES = { followChains: 'follow', decodeChains: 'decode', readRuns: 'runs' } as const;

function notingEngine(ways: Ways): Engine {
  return new Proxy(loadEngine(), {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const name = (NAMES as Partial<Record<string | symbol, Ways[number]>>)[key];
      return (...given: unknown[]) => {
        if (name) ways.push(name);
        return value.apply(target, given);
      };
    },
  });
}

interface Kept {
  /** Of each blob the newest version. */
  readonly contents: Buffer[];
  readonly digests: Digest[];
}

/** Commits blobs, and versions of each, coded against the one before. @param between bytes of others in front of each version */
async function keepVersions(store: Store, between = 0): Promise<Kept> {
  const contents = Array.from({ length: BLOBS }, (_, blob) => noise(BYTES, 1 + blob));
  const digests: Digest[] = [];
  for (let version = 0; version < VERSIONS; version += 1) {
    const transaction = store.begin();
    if (between > 0) await transaction.storeBlobs([{ bytes: noise(between, 100 + version), kind: 'blob' }]);
    for (let blob = 0; blob < BLOBS; blob += 1) {
      const below = contents[blob] as Buffer;
      const bytes = Buffer.from(below);
      if (version > 0) noise(20, 50 + version + blob).copy(bytes, 100 * version);
      const extents = [{ digest: digests[blob] as Digest, offset: 0, length: BYTES }];
      const context = version > 0 && { bytes: below, extents, aligned: false };
      const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob', ...(context && { context }) }]);
      await putExtents(transaction, `f-${blob}`, {
        extents: [{ digest: digest as Digest, offset: 0, length: BYTES }],
        digest: digest as Digest,
      });
      digests[blob] = digest as Digest;
      contents[blob] = bytes;
    }
    await transaction.commit();
  }
  return { contents, digests };
}

/** Reads all blobs at once; those that cannot be read are told. */
async function readAll(store: Store, { contents, digests }: Kept): Promise<(string | undefined)[]> {
  const all = await store.readBlobs(digests);
  return all.map((got, blob) => {
    if (got instanceof Error) return (got as Error & { code?: string }).code;
    expect(got.equals(contents[blob] as Buffer), `blob ${blob}`).toBe(true);
    return undefined;
  });
}

it('takes two crossings for the newest of several chains', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  const kept = await keepVersions(store);
  expect((await store.stats()).depths).toHaveLength(VERSIONS);
  ways.length = 0;
  expect(await readAll(store, kept)).toEqual(Array(BLOBS).fill(undefined));
  if (NATIVE) expect(ways).toEqual(['follow', 'decode']);
  else expect(ways.slice(0, 2)).toEqual(['follow', 'decode']);
});

it('asks the index for what stands further apart', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  const kept = await keepVersions(store, 1 << 20);
  const { digests } = kept;
  ways.length = 0;
  // One that is asked for twice comes twice.
  const twice = {
    contents: [...kept.contents, kept.contents[0] as Buffer],
    digests: [...digests, digests[0] as Digest],
  };
  expect(await readAll(store, twice)).toEqual(Array(BLOBS + 1).fill(undefined));
  if (!NATIVE) return;
  expect(ways).not.toContain('runs');
  expect(ways.filter((way) => way === 'follow').length).toBeGreaterThan(1);
});

it('names the link that is damaged, and gives all that does not stand on it', async () => {
  const store = await fixture.open();
  const kept = await keepVersions(store);
  // The second version of the third blob: they are counted from 1.
  await flipRecord(fixture.pack(1), RECORD.blob, BLOBS + 3);
  const [lost] = await store.readBlobs([...kept.digests].slice(2));
  expect(lost).toMatchObject({ code: 'DK_CORRUPT_RECORD', facts: { path: fixture.pack(1) } });
  const expected = Array(BLOBS).fill(undefined);
  expected[2] = 'DK_CORRUPT_RECORD';
  expect(await readAll(store, kept)).toEqual(expected);
});

it('tells of a pack that ends early what it tells of any other', async () => {
  const store = await fixture.open();
  const kept = await keepVersions(store);
  const handle = await open(fixture.pack(1), 'r+');
  await handle.truncate(100);
  await handle.close();
  expect(await readAll(store, kept)).toEqual(Array(BLOBS).fill('DK_CORRUPT_RECORD'));
});

it('reads nothing of an encrypted store in this way', async () => {
  const ways: Ways = [];
  const key = { passphrase: 'a passphrase of a test', cost: 12 };
  const store = await fixture.open({ engine: notingEngine(ways), encrypt: true, key });
  const kept = await keepVersions(store);
  expect(await readAll(store, kept)).toEqual(Array(BLOBS).fill(undefined));
  expect(ways).not.toContain('decode');
});

it('looks everything up in the index for a verify', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  await keepVersions(store);
  ways.length = 0;
  expect((await store.verify()).damage).toEqual([]);
  expect(ways).not.toContain('decode');
});
