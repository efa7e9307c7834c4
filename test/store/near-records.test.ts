/** Chains of short deltas: their records are read together, and what is wrong with one is told as ever. */
import { expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Digest } from '../../src/format/format.js';
import { flipRecord } from './flip-record.js';
import { keepShortChain } from './short-chain.js';
import { StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
/** Coded against others. */
const LINKS = 10;
const BLOB_KIND = 1;

/** An engine that counts its reads of packs, and reads no chain at once. */
function countingEngine(reads: Float64Array[], limits: { longest: number }): Engine {
  return new Proxy(loadEngine(), {
    get(target, key) {
      if (key === 'readChain') return async () => null;
      if (key === 'readRuns') {
        return async (fd: number, runs: Float64Array, into: Uint8Array) => {
          reads.push(runs);
          const done = await target.readRuns(fd, runs, into);
          return done.map((got, run) => ((runs[2 * run + 1] as number) > limits.longest ? -5 : got));
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

it('takes one read where the links stand near each other', async () => {
  const reads: Float64Array[] = [];
  const store = await fixture.open({ engine: countingEngine(reads, { longest: Number.MAX_SAFE_INTEGER }) });
  const { contents, digests } = await keepShortChain(store, LINKS + 1);
  expect((await store.blobInfos([digests[LINKS] as Digest]))[0]?.depth).toBe(LINKS);
  reads.length = 0;
  expect(await store.readBlobs([digests[LINKS] as Digest])).toEqual([contents[LINKS]]);
  expect(reads).toHaveLength(1);
});

it('takes a read for each link that stands elsewhere', async () => {
  const reads: Float64Array[] = [];
  const store = await fixture.open({ engine: countingEngine(reads, { longest: Number.MAX_SAFE_INTEGER }) });
  const { contents, digests } = await keepShortChain(store, LINKS + 1, { between: 100_000 });
  reads.length = 0;
  expect(await store.readBlobs([digests[LINKS] as Digest])).toEqual([contents[LINKS]]);
  expect(reads).toHaveLength(LINKS + 1);
});

it('reads the links alone when the disk does not give what stands before them', async () => {
  const reads: Float64Array[] = [];
  const limits = { longest: Number.MAX_SAFE_INTEGER };
  const store = await fixture.open({ engine: countingEngine(reads, limits) });
  const { contents, digests } = await keepShortChain(store, LINKS + 1);
  limits.longest = 3500;
  reads.length = 0;
  expect(await store.readBlobs([digests[LINKS] as Digest])).toEqual([contents[LINKS]]);
  // The window is tried once.
  expect(reads).toHaveLength(LINKS + 2);
});

it('names the link that is damaged, and its pack', async () => {
  const store = await fixture.open();
  const { digests } = await keepShortChain(store, LINKS + 1);
  await flipRecord(fixture.pack(1), BLOB_KIND, 5);
  const [lost] = await store.readBlobs([digests[LINKS] as Digest]);
  expect(lost).toMatchObject({ code: 'DK_CORRUPT_RECORD', facts: { path: fixture.pack(1) } });
  const [found] = await store.readBlobs([digests[3] as Digest]);
  expect(Buffer.isBuffer(found)).toBe(true);
});
