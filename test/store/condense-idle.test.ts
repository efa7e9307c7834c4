/** What a condense looks at where there is nothing to do, or nobody wants it any more. */
import { afterEach, expect, it } from 'vitest';
import { Meta } from '../../src/store/meta.js';
import type { Store } from '../../src/store/store.js';
import { codeOf, commitFiles, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const { range } = Meta.prototype;
afterEach(() => {
  Meta.prototype.range = range;
});

async function filled(): Promise<Store> {
  const store = await fixture.open();
  for (let round = 0; round < 5; round += 1) {
    const files = Array.from(
      { length: 500 },
      (_, at) => [`f${round}-${at}`, noise(40, round * 1000 + at + 1)] as const,
    );
    await commitFiles(store, Object.fromEntries(files));
  }
  return store;
}

/** Keys of the index that are read from here on. */
function keysRead(): () => number {
  let keys = 0;
  Meta.prototype.range = async function* (this: Meta, ...given: Parameters<Meta['range']>) {
    for await (const entries of range.apply(this, given)) {
      keys += entries.length;
      yield entries;
    }
  };
  return () => keys;
}

it('does not walk over the index when no pack is long enough', async () => {
  const store = await filled();
  const read = keysRead();
  expect(await store.condense({ packBytesMin: 4 << 20 })).toMatchObject({ considered: 0, packs: 0 });
  expect(read()).toBe(0);
});

it('hears that it is not wanted any more before and while it walks over the index', async () => {
  const store = await filled();
  const read = keysRead();
  expect(await codeOf(() => store.condense({ signal: AbortSignal.abort() }))).toBe('DK_ABORTED');
  expect(read()).toBe(0);
  const stop = new AbortController();
  Meta.prototype.range = async function* (this: Meta, ...given: Parameters<Meta['range']>) {
    for await (const entries of range.apply(this, given)) {
      yield entries;
      stop.abort();
    }
  };
  expect(await codeOf(() => store.condense({ signal: stop.signal }))).toBe('DK_ABORTED');
  expect(await codeOf(() => store.prune({ keepLast: 2 }, { signal: AbortSignal.abort() }))).toBe('DK_ABORTED');
  Meta.prototype.range = range;
  expect((await store.verify()).damage).toEqual([]);
});
