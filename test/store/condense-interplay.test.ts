/** Condensing beside readers, captures and failing calls: nobody is told wrong things, nobody waits for long. */
import { readdir, readlink } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppendFile, type BytePath, DiffKeeperError, LIMITS } from '../../src/core/core.js';
import { Meta, type MetaChange } from '../../src/store/meta.js';
import { CONDENSING_KEY, versionKey } from '../../src/store/meta-keys.js';
import { Packs } from '../../src/store/packs.js';
import { ReadLeases } from '../../src/store/read-leases.js';
import { condense, type Store } from '../../src/store/store.js';
import { everything, writeHistory } from './condensed-store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const { packBytes } = LIMITS;
const kept: (() => void)[] = [];
/** Another method in the place of the real one, until the end of the test. */
function replaceMethod<T extends object, K extends keyof T>(owner: T, name: K, make: (real: T[K]) => T[K]): void {
  const real = owner[name];
  kept.push(() => {
    owner[name] = real;
  });
  owner[name] = make(real);
}
const restore = (): void => {
  for (const undo of kept.splice(0).reverse()) undo();
};

beforeEach(() => {
  Object.assign(LIMITS, { packBytes: 24 << 10 });
});
afterEach(() => {
  restore();
  Object.assign(LIMITS, { packBytes });
});

const metaOf = (store: Store): Meta => (store as unknown as { reading: { meta: Meta } }).reading.meta;
const unfinished = async (): Promise<string[]> =>
  (await readdir(path.join(fixture.root, 'packs'))).filter((name) => name.includes('unfinished'));

/** Once a pack is replaced, the metadata can neither follow nor be made anew. */
function failForGood(): void {
  const fail = async (): Promise<never> => {
    throw new DiffKeeperError('DK_IO', 'not now');
  };
  replaceMethod(
    Packs.prototype,
    'replaced',
    (real) =>
      async function (this: Packs, pack) {
        await real.call(this, pack);
        replaceMethod(Meta.prototype, 'writeInBatches', () => fail);
        replaceMethod(Meta.prototype, 'replace', () => fail);
      },
  );
}

describe('places that are not those of the packs', () => {
  it('of versions of the same path are told, not believed', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 4; version += 1) await commitFiles(store, { same: noise(500, version) });
    const states = await everything(store);
    states.delete('same@1');
    const key = (sequence: number): Buffer => versionKey('same' as BytePath, sequence);
    const meta = metaOf(store);
    await meta.write([{ key: key(2), value: (await meta.get(key(3))) as Buffer }], true);
    const walk = async (): Promise<void> => {
      for await (const _ of store.entries({ at: 2 }));
    };
    expect(await codeOf(walk)).toBe('DK_CORRUPT_INDEX');
    // Nor does a prune write it down as the truth.
    expect(await codeOf(() => store.prune({ keepLast: 3 }))).toBe('DK_CORRUPT_INDEX');
    const checkpoint = Buffer.from('c\0\0\0\0\0\0\0\x02', 'latin1');
    const other = Buffer.from('c\0\0\0\0\0\0\0\x03', 'latin1');
    await meta.write([{ key: checkpoint, value: (await meta.get(other)) as Buffer }], true);
    expect(await codeOf(() => store.changes(2))).toBe('DK_CORRUPT_INDEX');
    expect((await store.changes(3)).map(({ sequence }) => sequence)).toEqual([3]);
    await store.rebuildIndex();
    await store.prune({ keepLast: 3 });
    expect((await store.changes(2)).map(({ sequence }) => sequence)).toEqual([2]);
    expect(await everything(store)).toEqual(states);
  });

  it('are told by a prune that makes one checkpoint of all of them', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 3; version += 1) {
      await commitFiles(store, { one: noise(500, version), other: noise(500, 10 + version) });
    }
    const meta = metaOf(store);
    const key = (path: string, sequence: number): Buffer => versionKey(path as BytePath, sequence);
    const right = (await meta.get(key('one', 3))) as Buffer;
    // An older version of it, and another path of the same record.
    for (const from of [key('one', 1), key('other', 3)]) {
      await meta.write([{ key: key('one', 3), value: (await meta.get(from)) as Buffer }], true);
      expect(await codeOf(() => store.prune({ keepLast: 1 }))).toBe('DK_CORRUPT_INDEX');
    }
    await meta.write([{ key: key('one', 3), value: right }], true);
    await store.prune({ keepLast: 1 });
    expect(await contentOf(store, 'one')).toEqual(noise(500, 3));
    expect(await contentOf(store, 'other')).toEqual(noise(500, 13));
  });

  it('after a replacement that the metadata could not follow: nothing is read until it is opened again', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    failForGood();
    expect(await codeOf(() => condense(store))).toBe('DK_IO');
    expect(store.needsReopen).toBe(true);
    for (const sequence of [20, 60, 119]) {
      const walk = async (): Promise<void> => {
        for await (const _ of store.entries({ at: sequence }));
      };
      expect(await codeOf(walk)).toBe('DK_IO');
      expect(await codeOf(() => store.changes(sequence))).toBe('DK_IO');
    }
    expect(await codeOf(() => store.verify())).toBe('DK_IO');
    restore();
    await store.reopen();
    expect(await everything(store)).toEqual(states);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('may be made anew as well', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    failForGood();
    expect(await codeOf(() => condense(store))).toBe('DK_IO');
    restore();
    await store.rebuildIndex();
    expect(await everything(store)).toEqual(states);
  });
});

