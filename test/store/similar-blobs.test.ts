/** New content that resembles a stored blob is coded against it. */
import { createCipheriv } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { type Engine, SKETCH_FEATURES, TRY } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { RECORD, removedVersion, VERSION_TYPE } from '../../src/format/format.js';
import { openStore, type Store, type Transaction } from '../../src/store/store.js';
import { expectSecondContents } from '../format/second-compare.js';
import { push } from '../replicate/replica-fixture.js';
import { flipRecord } from './flip-record.js';
import { contentOf, StoreFixture } from './store-fixture.js';

const KIB = 1024;
const fixture = new StoreFixture();
const { packBytes } = LIMITS;

afterEach(() => {
  Object.assign(LIMITS, { packBytes });
});

/** Deterministic bytes; different seeds share nothing, however many there are. */
function noise(bytes: number, seed: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, `${seed}.`), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

type Files = ReadonlyMap<string, Buffer>;

/** Stores the files in one call, as a capture does it. */
async function put(transaction: Transaction, files: Files, tries?: number): Promise<void> {
  const inputs = [...files.values()].map((bytes) => {
    return { bytes, kind: 'blob' as const, similar: true, ...(tries !== undefined && { tries }) };
  });
  const digests = await transaction.storeBlobs(inputs);
  for (const [index, [name, bytes]] of [...files].entries()) {
    const facts = { size: bytes.length, digest: digests[index] as Buffer, recipe: { kind: 'whole' as const } };
    transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644, ...facts });
  }
}

/** One checkpoint; gives the bytes that it stored. */
async function commit(store: Store, files: Files, tries?: number): Promise<number> {
  const transaction = store.begin();
  await put(transaction, files, tries);
  return (await transaction.commit())?.storedBytes ?? 0;
}

function shifted(bytes: Buffer, by = 14): Buffer {
  return Buffer.concat([noise(by, by + 7000), bytes]);
}

function shiftedAll(files: Files, prefix: string, by = 14): Map<string, Buffer> {
  return new Map([...files].map(([name, bytes]) => [prefix + name, shifted(bytes, by)]));
}

function noises(count: number, bytes: number, seed = 1): Map<string, Buffer> {
  return new Map(Array.from({ length: count }, (_, index) => [`n${seed + index}`, noise(bytes, seed + index)]));
}

async function expectAll(store: Store, files: Files): Promise<void> {
  for (const [name, bytes] of files) expect((await contentOf(store, name))?.equals(bytes), name).toBe(true);
}

const sizes = new Map([8, 60, 250].map((kib) => [`f${kib}`, noise(kib * KIB, kib)]));
const first = (files: Files) => new Map([...files].slice(0, 1));

async function cacheFiles(store: Store): Promise<string[]> {
  return (await readdir(store.cachePath)).filter((name) => name.startsWith('similar-'));
}

