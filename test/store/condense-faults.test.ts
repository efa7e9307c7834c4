/** Condensing while something else fails, or is under way: nothing acknowledged is lost, and nothing foreign comes back. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type BytePath, DiffKeeperError, LIMITS, pathToText } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import type { History } from '../../src/store/history.js';
import { Meta } from '../../src/store/meta.js';
import { checkpointKey } from '../../src/store/meta-keys.js';
import type { MetaReader } from '../../src/store/meta-reader.js';
import { Packs } from '../../src/store/packs.js';
import { condense, openStore, type Store } from '../../src/store/store.js';
import { badEngine, sectors } from './bad-sectors.js';
import { everything, metadataOf, writeHistory } from './condensed-store.js';
import { codeOf, commitFiles, contentOf, noise, putExtents, StoreFixture } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { badFs } = await import('./bad-sectors.js');
  return badFs(await original());
});

const fixture = new StoreFixture();
const engine = badEngine(loadEngine());
const { packBytes } = LIMITS;
const real = {
  meta: {
    writeInBatches: Meta.prototype.writeInBatches,
    replace: Meta.prototype.replace,
    reopen: Meta.prototype.reopen,
  },
  packs: {
    replaced: Packs.prototype.replaced,
    leave: Packs.prototype.leave,
    removeEmpty: Packs.prototype.removeEmpty,
  },
};
beforeEach(() => {
  sectors.clear();
  Object.assign(LIMITS, { packBytes: 24 << 10 });
});
afterEach(() => {
  Object.assign(LIMITS, { packBytes });
  Object.assign(Meta.prototype, real.meta);
  Object.assign(Packs.prototype, real.packs);
});

async function namesOf(store: Store): Promise<string[]> {
  const names: BytePath[] = [];
  for await (const batch of store.entries()) names.push(...batch.map((version) => version.path));
  return names.map((name) => pathToText(name)).sort();
}

/** The first write of metadata after the rename finds the disk full. */
function failAfterRename(also: () => void = () => {}): void {
  Packs.prototype.replaced = async function (this: Packs, pack: number): Promise<void> {
    Packs.prototype.replaced = real.packs.replaced;
    await real.packs.replaced.call(this, pack);
    also();
    Meta.prototype.writeInBatches = async () => {
      Meta.prototype.writeInBatches = real.meta.writeInBatches;
      throw new DiffKeeperError('DK_DISK_FULL', 'no room left');
    };
  };
}