describe('a replacement that nobody could look at', () => {
  /** The new pack has the name, and the old one is open still; the metadata cannot be opened at that moment. */
  async function halfReplaced(): Promise<Map<string, string>> {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    const fail = async (): Promise<never> => {
      throw new DiffKeeperError('DK_IO', 'not now');
    };
    replaceMethod(Packs.prototype, 'replaced', () => fail);
    replaceMethod(Packs.prototype, 'forget', () => async () => {});
    replaceMethod(Meta.prototype, 'reopen', () => fail);
    expect(await codeOf(() => condense(store))).toBe('DK_IO');
    restore();
    opened = store;
    return states;
  }
  let opened: Store;

  it.each(['rebuilt', 'repaired', 'opened again'])(
    'is made anew from the packs that have the names now: %s',
    async (how) => {
      const states = await halfReplaced();
      if (how === 'opened again') await opened.reopen();
      else await opened.rebuildIndex({ check: how === 'repaired' });
      expect(await everything(opened)).toEqual(states);
      await commitFiles(opened, { after: noise(300, 1) });
      expect(await contentOf(opened, 'after')).toEqual(noise(300, 1));
      expect((await opened.verify()).damage).toEqual([]);
    },
  );
});

describe('captures', () => {
  it('wait for the records of one pack, not for a walk over the index', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    let replacing = false;
    let walked = 0;
    const marks = (changes: readonly MetaChange[], begins: boolean): boolean =>
      changes.some(({ key, value }) => key.equals(CONDENSING_KEY) && begins === (value !== null));
    const { range, write, writeInBatches } = Meta.prototype;
    replaceMethod(
      Meta.prototype,
      'range',
      () =>
        function (this: Meta, ...args) {
          if (replacing) walked += 1;
          return range.apply(this, args);
        },
    );
    replaceMethod(
      Meta.prototype,
      'write',
      () =>
        function (this: Meta, changes, ...rest) {
          const list = [...changes];
          replacing ||= marks(list, true);
          return write.call(this, list, ...rest);
        },
    );
    replaceMethod(
      Meta.prototype,
      'writeInBatches',
      () =>
        async function (this: Meta, changes) {
          const list = [...changes];
          await writeInBatches.call(this, list);
          if (marks(list, false)) replacing = false;
        },
    );
    const { packs } = await condense(store);
    expect(packs).toBeGreaterThan(0);
    expect(replacing).toBe(false);
    expect(walked).toBe(0);
    restore();
    expect(await everything(store)).toEqual(states);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('and metadata that is opened again meanwhile leave a pack as it is', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    let asked = 0;
    replaceMethod(
      ReadLeases.prototype,
      'over',
      (real) =>
        async function (this: ReadLeases, ...args) {
          asked += 1;
          // The second time the names of the pack's places are known.
          if (asked === 2) await store.reopen();
          return real.apply(this, args);
        },
    );
    const report = await condense(store);
    expect(report.packsLeft).toBeGreaterThan(0);
    restore();
    expect(await everything(store)).toEqual(states);
    expect((await condense(store)).packs).toBeGreaterThan(0);
    expect(await everything(store)).toEqual(states);
  });
});

