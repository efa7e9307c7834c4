/** Blobs that captures want pages of again and again. */
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { ContextCache } from '../../src/store/context-cache.js';
import { engines } from './keepings.js';
import { commitFiles, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const MEGABYTE = 1 << 20;

function cacheAt(): { readonly cache: ContextCache; pass(ms: number): void } {
  let nowMs = 1000;
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { cache: new ContextCache({ nowMs: () => nowMs, steadyMs: () => nowMs }), pass };
}

describe('blobs that are wanted again', () => {
  it('are those that were wanted shortly before', () => {
    const { cache, pass } = cacheAt();
    expect(cache.again('a')).toBe(false);
    expect(cache.again('a')).toBe(true);
    pass(11_000);
    expect(cache.again('a')).toBe(false);
    for (let i = 0; i < 5000; i += 1) cache.again(`b${i}`);
    expect(cache.again('a')).toBe(false);
  });

  it('are kept for some seconds, and as there is room; then they are read again', () => {
    const { cache, pass } = cacheAt();
    const lengths = [100, ...Array<number>(70).fill(MEGABYTE)];
    const fitting = cache.fitting(lengths, (length) => length);
    expect(fitting).toEqual(Array<number>(64).fill(MEGABYTE));
    const bytes = noise(MEGABYTE, 1);
    for (let i = 0; i < 70; i += 1) cache.keep(`${i}`, bytes);
    expect(cache.bytes).toBe(LIMITS.contextCacheBytes);
    bytes.fill(0);
    expect(cache.get('0')?.equals(noise(MEGABYTE, 1))).toBe(true);
    pass(6000);
    expect(cache.get('1')?.length).toBe(MEGABYTE);
    expect(cache.fitting([MEGABYTE], (length) => length)).toEqual([]);
    pass(6000);
    // However often it was wanted: what stands on the disk may be damaged since.
    expect(cache.get('1')).toBeUndefined();
    expect(cache.again('1')).toBe(true);
    expect(cache.fitting([MEGABYTE], (length) => length)).toEqual([MEGABYTE]);
    expect([cache.bytes, cache.get('0')]).toEqual([0, undefined]);
    cache.keep('1', noise(MEGABYTE, 1));
    cache.clear();
    expect([cache.bytes, cache.get('1')]).toEqual([0, undefined]);
  });

  it('make room for new ones when their time is over; short ones are not kept at all', () => {
    const { cache, pass } = cacheAt();
    cache.keep('short', noise(100, 1));
    expect([cache.bytes, cache.get('short')]).toEqual([0, undefined]);
    for (let i = 0; i < 64; i += 1) cache.keep(`${i}`, noise(MEGABYTE, 1));
    cache.keep('late', noise(MEGABYTE, 2));
    expect([cache.bytes, cache.get('late')]).toEqual([LIMITS.contextCacheBytes, undefined]);
    pass(11_000);
    cache.keep('late', noise(MEGABYTE, 2));
    expect([cache.bytes, cache.get('late')?.equals(noise(MEGABYTE, 2))]).toEqual([MEGABYTE, true]);
    cache.clear();
  });
});

/** The engine, with its decodes counted. */
function counting(real: Engine, tally: { decoded: number }): Engine {
  return {
    ...real,
    decodeSlices: (batch) => {
      tally.decoded += 1;
      return real.decodeSlices(batch);
    },
  };
}

describe.each(engines())('older bytes (%s)', (_, real) => {
  it('are decoded no more when they are wanted again and again, and are the same', async () => {
    const tally = { decoded: 0 };
    const store = await fixture.open({ engine: counting(real, tally) });
    const file = noise(MEGABYTE, 1);
    const small = noise(1000, 2);
    await commitFiles(store, { file, small });
    const wanted = async (name: string, bytes: Buffer, at: number): Promise<number> => {
      tally.decoded = 0;
      const [head] = await store.heads([name]);
      const ranges = Float64Array.of(at, 100, at + 500, 10);
      const read = head && (await store.reader(head).readRanges(ranges));
      expect(read).toEqual(Buffer.concat([bytes.subarray(at, at + 100), bytes.subarray(at + 500, at + 510)]));
      return tally.decoded;
    };
    expect(await wanted('file', file, 5000)).toBe(1);
    expect(await wanted('file', file, 70_000)).toBe(1);
    for (const at of [0, 5000, 900_000]) expect(await wanted('file', file, at)).toBe(0);
    for (const at of [0, 10, 20]) expect(await wanted('small', small, at)).toBeGreaterThan(0);
  });

  it('that were just coded against others are not decoded for what comes next', async () => {
    const tally = { decoded: 0 };
    const store = await fixture.open({ engine: counting(real, tally) });
    const older = noise(MEGABYTE / 2, 3);
    await commitFiles(store, { file: older });
    const [head] = await store.heads(['file']);
    const newer = Buffer.from(older);
    newer[1000] = (newer[1000] ?? 0) ^ 1;
    const transaction = store.begin();
    const extents = (await (head && store.reader(head))?.extents(0, older.length)) ?? [];
    const context = { bytes: older, extents, aligned: true };
    const [digest] = await transaction.storeBlobs([{ bytes: newer, kind: 'blob', context, keep: true }]);
    await transaction.abort();
    expect(digest).toEqual(store.engine.digest(store.hashAlgo, newer));
    await commitFiles(store, { file: newer });
    const [now] = await store.heads(['file']);
    tally.decoded = 0;
    const read = now && (await store.reader(now).readRanges(Float64Array.of(900, 300)));
    expect(read).toEqual(newer.subarray(900, 1200));
    expect(tally.decoded).toBe(0);
  });
});