describe('metadata that cannot follow a replaced pack', () => {
  it('is made anew at once, and goes on', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    failAfterRename();
    expect(await codeOf(() => condense(store))).toBe('DK_DISK_FULL');
    expect(store.needsReopen).toBe(false);
    expect(await everything(store)).toEqual(states);
    await commitFiles(store, { after: noise(300, 1) });
    expect((await condense(store)).packs).toBeGreaterThan(0);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('keeps what it alone still knew', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 100);
    await commitFiles(store, { precious: noise(700, 77) });
    await writeHistory(store, 102, 130);
    // The record of what changed at 101 is damaged; the metadata has a copy of it.
    const before = (await readdir(path.join(fixture.root, 'packs'))).sort();
    await store.close();
    const mark = Buffer.from('precious');
    for (const name of before) {
      const file = path.join(fixture.root, 'packs', name);
      const bytes = await readFile(file);
      const at = bytes.indexOf(mark);
      if (at < 0) continue;
      bytes[at] = (bytes[at] as number) ^ 0xff;
      await writeFile(file, bytes);
    }
    const again = await fixture.open({ engine });
    expect(await contentOf(again, 'precious')).toEqual(noise(700, 77));
    failAfterRename();
    expect(await codeOf(() => condense(again))).toBe('DK_DISK_FULL');
    expect(await contentOf(again, 'precious')).toEqual(noise(700, 77));
    expect(await namesOf(again)).toContain('precious');
  });

  it('lets no transaction that waited commit on it', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 120);
    let waited: Promise<string> | null = null;
    failAfterRename(() => {
      Meta.prototype.replace = async () => {
        throw new DiffKeeperError('DK_IO', 'not now');
      };
      const transaction = store.begin();
      waited = codeOf(async () => {
        const [digest] = await transaction.storeBlobs([{ bytes: noise(800, 5), kind: 'blob' }]);
        const extents = [{ digest: digest as Buffer, offset: 0, length: 800 }];
        await putExtents(transaction, 'late', { extents, digest: digest as Buffer });
        await transaction.commit();
      }).finally(() => transaction.abort());
    });
    expect(await codeOf(() => condense(store))).toBe('DK_DISK_FULL');
    expect(store.needsReopen).toBe(true);
    expect(await waited).toBe('DK_IO');
    Object.assign(Meta.prototype, real.meta);
    await store.reopen();
    expect(store.newest?.sequence).toBe(120);
    expect((await store.verify()).damage).toEqual([]);
    await commitFiles(store, { late: noise(800, 5) });
    expect(await contentOf(store, 'late')).toEqual(noise(800, 5));
  });

  it('stays marked as long as the disk does not tell which pack it is', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 120);
    const states = await everything(store);
    Packs.prototype.replaced = async (pack: number) => {
      Packs.prototype.replaced = real.packs.replaced;
      sectors.spoil(fixture.pack(pack));
      throw new DiffKeeperError('DK_IO', 'the disk has gone');
    };
    expect(await codeOf(() => condense(store))).toBe('DK_IO');
    expect(store.needsReopen).toBe(true);
    await store.close();
    expect((await metadataOf(fixture.root)).has('scondensing')).toBe(true);
    sectors.clear();
    const again = await openStore(fixture.root, { engine });
    expect(await everything(again)).toEqual(states);
    expect((await again.verify()).damage).toEqual([]);
    await again.close();
    expect((await metadataOf(fixture.root)).has('scondensing')).toBe(false);
  });

  it('is told to be damaged before anything is replaced', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 120);
    const { meta } = (store as unknown as { reading: { meta: MetaReader & Pick<Meta, 'write'> } }).reading;
    await meta.write([{ key: checkpointKey(20), value: Buffer.from([1]) }], true);
    expect(await codeOf(() => condense(store))).toMatch(/^DK_CORRUPT/);
    expect((await readFile(fixture.pack(1))).readUInt16LE(6)).toBe(1);
  });
});

/** As a crash leaves it right behind the rename of a pack. */
async function crashBehindRename(store: Store): Promise<void> {
  const gone = async (): Promise<never> => {
    throw new DiffKeeperError('DK_IO', 'the process has ended');
  };
  Packs.prototype.replaced = gone;
  Meta.prototype.reopen = gone;
  expect(await codeOf(() => condense(store))).toBe('DK_IO');
  Object.assign(Packs.prototype, real.packs);
  Object.assign(Meta.prototype, real.meta);
  await store.close();
  expect((await metadataOf(fixture.root)).has('scondensing')).toBe(true);
}

/** Another bit in what the metadata of the closed store says of a key. */
async function flipValue(key: Buffer, byte: number): Promise<void> {
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
  const level = new ClassicLevel<Buffer, Buffer>(path.join(fixture.root, 'meta'), options);
  const value = Buffer.from((await level.get(key)) as Buffer);
  value[byte] = (value[byte] as number) ^ 1;
  await level.put(key, value);
  await level.close();
}

describe('damage beside a pack that was replaced', () => {
  it('of what marks it: the metadata is made anew', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 100);
    const states = await everything(store);
    await crashBehindRename(store);
    await flipValue(Buffer.from('scondensing'), 0);
    const again = await fixture.open({ engine });
    expect(await everything(again)).toEqual(states);
    expect((await again.verify()).damage).toEqual([]);
  });

  it('of the record of the newest checkpoint: it is written again', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 100);
    await commitFiles(store, { precious: noise(700, 77) });
    const { place } = await (store as unknown as { reading: { history: History } }).reading.history.stored(101);
    await crashBehindRename(store);
    const bytes = await readFile(fixture.pack(place.pack));
    // The first pack was the one to be replaced.
    expect(bytes.readUInt16LE(6)).toBe(1);
    bytes[place.offset + 60] = (bytes[place.offset + 60] as number) ^ 0xff;
    await writeFile(fixture.pack(place.pack), bytes);
    const again = await fixture.open({ engine });
    expect(again.newest?.sequence).toBe(101);
    expect(await contentOf(again, 'precious')).toEqual(noise(700, 77));
  });

  it('of the copy of a version: its record is read', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 100);
    expect((await condense(store)).packs).toBeGreaterThan(0);
    await store.close();
    await flipValue(Buffer.from('h\0stays', 'latin1'), 3);
    const again = await fixture.open({ engine });
    const names: string[] = [];
    for await (const batch of again.entries({ at: 20 })) names.push(...batch.map((one) => pathToText(one.path)));
    expect(names.sort()).toEqual(['a/each', 'a/some', 'stays']);
  });
});