describe('copies that are shifted', () => {
  it('take some bytes in the same call, in another, in another transaction and in another opening', async () => {
    let store = await fixture.open();
    const copies = shiftedAll(sizes, 'same-');
    const whole = 318 * KIB;
    expect(await commit(store, new Map([...copies, ...sizes]))).toBeLessThan(whole + 3 * 400);
    expect((await store.stats()).depths).toEqual([3, 3]);
    const transaction = store.begin();
    const more = shiftedAll(sizes, 'more-', 30);
    const others = noises(40, 20_000, 500);
    await put(transaction, others);
    await put(transaction, more);
    const last = shiftedAll(others, 'last-');
    await put(transaction, last);
    await transaction.commit();
    expect((await store.stats()).depths).toEqual([43, 46]);
    await store.close();
    store = await fixture.open();
    const later = shiftedAll(sizes, 'later-', 50);
    expect(await commit(store, later)).toBeLessThan(3 * 500);
    const all = new Map([...sizes, ...copies, ...others, ...more, ...last, ...later]);
    await expectAll(store, all);
    expect((await store.verify()).damage).toEqual([]);
    const { savings } = await store.stats();
    expect(savings?.deltaBytes).toBeGreaterThan(3 * whole);
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    await expectAll(store, all);
    await store.close();
    await expectSecondContents(fixture.root, all);
  });

  it('are found in a transaction of several packs, whose first are written and whose last is not', async () => {
    Object.assign(LIMITS, { packBytes: 1 << 20 });
    const store = await fixture.open();
    const transaction = store.begin();
    const files = [...noises(40, 120 * KIB)];
    for (let from = 0; from < files.length; from += 9) await put(transaction, new Map(files.slice(from, from + 9)));
    const some = new Map(files.filter((_, index) => index % 5 === 0 || index === 39));
    const copies = shiftedAll(some, 'copy-', 5);
    await put(transaction, copies);
    await transaction.commit();
    const { depths } = await store.stats();
    expect(depths).toEqual([40, some.size]);
    expect((await readdir(path.join(fixture.root, 'packs'))).length).toBeGreaterThan(3);
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    await expectAll(store, copies);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('go to a replica as they are', async () => {
    const store = await fixture.open();
    const copies = shiftedAll(sizes, 'same-');
    await commit(store, new Map([...sizes, ...copies]));
    await commit(store, shiftedAll(sizes, 'later-', 40));
    const replica = await openStore(`${fixture.root}-replica`, { create: true });
    await push(store, replica);
    expect((await replica.stats()).depths).toEqual((await store.stats()).depths);
    await expectAll(replica, new Map([...sizes, ...copies]));
    expect((await replica.verify()).damage).toEqual([]);
    await replica.close();
  });

  it('outlive what they were coded against, which a prune keeps as long as it is needed', async () => {
    Object.assign(LIMITS, { packBytes: 64 * KIB });
    const store = await fixture.open();
    const copies = shiftedAll(sizes, 'copy-');
    await commit(store, new Map([...sizes, ...copies]));
    const removal = store.begin();
    for (const name of sizes.keys()) removal.remove(name);
    await removal.commit();
    expect((await store.prune({ keepLast: 1 }, { compactBelow: 1 })).dropped.length).toBe(1);
    await expectAll(store, copies);
    expect((await store.verify()).damage).toEqual([]);
    // What only copies need is found still, also while it is about to go.
    const rest = store.begin();
    for (const name of copies.keys()) rest.remove(name);
    await rest.commit();
    const pruned = store.prune({ keepLast: 1 }, { compactBelow: 1 });
    const again = shiftedAll(sizes, 'again-', 33);
    await commit(store, again);
    await pruned;
    await expectAll(store, again);
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    await expectAll(store, again);
    // Nothing needs any of it: the table names what is not there any more.
    const end = store.begin();
    for (const name of again.keys()) end.remove(name);
    await end.commit();
    await commit(store, noises(3, 90 * KIB, 800));
    await store.prune({ keepLast: 1 }, { compactBelow: 1 });
    expect((await store.stats()).depths).toEqual([3]);
    const anew = shiftedAll(sizes, 'anew-', 20);
    await commit(store, anew);
    expect((await store.stats()).depths).toEqual([6]);
    await expectAll(store, anew);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('of what was given up, or is damaged, stand alone', async () => {
    const store = await fixture.open();
    const transaction = store.begin();
    await put(transaction, sizes);
    await put(transaction, shiftedAll(sizes, 'never-'));
    await transaction.abort();
    const copies = shiftedAll(sizes, 'copy-');
    await commit(store, copies);
    expect((await store.stats()).depths).toEqual([3]);
    await flipRecord(fixture.pack(1), RECORD.blob, 2);
    const more = shiftedAll(sizes, 'more-', 30);
    await commit(store, more);
    expect((await store.stats()).depths).toEqual([4, 2]);
    await expectAll(store, more);
  });
});

describe('the rules', () => {
  it('of depth hold: whatever follows is no deeper than is allowed', async () => {
    const store = await fixture.open({ snapshotInterval: 2 });
    const bytes = noise(20_000, 5);
    await commit(store, new Map([['a', bytes]]));
    await commit(store, new Map([['b', shifted(bytes)]]));
    let current = shifted(bytes);
    for (let round = 0; round < 6; round += 1) {
      const context = {
        bytes: current,
        extents: [] as { digest: Buffer; offset: number; length: number }[],
        aligned: false,
      };
      const [head] = await store.heads(['b']);
      context.extents.push({ digest: head?.digest as Buffer, offset: 0, length: current.length });
      current = Buffer.concat([current, noise(50, round + 900)]);
      const transaction = store.begin();
      const [digest] = await transaction.storeBlobs([{ bytes: current, kind: 'blob', similar: true, context }]);
      const facts = { size: current.length, digest: digest as Buffer, recipe: { kind: 'whole' as const } };
      transaction.put({ ...removedVersion('b', 0), type: VERSION_TYPE.file, mode: 0o644, ...facts });
      await transaction.commit();
      await expectAll(store, new Map([['b', current]]));
    }
    expect((await store.stats()).depths.length).toBeLessThanOrEqual(3);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('of depth hold for what a dictionary has made one layer deep', async () => {
    const words = Array.from({ length: 256 }, (_, index) => noise(9, 5000 + index).toString('hex'));
    const text = (index: number) => Buffer.from([...noise(300, index)].map((byte) => words[byte]).join(' '));
    const files = new Map(Array.from({ length: 200 }, (_, index) => [`t${index}`, text(index)]));
    for (const [snapshotInterval, depths] of [
      [1, 2],
      [10, 3],
    ] as const) {
      const store = await openStore(`${fixture.root}-${snapshotInterval}`, { create: true, snapshotInterval });
      await commit(store, files);
      expect((await store.stats()).savings?.dictionaryBytes).toBeGreaterThan(0);
      const copies = shiftedAll(files, 'copy-');
      await commit(store, copies);
      expect((await store.stats()).depths.length).toBe(depths);
      await expectAll(store, copies);
      expect((await store.verify()).damage).toEqual([]);
      await store.close();
    }
  });

  it('of engines hold, and nothing is looked for that nobody asked for', async () => {
    const store = await fixture.open();
    await commit(store, sizes);
    await commit(store, shiftedAll(sizes, 'zstd-'), TRY.zstd);
    const transaction = store.begin();
    await transaction.storeBlobs(
      [...shiftedAll(sizes, 'x', 3).values()].map((bytes) => ({ bytes, kind: 'blob' as const })),
    );
    await transaction.commit({ force: true });
    expect((await store.stats()).depths).toEqual([9]);
  });

  it('of worth hold: contents that only seem to resemble each other cost nothing but the look', async () => {
    const real = loadEngine();
    const engine: Engine = {
      ...real,
      sketchMany: async (_, pieces) => new Uint32Array((pieces.length / 2) * SKETCH_FEATURES).fill(7),
    };
    const files = new Map([...noises(60, 9000), ['text', Buffer.from('all of it is text. '.repeat(900))]]);
    const plain = await openStore(`${fixture.root}-plain`, { create: true });
    const honest = await commit(plain, files);
    await plain.close();
    const store = await fixture.open({ engine });
    expect(await commit(store, files)).toBe(honest);
    expect((await store.stats()).depths).toEqual([61]);
    await commit(store, noises(10, 9000, 300));
    await expectAll(store, files);
    expect((await store.verify()).damage).toEqual([]);
  });
});

describe('what is remembered', () => {
  it('may be lost or damaged: then less is found', async () => {
    let store = await fixture.open();
    await commit(store, sizes);
    await store.close();
    expect(await cacheFiles(store)).toEqual(['similar-0']);
    const file = path.join(store.cachePath, 'similar-0');
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    await writeFile(file, bytes);
    store = await fixture.open();
    await commit(store, first(shiftedAll(sizes, 'damaged-')));
    expect((await store.stats()).depths).toEqual([4]);
    await store.close();
    await rm(store.cachePath, { recursive: true });
    store = await fixture.open();
    await commit(store, first(shiftedAll(sizes, 'lost-', 20)));
    expect((await store.stats()).depths).toEqual([5]);
    await commit(store, first(shiftedAll(sizes, 'found-', 25)));
    expect((await store.stats()).depths).toEqual([5, 1]);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('is written only when there is something new', async () => {
    let store = await fixture.open();
    await commit(store, new Map([['tiny', noise(4000, 1)]]));
    await store.close();
    expect(await cacheFiles(store)).toEqual([]);
    store = await fixture.open();
    await commit(store, noises(1100, 4100, 50));
    expect(await cacheFiles(store)).toEqual(['similar-0']);
  });

  it('tells nothing of the content of an encrypted store', async () => {
    const key = { keyBytes: Buffer.alloc(32, 'k') };
    let store = await fixture.open({ encrypt: true, key });
    await commit(store, sizes);
    const heads = await store.heads([...sizes.keys()]);
    await store.close();
    const sealed = await readFile(path.join(store.cachePath, 'similar-0'));
    const features = await loadEngine().sketchMany(sizes.get('f60') as Buffer, Uint32Array.of(0, 60 * KIB));
    for (const head of heads) expect(sealed.includes(head?.digest as Buffer)).toBe(false);
    for (const feature of features) {
      const word = Buffer.alloc(4);
      word.writeUInt32LE(feature);
      expect(sealed.includes(word)).toBe(false);
    }
    expect(sealed.includes('DKSIMI')).toBe(false);
    store = await fixture.open({ key });
    const copies = shiftedAll(sizes, 'copy-');
    await commit(store, copies);
    expect((await store.stats()).depths).toEqual([3, 3]);
    await expectAll(store, copies);
    expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    await expectAll(store, copies);
  });
});
