/** Reading dense packs: no more groups than needed are opened, each once, and what the engine does not read is read step by step. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Digest } from '../../src/format/format.js';
import { condense, openStore, type Store } from '../../src/store/store.js';
import { everything, textOf, writeHistory } from './condensed-store.js';
import { codeOf, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const { denseGroupBytes } = LIMITS;
const VERSIONS = 60;

beforeAll(() => {
  (LIMITS as { denseGroupBytes: number }).denseGroupBytes = 16 << 10;
});
afterAll(() => {
  (LIMITS as { denseGroupBytes: number }).denseGroupBytes = denseGroupBytes;
});

interface Notes {
  /** Where the plain bytes of each group begin that was asked for. */
  readonly groups: number[];
  decoded: number;
}

/** @param gives whether it opens groups */
function notingEngine(notes: Notes, gives = true): Engine {
  return new Proxy(loadEngine(), {
    get(target, key) {
      if (key === 'openGroup') {
        return async (...[fd, group, ...how]: Parameters<Engine['openGroup']>) => {
          notes.groups.push(group.offset);
          return gives ? target.openGroup(fd, group, ...how) : null;
        };
      }
      if (key === 'decodeSlices') {
        return (...given: Parameters<Engine['decodeSlices']>) => {
          notes.decoded += 1;
          return target.decodeSlices(...given);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The engine, but for how it opens groups. */
function openingBy(engine: Engine, openGroup: Engine['openGroup']): Engine {
  return new Proxy(engine, {
    get(target, key) {
      const value: unknown = key === 'openGroup' ? openGroup : Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A condensed store, opened anew with this engine. */
async function condensed(engine: Engine): Promise<Store> {
  const store = await fixture.open();
  await writeHistory(store, 1, VERSIONS);
  expect((await condense(store)).packs).toBe(1);
  await store.close();
  return openStore(fixture.root, { engine });
}

it('opens the group of a past version, and none for what has not changed since', async () => {
  const notes: Notes = { groups: [], decoded: 0 };
  const store = await condensed(notingEngine(notes));
  try {
    notes.groups.length = 0;
    const found = new Map<string, Digest>();
    // Both of "a" changed at this checkpoint; what stays is of the second one.
    for await (const batch of store.entries({ at: 43, under: ['a', 'stays'] })) {
      for (const { path, digest } of batch) found.set(path, digest as Digest);
    }
    expect([...found.keys()].sort()).toEqual(['a/each', 'a/some', 'stays']);
    expect(notes.groups).toHaveLength(1);
    // The contents stand in the same group, and are not decoded once they are out of it.
    notes.decoded = 0;
    expect(await store.readBlobs([found.get('a/each') as Digest])).toEqual([textOf(43, 'each')]);
    expect(notes.groups).toHaveLength(1);
    expect(notes.decoded).toBe(0);
  } finally {
    await store.close();
  }
});

it('reads the same step by step', async () => {
  const notes: Notes = { groups: [], decoded: 0 };
  const store = await condensed(notingEngine(notes, false));
  try {
    const all = await everything(store);
    expect(all.get(`a/each@${VERSIONS}`)).toBe(
      store.engine.digest(store.hashAlgo, textOf(VERSIONS, 'each')).toString('hex'),
    );
    expect(notes.groups.length).toBeGreaterThan(5);
    await store.close();
    const quick = await openStore(fixture.root, { engine: loadEngine() });
    expect(await everything(quick)).toEqual(all);
    await quick.close();
  } finally {
    await store.close();
  }
});

it('takes a group for lost that turns out to be damaged behind what was looked at first', async () => {
  const notes: Notes = { groups: [], decoded: 0 };
  let fetched = 0;
  const fetch = async () => {
    fetched += 1;
    return false;
  };
  const engine = notingEngine(notes);
  const store = await condensed(
    openingBy(engine, async (...given) => {
      await engine.openGroup(...given);
      return { copy: () => false, fetch };
    }),
  );
  try {
    notes.groups.length = 0;
    fetched = 0;
    const { damage } = await store.verify();
    expect(damage.length).toBeGreaterThan(0);
    for (let at = 10; at < 30; at += 1) {
      const codes = codeOf(async () => {
        for await (const _ of store.entries({ at, under: ['a/each'] }));
      });
      expect(await codes).toBe('DK_CORRUPT_RECORD');
    }
    // It is not tried again for each of its records.
    expect(fetched).toBeGreaterThan(0);
    expect(fetched).toBeLessThanOrEqual(notes.groups.length);
  } finally {
    await store.close();
  }
});

it('decodes a group for all who wait for it, not for each of them', async () => {
  const { denseGroupBytes: before } = LIMITS;
  (LIMITS as { denseGroupBytes: number }).denseGroupBytes = denseGroupBytes;
  let fetches = 0;
  let running = 0;
  let most = 0;
  const inner = loadEngine();
  const engine = openingBy(inner, async (...given) => {
    const opened = await inner.openGroup(...given);
    if (!opened) return null;
    const fetch = async (from: number, length: number) => {
      fetches += 1;
      running += 1;
      most = Math.max(most, running);
      return opened.fetch(from, length).finally(() => {
        running -= 1;
      });
    };
    return { copy: opened.copy, fetch };
  });
  try {
    // Found by a store of its own: the walk makes a short group ready as it goes.
    const walked = await condensed(inner);
    const digests: Digest[] = [];
    for await (const { version } of walked.versions('a/each')) digests.push(version.digest as Digest);
    await walked.close();
    const store = await openStore(fixture.root, { engine });
    await Promise.all(
      digests.map(async (digest) => {
        const [bytes] = await store.readBlobs([digest]);
        expect(store.engine.digest(store.hashAlgo, bytes as Buffer)).toEqual(digest);
      }),
    );
    expect(most).toBeLessThanOrEqual(1);
    expect(fetches).toBeLessThan(8);
    await store.close();
  } finally {
    (LIMITS as { denseGroupBytes: number }).denseGroupBytes = before;
  }
});
