/** Condensing: every version comes back as it was, from a fraction of the room, whatever happens on the way. */
import { cp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { createTwin } from '../../src/engine/twin.js';
import type { Version } from '../../src/format/format.js';
import { condense, exchangeOf, openStore, type Store } from '../../src/store/store.js';
import { everything, groupsOf, metadataOf, textOf, writeHistory } from './condensed-store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const KEY = { keyBytes: Buffer.alloc(32, 3) };

async function filled(versions = 60, engine: Engine = loadEngine()): Promise<Store> {
  const store = await fixture.open({ engine });
  await writeHistory(store, 1, versions);
  return store;
}

async function packFiles(): Promise<string[]> {
  return (await readdir(path.join(fixture.root, 'packs'))).sort();
}

/** The store closed, and the bytes of its first pack. */
async function closed(store: Store): Promise<Buffer> {
  await store.close();
  return readFile(fixture.pack(1));
}

/** @param groupBytes of one group */
async function condenseInto(store: Store, groupBytes = LIMITS.denseGroupBytes): Promise<void> {
  const { denseGroupBytes } = LIMITS;
  try {
    (LIMITS as { denseGroupBytes: number }).denseGroupBytes = groupBytes;
    await condense(store);
  } finally {
    (LIMITS as { denseGroupBytes: number }).denseGroupBytes = denseGroupBytes;
  }
}

/** As a crash leaves it between two steps: this pack, and metadata that says one is being replaced. */
async function crashed(pack: Buffer, meta: ReadonlyMap<string, string>): Promise<void> {
  const { ClassicLevel } = await import('classic-level');
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
  const level = new ClassicLevel<Buffer, Buffer>(path.join(fixture.root, 'meta'), options);
  await level.clear();
  for (const [key, value] of meta) await level.put(Buffer.from(key, 'latin1'), Buffer.from(value, 'hex'));
  await level.close();
  await writeFile(fixture.pack(1), pack);
}

for (const [name, load] of [
  ['native', async () => loadEngine()],
  ['typescript', async () => createTwin()],
] as const) {
  describe(`condensing with the ${name} engine`, () => {
    it('keeps every version, in a fraction of the room', async () => {
      const store = await filled(80, await load());
      const before = await everything(store);
      const progress: number[] = [];
      const report = await condense(store, { onProgress: (done, total) => progress.push(done / total) });
      expect(report).toMatchObject({ packs: 1, considered: 1, damaged: 0, packsLeft: 0 });
      expect(progress[progress.length - 1]).toBeCloseTo(1, 2);
      expect(await everything(store)).toEqual(before);
      expect((await store.verify()).damage).toEqual([]);
      const { packBytes, savings } = await store.stats();
      expect(packBytes).toBe(report.bytesAfter);
      expect(savings?.denseBytes).toBeGreaterThan(100_000);
      expect((await readFile(fixture.pack(1))).readUInt16LE(6)).toBe(3);
    });
  });
}

describe('condensing', () => {
  it('makes one group of a short pack, in which the newest contents take no room besides', async () => {
    await (await filled(100)).close();
    const copy = path.join(fixture.base, 'copy');
    await cp(fixture.root, copy, { recursive: true });
    const split = await openStore(copy);
    await condenseInto(split, 100 << 10);
    await split.close();
    const several = await readFile(path.join(copy, 'packs', path.basename(fixture.pack(1))));
    const store = await fixture.open();
    const states = await everything(store);
    await condense(store);
    expect(await everything(store)).toEqual(states);
    expect((await store.verify()).damage).toEqual([]);
    const one = await closed(store);
    expect(groupsOf(one)).toHaveLength(1);
    expect(groupsOf(several).length).toBeGreaterThan(2);
    // Each of the others begins with a text of its own, and one is for what the newest state needs.
    expect(several.length - one.length).toBeGreaterThan(1200);
  });

  it('leaves long blobs as they are coded, and all around them is dense', async () => {
    const store = await fixture.open();
    await commitFiles(store, { long: noise(66_000, 8) });
    await commitFiles(store, { long: null });
    await writeHistory(store, 3, 330);
    const before = (await store.stats()).packBytes - 66_000;
    const states = await everything(store);
    expect((await condense(store)).packs).toBe(1);
    expect((await store.stats()).packBytes - 66_000).toBeLessThan(before / 2);
    expect(await everything(store)).toEqual(states);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('leaves metadata as the packs give it', async () => {
    const store = await filled();
    await condense(store);
    await store.close();
    const followed = await metadataOf(fixture.root);
    const again = await openStore(fixture.root);
    await again.rebuildIndex();
    await again.close();
    const rebuilt = await metadataOf(fixture.root);
    // What a rebuild says of itself.
    rebuilt.delete('sgaps');
    rebuilt.delete('smended');
    rebuilt.delete('scondensed');
    followed.delete('scondensed');
    expect(rebuilt).toEqual(followed);
  });

  it('takes several packs, of checkpoints that begin in one and end in the next', async () => {
    const { packBytes } = LIMITS;
    (LIMITS as { packBytes: number }).packBytes = 12_000;
    try {
      const store = await filled(120);
      // Its versions fill packs before its own record is written.
      const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`many/${index}`, noise(20, index)]));
      await commitFiles(store, many);
      await commitFiles(store, Object.fromEntries(Object.keys(many).map((name) => [name, null])));
      await writeHistory(store, 123, 150);
      const before = await everything(store);
      expect((await packFiles()).length).toBeGreaterThan(4);
      expect((await condense(store)).packs).toBeGreaterThan(2);
      expect(await everything(store)).toEqual(before);
      expect((await store.verify()).damage).toEqual([]);
      await store.close();
      const followed = await metadataOf(fixture.root);
      const again = await fixture.open();
      await again.rebuildIndex();
      expect(await everything(again)).toEqual(before);
      await again.close();
      const rebuilt = await metadataOf(fixture.root);
      rebuilt.delete('sgaps');
      rebuilt.delete('smended');
      rebuilt.delete('scondensed');
      followed.delete('scondensed');
      expect(rebuilt).toEqual(followed);
    } finally {
      (LIMITS as { packBytes: number }).packBytes = packBytes;
    }
  });

  it('goes on with captures behind it, in another pack, and can be done again', async () => {
    const store = await filled();
    await condense(store);
    await writeHistory(store, 61, 90);
    expect(await packFiles()).toEqual(['00000001.dkp', '00000002.dkp']);
    const before = await everything(store);
    expect((await condense(store)).packs).toBe(1);
    expect(await everything(store)).toEqual(before);
    expect(await condense(store)).toMatchObject({ packs: 0, considered: 0 });
    await store.close();
    const again = await fixture.open();
    expect(again.newest?.sequence).toBe(90);
    await writeHistory(again, 91, 95);
    expect(await contentOf(again, 'a/each')).toEqual(textOf(95, 'each'));
    expect((await again.verify()).damage).toEqual([]);
  });

  it('commits while a pack is being written', async () => {
    const store = await filled(100);
    const condensing = condense(store);
    await writeHistory(store, 101, 120);
    const report = await condensing;
    expect(report.packs + report.packsLeft).toBe(1);
    expect(store.newest?.sequence).toBe(120);
    expect((await store.verify()).damage).toEqual([]);
    await store.close();
    expect((await (await fixture.open()).verify()).damage).toEqual([]);
  });

  it('loses nothing when a transaction is given up, or the metadata opened again, meanwhile', async () => {
    const store = await filled(60);
    const condensing = condense(store);
    const abandoned = store.begin();
    await abandoned.storeBlobs([{ bytes: noise(3000, 2), kind: 'blob' }]);
    await abandoned.abort();
    await store.reopen();
    const again = store.begin();
    await again.storeBlobs([{ bytes: noise(3000, 3), kind: 'blob' }]);
    await again.abort();
    // It may have found the metadata closed.
    await condensing.catch(() => {});
    await commitFiles(store, { after: noise(500, 4) });
    await commitFiles(store, { last: noise(500, 5) });
    const before = await everything(store);
    await store.close();
    const opened = await fixture.open();
    expect(opened.newest?.sequence).toBe(62);
    expect(await everything(opened)).toEqual(before);
    expect((await opened.verify()).damage).toEqual([]);
  });

  it('loses nothing of a pack for which it does not pay, whatever is given up afterwards', async () => {
    const store = await fixture.open();
    for (let version = 1; version < 25; version += 1) await commitFiles(store, { same: noise(9000, version) });
    expect(await condense(store)).toMatchObject({ packs: 0, considered: 1 });
    await exchangeOf(store).keepBlobs([]);
    const abandoned = store.begin();
    await abandoned.storeBlobs([{ bytes: noise(3000, 2), kind: 'blob' }]);
    await abandoned.abort();
    const before = await everything(store);
    await store.close();
    expect(await everything(await fixture.open())).toEqual(before);
  });

  it('takes no pack that a transaction has begun', async () => {
    const { packBytes } = LIMITS;
    (LIMITS as { packBytes: number }).packBytes = 12_000;
    try {
      const store = await filled(60);
      const open = store.begin();
      for (let seed = 1; seed < 20; seed += 1) await open.storeBlobs([{ bytes: noise(5000, seed), kind: 'blob' }]);
      const condensing = condense(store);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await open.abort();
      expect(await condensing).toMatchObject({ damaged: 0, packsLeft: 0 });
      expect((await store.verify()).damage).toEqual([]);
    } finally {
      (LIMITS as { packBytes: number }).packBytes = packBytes;
    }
  });

  it('lets everybody read meanwhile, as it was', async () => {
    const store = await filled(40);
    const versions: Version[] = [];
    for (const at of [1, 9, 20, 40]) for await (const batch of store.entries({ at })) versions.push(...batch);
    const files = versions.filter(({ size }) => size > 0);
    let over = false;
    let reads = 0;
    const read = async (): Promise<void> => {
      while (!over) {
        for (const version of files) {
          const bytes = await store.reader(version).read(0, version.size);
          expect(store.engine.digest(store.hashAlgo, bytes).equals(version.digest as Buffer)).toBe(true);
          reads += 1;
        }
      }
    };
    const reading = [read(), read(), read()];
    const report = await condense(store).finally(() => {
      over = true;
    });
    await Promise.all(reading);
    expect(report.packs).toBe(1);
    expect(reads).toBeGreaterThan(10);
  });

  it('is followed by prunes that keep and give back what they should', async () => {
    const store = await filled(120);
    const before = await everything(store);
    await condense(store);
    await store.prune({ keepLast: 100 });
    const kept = [...before].filter(([name]) => Number(name.split('@')[1]) > 20);
    expect([...(await everything(store))].sort()).toEqual(kept.sort());
    await store.prune({ keepLast: 1 });
    expect(await contentOf(store, 'a/each')).toEqual(textOf(120, 'each'));
    expect((await store.verify()).damage).toEqual([]);
    await store.rebuildIndex({ check: true });
    expect((await store.verify()).damage).toEqual([]);
    expect(await contentOf(store, 'stays')).toEqual(noise(2000, 6));
  });

  it('leaves alone what it does not pay for, and what the newest state needs', async () => {
    const store = await fixture.open();
    await commitFiles(store, { large: noise(200_000, 1), small: noise(900, 2) });
    for (let version = 1; version < 30; version += 1)
      await commitFiles(store, { [`f${version}`]: noise(2000, version) });
    expect(await condense(store)).toMatchObject({ packs: 0, considered: 0 });
    expect(await packFiles()).toEqual(['00000001.dkp']);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('leaves alone what does not become shorter', async () => {
    const store = await fixture.open();
    for (let version = 1; version < 40; version += 1) await commitFiles(store, { same: noise(5000, version) });
    expect(await condense(store)).toMatchObject({ packs: 0, considered: 1 });
    expect((await packFiles()).filter((name) => !name.endsWith('.dkp'))).toEqual([]);
    await commitFiles(store, { same: noise(10, 1) });
    expect((await store.verify()).damage).toEqual([]);
  });

  it('waits for readers, and leaves the pack as it is when they stay', async () => {
    const store = await filled();
    const reading = store.entries({ at: 3 })[Symbol.asyncIterator]();
    await reading.next();
    const timer = setTimeout(() => void reading.return?.(undefined), 300);
    expect((await condense(store)).packs).toBe(1);
    clearTimeout(timer);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('leaves nothing behind when it is ended', async () => {
    const store = await filled();
    const before = await closed(store);
    const again = await fixture.open();
    const abort = new AbortController();
    expect(await codeOf(() => condense(again, { signal: abort.signal, onProgress: () => abort.abort() }))).toBe(
      'DK_ABORTED',
    );
    expect((await packFiles()).filter((name) => !name.endsWith('.dkp'))).toEqual([]);
    expect(await closed(again)).toEqual(before);
  });

  it('is not for encrypted stores', async () => {
    const store = await fixture.open({ encrypt: true, key: KEY });
    await writeHistory(store, 1, 20);
    expect(await codeOf(() => condense(store))).toBe('DK_UNSUPPORTED');
  });
});

describe('a crash while a pack is replaced', () => {
  it('finds the old pack or the new one, and metadata that follows', async () => {
    const store = await filled();
    const states = await everything(store);
    const plain = await closed(store);
    const older = await metadataOf(fixture.root);
    const again = await fixture.open();
    await condense(again);
    const dense = await closed(again);
    const newer = await metadataOf(fixture.root);
    const { ByteWriter } = await import('../../src/format/format.js');
    const value = new ByteWriter(8).varint(1).finish();
    const key = Buffer.from('scondensing', 'latin1');
    const check = Buffer.alloc(4);
    check.writeUInt32LE(Number(BigInt.asUintN(32, loadEngine().xxh3(Buffer.concat([key, value])))));
    const marked = Buffer.concat([value, check]).toString('hex');
    // Half of the keys follow: some batches were written.
    const half = new Map([...older].map(([at, was], index) => [at, index % 2 === 0 ? (newer.get(at) ?? was) : was]));
    half.set('snewest', older.get('snewest') ?? '');
    for (const [pack, meta] of [
      [plain, older],
      [dense, older],
      [dense, half],
    ] as const) {
      await crashed(pack, new Map([...meta, ['scondensing', marked]]));
      await writeFile(`${fixture.pack(1)}.unfinished`, dense.subarray(0, 5000));
      const opened = await openStore(fixture.root);
      expect(await everything(opened)).toEqual(states);
      expect((await opened.verify()).damage).toEqual([]);
      await commitFiles(opened, { after: noise(100, 1) });
      await opened.close();
      await (await openStore(fixture.root)).close();
      expect((await packFiles()).filter((name) => name.includes('unfinished'))).toEqual([]);
      expect((await metadataOf(fixture.root)).has('scondensing')).toBe(false);
      for (const name of (await packFiles()).slice(1))
        await rename(path.join(fixture.root, 'packs', name), `${fixture.base}/x`);
    }
  });

  it('is told by the length even when the metadata lost what it said', async () => {
    const store = await filled();
    const states = await everything(store);
    await store.close();
    const older = await metadataOf(fixture.root);
    const again = await fixture.open();
    await condense(again);
    await crashed(await closed(again), older);
    const opened = await fixture.open();
    expect(await everything(opened)).toEqual(states);
  });
});

describe('a damaged dense pack', () => {
  async function dense(groupBytes?: number): Promise<{ states: Map<string, string>; pack: Buffer; groups: number[] }> {
    const store = await filled(100);
    const states = await everything(store);
    await condenseInto(store, groupBytes);
    const pack = await closed(store);
    return { states, pack, groups: groupsOf(pack) };
  }

  it('is read without its list, and without its header', async () => {
    const { states, pack } = await dense();
    for (const at of [pack.length - 20, pack.length - 1, 6, 40]) {
      const other = Buffer.from(pack);
      other[at] = (other[at] as number) ^ 0xff;
      await writeFile(fixture.pack(1), other);
      const store = await openStore(fixture.root);
      expect(await everything(store), `byte ${at}`).toEqual(states);
      await store.close();
    }
    await writeFile(fixture.pack(1), pack.subarray(0, pack.length - 30));
    const store = await fixture.open();
    expect(await everything(store)).toEqual(states);
  });

  it('loses what a damaged group stands for, says so, and keeps the rest', async () => {
    const { states, pack, groups } = await dense(64 << 10);
    expect(groups.length).toBeGreaterThan(2);
    const last = groups[groups.length - 1] as number;
    const other = Buffer.from(pack);
    other[last + 500] = (other[last + 500] as number) ^ 1;
    await writeFile(fixture.pack(1), other);
    const store = await fixture.open();
    const report = await store.verify();
    expect(report.damage.length).toBeGreaterThan(0);
    expect(report.damage.some(({ affected }) => affected.length > 0)).toBe(true);
    // What the newest state needs stands in a group of its own.
    expect(await contentOf(store, 'a/each')).toEqual(textOf(100, 'each'));
    expect(await contentOf(store, 'stays')).toEqual(noise(2000, 6));
    expect([...(await everything(store).catch(() => new Map<string, string>()))].length).toBeLessThan(states.size + 1);
  });

  it('never throws anything but typed errors', async () => {
    const { pack, groups } = await dense();
    const first = groups[0] as number;
    for (const at of [first, first + 4, first + 8, first + 12, first + 16, first + 24, first + 33, first + 60]) {
      const other = Buffer.from(pack);
      other[at] = (other[at] as number) ^ 0x55;
      await writeFile(fixture.pack(1), other);
      const store = await openStore(fixture.root);
      const { damage } = await store.verify();
      expect(damage.length, `byte ${at}`).toBeGreaterThan(0);
      await store.close();
    }
  });
});
