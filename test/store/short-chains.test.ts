/** Short blobs are read with their chains in one crossing; whatever is odd about one is told as if it had been read link by link. */
import { open, readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { type Digest, encodeRecord, RECORD } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { keepShortChain, SHORT_BYTES, type ShortChain } from './short-chain.js';
import { noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const LINKS = 8;
/** The twin reads link by link. */
const NATIVE = loadEngine().info.kind === 'native';

/** Which way blobs were read: `chain` or `lost` in one crossing or in vain, `runs` for each read of records. */
type Ways = ('chain' | 'lost' | 'runs')[];

function notingEngine(ways: Ways): Engine {
  return new Proxy(loadEngine(), {
    get(target, key) {
      if (key === 'readChain') {
        return async (...given: Parameters<Engine['readChain']>) => {
          const got = await target.readChain(...given);
          ways.push(got === null ? 'lost' : 'chain');
          return got;
        };
      }
      if (key === 'readRuns') {
        return async (...given: Parameters<Engine['readRuns']>) => {
          ways.push('runs');
          return target.readRuns(...given);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function read(store: Store, { digests, contents }: ShortChain, link: number): Promise<void> {
  const [got] = await store.readBlobs([digests[link] as Digest]);
  expect(Buffer.isBuffer(got) && got.equals(contents[link] as Buffer), `link ${link}`).toBe(true);
}

it('takes one crossing for the newest of a chain, and for what stands alone', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  const kept = await keepShortChain(store, LINKS);
  ways.length = 0;
  await read(store, kept, LINKS - 1);
  await read(store, kept, 0);
  if (NATIVE) expect(ways).toEqual(['chain', 'chain']);
  else expect(ways).toEqual(['lost', 'runs', 'lost', 'runs']);
});

it('reads what stands further apart link by link', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  const kept = await keepShortChain(store, LINKS, { between: 100_000 });
  ways.length = 0;
  await read(store, kept, LINKS - 1);
  expect(ways[0]).toBe('lost');
  expect(ways.filter((way) => way === 'runs')).toHaveLength(LINKS);
});

it('reads nothing of an encrypted store in this way', async () => {
  const ways: Ways = [];
  const key = { passphrase: 'a passphrase of a test', cost: 12 };
  const store = await fixture.open({ engine: notingEngine(ways), encrypt: true, key });
  const kept = await keepShortChain(store, LINKS);
  ways.length = 0;
  await read(store, kept, LINKS - 1);
  expect(ways).not.toContain('chain');
  expect(ways).not.toContain('lost');
});

it('takes a blob that looks like a link of a chain for what it is', async () => {
  const ways: Ways = [];
  const engine = loadEngine();
  // The bytes of a record, whole by its checksum, that says of other bytes that they are the first link. It does not get
  // smaller, so that it stands in the pack as it is, before the first link.
  const lie = encodeRecord(
    {
      kind: RECORD.blob,
      codec: 0,
      depth: 0,
      digest: engine.digest('blake3', noise(SHORT_BYTES, 1)),
      decodedBytes: SHORT_BYTES,
      contextList: Buffer.alloc(0),
      payload: noise(SHORT_BYTES, 77),
    },
    (bytes) => engine.xxh3(bytes),
  );
  const store = await fixture.open({ engine: notingEngine(ways) });
  const kept = await keepShortChain(store, LINKS, { before: lie });
  expect((await readFile(fixture.pack(1))).includes(lie)).toBe(true);
  ways.length = 0;
  for (let link = 0; link < LINKS; link += 1) await read(store, kept, link);
  // The first link is found by the index; of the others that one is looked for.
  expect(ways.filter((way) => way === 'chain')).toHaveLength(NATIVE ? 1 : 0);
  expect(ways.filter((way) => way === 'lost')).toHaveLength(NATIVE ? LINKS - 1 : LINKS);
});

it('names the link that is damaged, and gives all that does not stand on it', async () => {
  const store = await fixture.open();
  const kept = await keepShortChain(store, LINKS);
  await flipRecord(fixture.pack(1), RECORD.blob, 5);
  for (let link = 0; link < 4; link += 1) await read(store, kept, link);
  for (let link = 4; link < LINKS; link += 1) {
    const [lost] = await store.readBlobs([kept.digests[link] as Digest]);
    expect(lost).toMatchObject({ code: 'DK_CORRUPT_RECORD', facts: { path: fixture.pack(1) } });
  }
});

it('tells of a pack that ends early what it tells of any other', async () => {
  const store = await fixture.open();
  const kept = await keepShortChain(store, LINKS);
  const handle = await open(fixture.pack(1), 'r+');
  await handle.truncate(100);
  await handle.close();
  const [lost] = await store.readBlobs([kept.digests[LINKS - 1] as Digest]);
  expect(lost).toMatchObject({ code: 'DK_CORRUPT_RECORD' });
});

it('looks everything up in the index for a verify', async () => {
  const ways: Ways = [];
  const store = await fixture.open({ engine: notingEngine(ways) });
  await keepShortChain(store, LINKS);
  ways.length = 0;
  expect((await store.verify()).damage).toEqual([]);
  expect(ways).not.toContain('chain');
});
