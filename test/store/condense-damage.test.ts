/** Dense packs on a disk that loses blocks, beside metadata that fails, or written by somebody who means no good. */
import { open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { encodeGroup, encodePackHeader } from '../../src/format/format.js';
import { findGroups } from '../../src/store/dense-find.js';
import { Meta } from '../../src/store/meta.js';
import { condense, type Store } from '../../src/store/store.js';
import { badEngine, sectors } from './bad-sectors.js';
import { everything, groupsOf, textOf, writeHistory } from './condensed-store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { badFs } = await import('./bad-sectors.js');
  return badFs(await original());
});

const fixture = new StoreFixture();
const engine = badEngine(loadEngine());
const checksum = (bytes: Uint8Array): bigint => loadEngine().xxh3(bytes);
const VERSIONS = 120;
beforeEach(() => sectors.clear());

/** With groups and packs so short that a small store has several of them. */
async function within<T>(limits: Partial<Record<'denseGroupBytes' | 'packBytes', number>>, work: () => Promise<T>) {
  const before = { ...LIMITS };
  Object.assign(LIMITS, limits);
  try {
    return await work();
  } finally {
    Object.assign(LIMITS, before);
  }
}

interface Dense {
  readonly states: ReadonlyMap<string, string>;
  readonly pack: Buffer;
  readonly groups: readonly number[];
}

async function dense(): Promise<Dense> {
  return within({ denseGroupBytes: 64 << 10 }, async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, VERSIONS);
    const states = await everything(store);
    expect((await condense(store)).packs).toBe(1);
    await store.close();
    const pack = await readFile(fixture.pack(1));
    const groups = groupsOf(pack);
    expect(groups.length).toBeGreaterThan(3);
    return { states, pack, groups };
  });
}

/** Checkpoints at which the file that each changes can be read. */
async function readable(store: Store, states: ReadonlyMap<string, string>): Promise<number[]> {
  const found: number[] = [];
  for (let at = 1; at <= VERSIONS; at += 1) {
    const digest = await digestAt(store, at).catch(() => undefined);
    if (digest !== undefined && digest === states.get(`a/each@${at}`)) found.push(at);
  }
  return found;
}

async function digestAt(store: Store, at: number): Promise<string | undefined> {
  for await (const batch of store.entries({ at, onUnreadable: () => {} })) {
    const version = batch.find((one) => one.path === 'a/each');
    if (!version) continue;
    return engine.digest(store.hashAlgo, await store.reader(version).read(0, version.size)).toString('hex');
  }
  return undefined;
}

async function inQuarantine(): Promise<string[]> {
  return readdir(path.join(fixture.root, 'quarantine')).catch(() => []);
}

