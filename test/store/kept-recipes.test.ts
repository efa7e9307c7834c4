/** Recipes of files that change again and again: each is what the next one is made of. */
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { Digest, Extent } from '../../src/format/format.js';
import { ContextReader } from '../../src/store/context-reader.js';
import { engines } from './keepings.js';
import { noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

const digestOf = (seed: number): Digest => noise(32, seed);
const whole = (seed: number): Extent => ({ digest: digestOf(seed), offset: 0, length: 5000 });

function readerAt() {
  let nowMs = 1000;
  const asked: number[] = [];
  const clock = { nowMs: () => nowMs, steadyMs: () => nowMs };
  const reader = new ContextReader(
    {
      infos: async () => [],
      read: async (digests) => {
        asked.push(digests.length);
        return digests.map((digest) => (digest.equals(digestOf(99)) ? new Error('gone') : noise(5000, digest[0] ?? 0)));
      },
      readDemands: async () => {},
    },
    clock,
  );
  const keep = (seed: number, before?: number): void =>
    reader.keepStored({ kind: 'recipe', bytes: noise(300, seed) }, digestOf(seed), before ? [whole(before)] : []);
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { reader, asked, keep, pass };
}

describe('recipes that are wanted again', () => {
  it('are read twice and then kept for some seconds; what cannot be read is not', async () => {
    const { reader, asked, pass } = readerAt();
    for (let time = 0; time < 5; time += 1) {
      const [one, other] = await reader.recipes([digestOf(1), digestOf(2)]);
      expect([one, other]).toEqual([noise(5000, digestOf(1)[0] ?? 0), noise(5000, digestOf(2)[0] ?? 0)]);
    }
    expect(asked).toEqual([2, 2]);
    const [lost, kept] = await reader.recipes([digestOf(99), digestOf(2)]);
    expect([String(lost), kept]).toEqual(['Error: gone', noise(5000, digestOf(2)[0] ?? 0)]);
    for (let time = 0; time < 3; time += 1) await reader.recipes([digestOf(99)]);
    expect(asked).toEqual([2, 2, 1, 1, 1, 1]);
    pass(10_001);
    for (let time = 0; time < 3; time += 1) await reader.recipes([digestOf(2)]);
    expect(asked).toEqual([2, 2, 1, 1, 1, 1, 1]);
  });

  it('are kept from when they are stored, for as long as those that they were coded against', async () => {
    const { reader, asked, keep, pass } = readerAt();
    keep(1);
    pass(6000);
    keep(2, 1);
    keep(3);
    expect(await reader.recipes([digestOf(2), digestOf(3)])).toEqual([noise(300, 2), noise(300, 3)]);
    expect(asked).toEqual([]);
    pass(4001);
    // What stands on the disk below the second one may be damaged by now.
    expect(await reader.recipes([digestOf(2)])).toEqual([noise(5000, digestOf(2)[0] ?? 0)]);
    expect(await reader.recipes([digestOf(3)])).toEqual([noise(300, 3)]);
    expect(asked).toEqual([1]);
    reader.clear();
    await reader.recipes([digestOf(3)]);
    expect(asked).toEqual([1, 1]);
  });

  it('are not kept when what they were coded against is gone: it may have been kept itself', async () => {
    const { reader, asked, keep, pass } = readerAt();
    keep(1);
    pass(10_001);
    keep(2, 1);
    keep(3, 55);
    await reader.recipes([digestOf(2), digestOf(3)]);
    expect(asked).toEqual([2]);
  });
});

/** The engine, with its decodes and the records that it reads counted. */
function counting(real: Engine, tally: { calls: number }): Engine {
  return {
    ...real,
    decodeSlices: (batch) => {
      tally.calls += 1;
      return real.decodeSlices(batch);
    },
    readRuns: (...words) => {
      tally.calls += 1;
      return real.readRuns(...words);
    },
    readChain: (...words) => {
      tally.calls += 1;
      return real.readChain(...words);
    },
  };
}

describe.each(engines())('recipes (%s)', (_, real) => {
  it('that were just stored are not read for the next version', async () => {
    const tally = { calls: 0 };
    const store = await fixture.open({ engine: counting(real, tally) });
    const blobs = Array.from({ length: 40 }, (__, i) => noise(4096, i + 1));
    const first = store.begin();
    const digests = await first.storeBlobs(blobs.map((bytes) => ({ bytes, kind: 'blob' })));
    await first.commit();
    const extents = (turn: number): Extent[] =>
      digests.map((digest, i) => ({ digest: i === turn ? null : digest, offset: 0, length: 4096 }));
    const counts: number[] = [];
    for (let turn = 0; turn < 6; turn += 1) {
      const [source] = await store.heads(['file']);
      const transaction = store.begin();
      tally.calls = 0;
      if (source) expect(await store.reader(source).extents(4096 * 7, 4096)).toEqual([extents(0)[7]]);
      const digest = real.digest(store.hashAlgo, Buffer.of(turn));
      await putExtents(transaction, 'file', { extents: extents(turn), digest, ...(source && { source }) });
      counts.push(tally.calls);
      await transaction.commit();
    }
    // The very first one stands alone, and may not be wanted any more.
    expect(counts[1]).toBeGreaterThan(0);
    // On a machine that stands still for a while one may have to be read again.
    expect(Math.min(...counts.slice(2))).toBe(0);
  });
});