describe('transactions that are given up', () => {
  it('leave the packs alone while one is replaced', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 120);
    let over = false;
    const idle = async (): Promise<number> => {
      let times = 0;
      for (; !over; times += 1) {
        const transaction = store.begin();
        await (times % 2 === 0 ? transaction.abort() : transaction.commit());
        await new Promise((resolve) => setImmediate(resolve));
      }
      return times;
    };
    const idling = idle();
    const report = await condense(store).finally(() => {
      over = true;
    });
    expect(await idling).toBeGreaterThan(2);
    expect(report.packs + report.packsLeft).toBeGreaterThan(0);
    for (let seed = 1; seed <= 3; seed += 1) await commitFiles(store, { [`n${seed}`]: noise(900, seed) });
    const states = await everything(store);
    await store.close();
    const again = await fixture.open({ engine });
    expect(again.newest?.sequence).toBe(123);
    expect(await everything(again)).toEqual(states);
    expect((await again.verify()).damage).toEqual([]);
  });
});

describe('opening the metadata again', () => {
  it('and replacing a pack come one after the other', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 40);
    let leaves = 0;
    let second: () => void = () => {};
    const replacing = new Promise<void>((resolve) => {
      second = resolve;
    });
    // As slow as to be still at work when the pack is to be replaced.
    Packs.prototype.removeEmpty = async function (this: Packs): Promise<void> {
      await Promise.race([replacing, new Promise((resolve) => setTimeout(resolve, 1000))]);
      return real.packs.removeEmpty.call(this);
    };
    let reopened: Promise<void> = Promise.resolve();
    Packs.prototype.leave = async function (this: Packs, pack: number): Promise<void> {
      leaves += 1;
      if (leaves === 2) second();
      return real.packs.leave.call(this, pack);
    };
    let begun = false;
    const onProgress = (done: number, total: number): void => {
      if (begun || done < total) return;
      begun = true;
      reopened = store.reopen();
    };
    // What it was reading may have been closed.
    await condense(store, { onProgress }).catch(() => {});
    await reopened;
    Object.assign(Packs.prototype, real.packs);
    for (let seed = 1; seed <= 3; seed += 1) await commitFiles(store, { [`n${seed}`]: noise(900, seed) });
    await store.close();
    const again = await fixture.open({ engine });
    expect(again.newest?.sequence).toBe(43);
    for (let seed = 1; seed <= 3; seed += 1) expect(await contentOf(again, `n${seed}`)).toEqual(noise(900, seed));
    expect((await again.verify()).damage).toEqual([]);
  });
});

describe("another store's dense pack in a file that was captured", () => {
  it('is never taken for this pack, whatever its header has become', async () => {
    Object.assign(LIMITS, { packBytes });
    const other = path.join(fixture.base, 'other');
    const foreign = await openStore(other, { create: true });
    await writeHistory(foreign, 1, 120);
    expect((await condense(foreign)).packs).toBe(1);
    await foreign.close();
    const dense = await readFile(path.join(other, 'packs', '00000001.dkp'));
    const store = await fixture.open({ engine });
    await commitFiles(store, { one: noise(500, 1) });
    await commitFiles(store, { backup: dense });
    await store.close();
    const pack = await readFile(fixture.pack(1));
    expect(dense.length).toBeGreaterThan(pack.length / 2);
    pack[40] = (pack[40] as number) ^ 1;
    await writeFile(fixture.pack(1), pack);
    const again = await fixture.open({ engine });
    expect(again.newest?.sequence).toBe(2);
    expect(await namesOf(again)).toEqual(['backup', 'one']);
    expect(await contentOf(again, 'backup')).toEqual(dense);
  });
});