describe('a dense pack of which a block is lost', () => {
  it('is still one when that is its first block, zeros or not given', async () => {
    const { states, pack, groups } = await dense();
    // What stands in the first block goes with it.
    const whole = Buffer.from(pack);
    whole.fill(0, 64, 4096);
    await writeFile(fixture.pack(1), whole);
    const store = await fixture.open({ engine });
    const expected = await readable(store, states);
    expect(expected.length).toBeGreaterThan(VERSIONS / 2);
    await store.close();

    whole.fill(0, 0, 64);
    await writeFile(fixture.pack(1), whole);
    const zeros = await fixture.open({ engine });
    expect(await readable(zeros, states)).toEqual(expected);
    await zeros.close();

    await writeFile(fixture.pack(1), pack);
    sectors.spoil(fixture.pack(1), 0, 4096);
    const bad = await fixture.open({ engine });
    expect(await readable(bad, states)).toEqual(expected);
    const report = await bad.rebuildIndex({ check: true });
    expect(report.damage.some(({ kind }) => kind === 'unreadable')).toBe(true);
    expect(await readable(bad, states)).toEqual(expected);
    await bad.close();
    sectors.clear();
    expect((await readFile(fixture.pack(1))).readUInt16LE(6)).toBe(3);
    const aside = (await inQuarantine()).find((name) => name.startsWith('unreadable-')) as string;
    expect(await readFile(path.join(fixture.root, 'quarantine', aside))).toEqual(pack);
    expect(groups[0]).toBe(64);
  });

  it('is found by its groups when the first and the last block are lost', async () => {
    const { states, pack } = await dense();
    const other = Buffer.from(pack);
    other.fill(0, 0, 64);
    other.fill(0, other.length - 16);
    await writeFile(fixture.pack(1), other);
    const store = await fixture.open({ engine });
    expect((await readable(store, states)).length).toBe(VERSIONS);
  });

  it('is read without the list that the disk does not give', async () => {
    const { states, pack } = await dense();
    // The groups behind the last whole block go with it.
    sectors.spoil(fixture.pack(1), pack.length - 16, pack.length);
    const store = await fixture.open({ engine });
    expect((await readable(store, states)).length).toBeGreaterThan(VERSIONS / 2);
  });

  it('costs what stands in its group, and verify names that and nothing else', async () => {
    const { states, groups } = await dense();
    const at = (groups[2] as number) + 50;
    sectors.spoil(fixture.pack(1), at, at + 10);
    const store = await fixture.open({ engine });
    const good = await readable(store, states);
    expect(good.length).toBeGreaterThan(VERSIONS / 2);
    const { damage } = await store.verify();
    const kinds = new Set(damage.map(({ kind }) => kind));
    expect(kinds.has('unreadable')).toBe(true);
    expect(kinds.has('pack')).toBe(false);
    const named = new Set(damage.flatMap(({ affected }) => affected.map(({ sequence }) => sequence)));
    expect(named.size).toBeGreaterThan(0);
    expect(named.size).toBeLessThanOrEqual(VERSIONS - good.length + 1);
    const unreadable = damage.find(({ kind }) => kind === 'unreadable');
    expect(unreadable?.message).toMatch(/^(\d+) of \1 bytes cannot be read/);
  });

  it('is no loss when the disk gives it the next time', async () => {
    const { states, groups } = await dense();
    const at = (groups[2] as number) + 50;
    const store = await fixture.open({ engine });
    sectors.spoil(fixture.pack(1), at, at + 10, 1);
    expect((await store.verify()).damage).toEqual([]);
    expect((await readable(store, states)).length).toBe(VERSIONS);
    await store.close();
    const again = await fixture.open({ engine });
    sectors.spoil(fixture.pack(1), at, at + 10, 2);
    expect((await again.rebuildIndex({ check: true })).damage).toEqual([]);
  });

  it('is kept by repair as the file has it, whatever it stands for', async () => {
    const { pack, groups } = await dense();
    const [at, next] = [groups[2] as number, groups[3] as number];
    pack[at + 60] = (pack[at + 60] as number) ^ 1;
    await writeFile(fixture.pack(1), pack);
    const store = await fixture.open({ engine });
    const { quarantined } = await store.rebuildIndex({ check: true });
    const kept = (quarantined ?? []).filter((file) => path.basename(file).startsWith('damaged-'));
    expect(kept.map((file) => path.basename(file))).toEqual([`damaged-00000001.dkp-${at}`]);
    expect(await readFile(kept[0] as string)).toEqual(pack.subarray(at, next));
  });

  it('stays a plain pack when it was one, and only its header is lost', async () => {
    const store = await fixture.open({ engine });
    await writeHistory(store, 1, 20);
    const states = await everything(store);
    await store.close();
    const pack = await readFile(fixture.pack(1));
    // As if it were dense: a single bit says so, and the header's checksum does not.
    pack.writeUInt16LE(3, 6);
    await writeFile(fixture.pack(1), pack);
    const again = await fixture.open({ engine });
    expect(await everything(again)).toEqual(states);
  });
});

describe('a dense pack of another layout, which no release wrote', () => {
  it('is refused as such, and stays as it is', async () => {
    const { pack } = await dense();
    pack.writeUInt16LE(2, 6);
    pack.writeBigUInt64LE(engine.xxh3(pack.subarray(0, 56)), 56);
    await writeFile(fixture.pack(1), pack);
    const refused = await codeOf(async () => {
      const store = await fixture.open({ engine });
      await store.rebuildIndex({ check: true });
    });
    expect(refused).toBe('DK_UNSUPPORTED');
    expect(await readFile(fixture.pack(1))).toEqual(pack);
  });
});