describe('a pack that does not pay', () => {
  it('is tried once, and no pack is begun for it again', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 6; version += 1) await commitFiles(store, { file: noise(3000, version) });
    expect(await condense(store)).toMatchObject({ considered: 1, packs: 0, damaged: 0, packsLeft: 0 });
    const packs = await readdir(path.join(fixture.root, 'packs'));
    expect(await condense(store)).toMatchObject({ considered: 0, packs: 0 });
    expect(await readdir(path.join(fixture.root, 'packs'))).toEqual(packs);
    // More of it is another pack.
    await writeHistory(store, 1, 100);
    expect((await condense(store)).packs).toBeGreaterThan(0);
  });
});

describe('a condense that ends early', () => {
  it('hears of it while it waits for readers', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    const reading = store.entries({ at: 50 })[Symbol.asyncIterator]();
    await reading.next();
    const ending = new AbortController();
    setTimeout(() => ending.abort(), 100);
    expect(await codeOf(() => condense(store, { signal: ending.signal }))).toBe('DK_ABORTED');
    await reading.return?.(undefined);
    expect(await unfinished()).toEqual([]);
  });

  it('gives the room of the new file back before the metadata is opened again', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    replaceMethod(
      Meta.prototype,
      'write',
      (real) =>
        async function (this: Meta, changes, ...rest) {
          const list = [...changes];
          if (list.some(({ key }) => key.equals(CONDENSING_KEY)))
            throw new DiffKeeperError('DK_DISK_FULL', 'no room left');
          return real.call(this, list, ...rest);
        },
    );
    let left: string[] | null = null;
    replaceMethod(
      Meta.prototype,
      'reopen',
      (real) =>
        async function (this: Meta) {
          left ??= await unfinished();
          return real.call(this);
        },
    );
    expect(await codeOf(() => condense(store))).toBe('DK_DISK_FULL');
    expect(left).toEqual([]);
    restore();
    await commitFiles(store, { after: noise(300, 1) });
    expect(await contentOf(store, 'after')).toEqual(noise(300, 1));
  });

  it('closes the file that it could not begin', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 120);
    replaceMethod(
      AppendFile.prototype,
      'append',
      (real) =>
        async function (this: AppendFile, parts) {
          if (parts.length === 1 && parts[0]?.length === 64)
            throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
          return real.call(this, parts);
        },
    );
    expect(await codeOf(() => condense(store))).toBe('DK_DISK_FULL');
    restore();
    const names = await readdir('/proc/self/fd');
    const files = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
    expect(files.filter((file) => file.startsWith(fixture.root) && file.includes('unfinished'))).toEqual([]);
  });
});

describe('metadata that is not open', () => {
  it('says so in a word of ours', async () => {
    const store = await fixture.open();
    await commitFiles(store, { one: noise(100, 1) });
    const meta = metaOf(store);
    await meta.close();
    const walk = async (): Promise<void> => {
      for await (const _ of meta.range({ gte: Buffer.from('b'), lt: Buffer.from('c') }));
    };
    const keys = async (): Promise<void> => {
      for await (const _ of meta.rangeKeys({ gte: Buffer.from('b'), lt: Buffer.from('c') }));
    };
    expect([await codeOf(walk), await codeOf(keys)]).toEqual(['DK_IO', 'DK_IO']);
    await meta.reopen();
  });
});