describe('metadata beside a dense pack', () => {
  it('is rebuilt once, not at each opening, when what was committed last is damaged', async () => {
    const { pack, groups } = await dense();
    const last = (groups[groups.length - 1] as number) + 60;
    pack[last] = (pack[last] as number) ^ 0xff;
    await writeFile(fixture.pack(1), pack);
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    let before: string[] | undefined;
    for (let times = 0; times < 3; times += 1) {
      const store = await fixture.open({ engine });
      expect(store.newest?.sequence).toBeLessThan(VERSIONS);
      await store.close();
      before ??= await inQuarantine();
      expect(await inQuarantine()).toEqual(before);
    }
    // Commits go on behind it.
    const store = await fixture.open({ engine });
    await commitFiles(store, { after: noise(400, 1) });
    await store.close();
    expect((await stat(fixture.pack(1))).size).toBe(pack.length);
    expect(await contentOf(await fixture.open({ engine }), 'after')).toEqual(noise(400, 1));
  });

  it('puts nothing in front of a dense pack of which no checkpoint can be read', async () => {
    await within({ denseGroupBytes: 64 << 10, packBytes: 12_000 }, async () => {
      const store = await fixture.open({ engine });
      await writeHistory(store, 1, VERSIONS);
      expect((await condense(store)).packs).toBeGreaterThan(2);
      await store.close();
    });
    const packs = (await readdir(path.join(fixture.root, 'packs'))).sort();
    const numbers = packs.map((name) => Number.parseInt(name, 10));
    // What is behind the last dense one is gone, and of that everything but its first group's head.
    let lastDense = 0;
    for (const number of numbers) {
      const bytes = await readFile(fixture.pack(number));
      if (bytes.readUInt16LE(6) === 3) lastDense = number;
    }
    for (const number of numbers.filter((one) => one > lastDense)) await rm(fixture.pack(number));
    const bytes = await readFile(fixture.pack(lastDense));
    for (const at of groupsOf(bytes)) bytes[at + 60] = (bytes[at + 60] as number) ^ 0xff;
    await writeFile(fixture.pack(lastDense), bytes);
    await rm(path.join(fixture.root, 'meta'), { recursive: true });
    const store = await fixture.open({ engine });
    await commitFiles(store, { after: noise(400, 1) });
    await store.close();
    const now = (await readdir(path.join(fixture.root, 'packs'))).map((name) => Number.parseInt(name, 10));
    expect(Math.max(...now)).toBeGreaterThan(lastDense);
    expect(await readFile(fixture.pack(lastDense))).toEqual(bytes);
    const again = await fixture.open({ engine });
    expect(await contentOf(again, 'after')).toEqual(noise(400, 1));
  });

  it('that nobody knows stops it: no pack is cut then', async () => {
    const { writeInBatches, reopen } = Meta.prototype;
    const failing = async function (this: Meta, ...values: Parameters<typeof writeInBatches>): Promise<void> {
      await writeInBatches.apply(this, values);
      Meta.prototype.writeInBatches = writeInBatches;
      throw Object.assign(new Error('the disk refused'), { code: 'EIO' });
    };
    let left = 1;
    const stuck = async function (this: Meta): Promise<void> {
      left -= 1;
      if (left >= 0) throw new Error('not now');
      return reopen.call(this);
    };
    try {
      await within({ packBytes: 24 << 10 }, async () => {
        const store = await fixture.open({ engine });
        await writeHistory(store, 1, VERSIONS);
        let commit: Promise<unknown> | null = null;
        const onProgress = (): void => {
          if (commit !== null) return;
          Meta.prototype.writeInBatches = failing;
          Meta.prototype.reopen = stuck;
          commit = commitFiles(store, { late: noise(5000, 99) }).catch(() => {});
        };
        expect(await codeOf(() => condense(store, { onProgress }))).toBe('DK_IO');
        await commit;
        expect(store.needsReopen).toBe(true);
        Meta.prototype.reopen = reopen;
        await store.reopen();
        expect((await store.verify()).damage).toEqual([]);
        expect(await contentOf(store, 'a/each')).toEqual(textOf(VERSIONS, 'each'));
        // It had been written, whatever was said of it.
        expect(await contentOf(store, 'late')).toEqual(noise(5000, 99));
      });
    } finally {
      Object.assign(Meta.prototype, { writeInBatches, reopen });
    }
  });
});

describe('searching for groups', () => {
  const home = { checksum, storeId: noise(16, 4), pack: 1 };
  const header = encodePackHeader(1, home.storeId, checksum, 3);

  /** What is found in a file of these bytes, and how many bytes were read for it. */
  async function search(body: Buffer): Promise<{ groups: number; readBytes: number }> {
    const file = path.join(fixture.base, 'searched');
    await writeFile(file, Buffer.concat([header, body]));
    const handle = await open(file);
    let readBytes = 0;
    const counting = new Proxy(handle, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (key !== 'read') return typeof value === 'function' ? value.bind(target) : value;
        return (...values: [Buffer, number, number, number]) => {
          readBytes += values[2];
          return target.read(...values);
        };
      },
    });
    try {
      const { groups } = await findGroups({ handle: counting, header }, home);
      return { groups: groups?.length ?? -1, readBytes };
    } finally {
      await handle.close();
    }
  }

  it('ends, whatever looks like one', async () => {
    const heads = Buffer.alloc(1 << 20, 'DKG2');
    // Heads that are right, of groups that are not.
    const wrong = Buffer.alloc(1 << 20);
    const facts = { foldedBytes: 64, records: 1, offset: 64, bytes: 100 };
    for (let at = 0; at + 200 <= wrong.length; at += 200) {
      const group = encodeGroup(facts, Buffer.alloc(64), { home, place: 64 + at });
      group[60] = (group[60] as number) ^ 1;
      group.copy(wrong, at);
    }
    for (const body of [heads, wrong]) {
      const { groups, readBytes } = await search(body);
      expect(groups).toBe(0);
      expect(readBytes).toBeLessThan(6 * body.length);
    }
  });

  it('finds those whose heads lie across what is read at once', async () => {
    const one = (offset: number, at: number): Buffer =>
      encodeGroup({ foldedBytes: 64, records: 1, offset, bytes: 100 }, noise(64, at), { home, place: 64 + at });
    const body = Buffer.alloc(3 << 20);
    const { length } = one(64, 0);
    // At the ends of the first two windows: magic, head and group cut in turn.
    const places = [(1 << 20) - 2, (2 << 20) - 20, (2 << 20) - 20 + length, 2_900_000];
    for (const [index, at] of places.entries()) one(64 + index * 100, at).copy(body, at);
    expect(await search(body)).toMatchObject({ groups: places.length });
  });
});
