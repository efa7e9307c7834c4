/** What the packs have lost and the metadata still has: `repair` writes it into packs again, so that the packs alone have it. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { RECORD } from '../../src/format/format.js';
import { Meta } from '../../src/store/meta.js';
import { headKey } from '../../src/store/meta-keys.js';
import type { RebuildReport, Store, StoreOptions } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const at = (name: string): string => path.join(fixture.root, name);

async function statesOf(store: Store): Promise<string[]> {
  const states: string[] = [];
  for await (const { sequence, tag, timeMs } of store.checkpoints()) {
    const names: string[] = [];
    for await (const batch of store.entries({ at: sequence })) {
      for (const version of batch) {
        const bytes = await store.reader(version).read(0, version.size);
        names.push(`${version.path} ${store.engine.digest(store.hashAlgo, bytes).toString('hex', 0, 6)}`);
      }
    }
    states.push(`${sequence} "${tag}" ${timeMs}: ${names.sort().join(', ')}`);
  }
  return states;
}

function namesOf({ damage }: RebuildReport): string[] {
  return damage.flatMap(({ affected }) => affected.map((one) => `${one.path} ${one.sequence}`)).sort();
}

/** Repairs, and compares what is there then with what the packs alone say. */
async function repaired(options: StoreOptions = {}): Promise<{ report: RebuildReport; states: string[] }> {
  const store = await fixture.open(options);
  const report = await store.rebuildIndex({ check: true });
  const states = await statesOf(store);
  // A tree that lacks something is not the one that it was.
  const known = new Set(namesOf(report).length > 0 ? ['record', 'root'] : ['record']);
  expect((await store.verify()).damage.filter(({ kind }) => !known.has(kind))).toEqual([]);
  await store.close();
  await rm(at('meta'), { recursive: true });
  const alone = await fixture.open(options);
  expect(await statesOf(alone)).toEqual(states);
  // Life goes on, and once more from the packs alone.
  await commitFiles(alone, { later: noise(100, 99) });
  const after = await statesOf(alone);
  expect(after.slice(1)).toEqual(states);
  const again = await alone.rebuildIndex({ check: true });
  expect(again.carriedOver).toEqual({ versions: 0, checkpoints: 0 });
  expect(await statesOf(alone)).toEqual(after);
  await alone.close();
  return { report, states };
}

/** Three checkpoints, the second of them with a tag; gives what the store had. */
async function filled(options: StoreOptions = {}, last: Record<string, Buffer | null> = { a: noise(300, 5) }) {
  const store = await fixture.open(options);
  await commitFiles(store, { a: noise(300, 1), b: noise(300, 2), gone: noise(300, 3) });
  const second = store.begin();
  await second.commit({ tag: 'second', force: true });
  await commitFiles(store, { b: noise(300, 4), link: noise(20, 6) });
  await commitFiles(store, last);
  const states = await statesOf(store);
  await store.close();
  return states;
}

const KEY = { keyBytes: Buffer.alloc(32, 'key') };

/** Damages what begins at the n-th byte from the end: records of an encrypted store do not say what they are. */
async function spoilEnd(bytesBefore: number): Promise<void> {
  const bytes = await readFile(fixture.pack(1));
  bytes[bytes.length - bytesBefore] = (bytes[bytes.length - bytesBefore] as number) ^ 4;
  await writeFile(fixture.pack(1), bytes);
}

describe('a damaged record of versions', () => {
  it('costs nothing when the metadata has copies of all that stood in it', async () => {
    const states = await filled();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    const { report, states: after } = await repaired();
    expect(report.carriedOver).toEqual({ versions: 2, checkpoints: 0 });
    expect(namesOf(report)).toEqual([]);
    expect(after).toEqual(states);
  });

  it('of the newest checkpoint: what it removed does not come back', async () => {
    const states = await filled({}, { a: noise(300, 5), gone: null });
    await flipRecord(fixture.pack(1), RECORD.versions, 3);
    const { report, states: after } = await repaired();
    expect(report.carriedOver).toEqual({ versions: 2, checkpoints: 0 });
    expect(after).toEqual(states);
  });

  it('that held versions of which there is no copy: these are named, the others kept', async () => {
    const states = await filled({}, { b: noise(300, 5) });
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect([report.carriedOver, namesOf(report)]).toEqual([{ versions: 1, checkpoints: 0 }, ['b 3']]);
    const after = await statesOf(store);
    expect(after[0]).toBe(states[0]);
    expect(after.slice(2)).toEqual(states.slice(2));
  });

  it('whose content is damaged, too: the version before it is what there is, and it is named', async () => {
    await filled();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    await flipRecord(fixture.pack(1), RECORD.blob, 4);
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect([report.carriedOver, namesOf(report)]).toEqual([{ versions: 1, checkpoints: 0 }, ['b 3']]);
    expect((await contentOf(store, 'b'))?.equals(noise(300, 2))).toBe(true);
    expect((await contentOf(store, 'link'))?.equals(noise(20, 6))).toBe(true);
  });

  it('a path without a head is not taken for removed when LevelDB has lost heads', async () => {
    await filled({}, { a: noise(300, 5), gone: null });
    await flipRecord(fixture.pack(1), RECORD.versions, 3);
    const checksum = (bytes: Uint8Array): bigint => loadEngine().xxh3(bytes);
    const tablesFile = at('cache/meta-tables');
    const meta = await Meta.open(at('meta'), { create: false, checksum, tablesFile });
    await meta.write([{ key: headKey('a'), value: null }], true);
    await meta.close();
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect([report.carriedOver, namesOf(report)]).toEqual([{ versions: 0, checkpoints: 0 }, ['a 4', 'gone 4']]);
    expect((await contentOf(store, 'a'))?.equals(noise(300, 1))).toBe(true);
  });

  it('in the history that a prune wrote', async () => {
    await filled();
    const store = await fixture.open();
    await store.prune({ keepLast: 2 });
    await commitFiles(store, { a: noise(300, 7) });
    const states = await statesOf(store);
    await store.close();
    await flipRecord(fixture.pack(50_000_000), RECORD.versions, 2);
    await flipRecord(fixture.pack(50_000_000), RECORD.checkpoint, 1);
    const { report, states: after } = await repaired();
    expect(report.carriedOver).toEqual({ versions: 0, checkpoints: 1 });
    expect(namesOf(report)).toEqual(['a 4']);
    expect([after[0], after[2]]).toEqual([states[0], states[2]]);
  });
});

describe('a damaged checkpoint record', () => {
  it.each([1, 2, 3, 4])('number %i of four costs nothing', async (nth) => {
    const states = await filled();
    await flipRecord(fixture.pack(1), RECORD.checkpoint, nth);
    const { report, states: after } = await repaired();
    expect(report.carriedOver).toEqual({ versions: 0, checkpoints: nth === 4 ? 0 : 1 });
    expect(namesOf(report)).toEqual([]);
    expect(after).toEqual(states);
  });

  it('with the records of versions before it, at the end of a store', async () => {
    const states = await filled({}, { a: noise(300, 5), gone: null });
    await flipRecord(fixture.pack(1), RECORD.checkpoint, 4);
    await flipRecord(fixture.pack(1), RECORD.versions, 3);
    const { states: after } = await repaired();
    expect(after).toEqual(states);
  });

  it('of an encrypted store', async () => {
    const states = await filled({ encrypt: true, key: KEY });
    await spoilEnd(20);
    expect((await repaired({ key: KEY })).states).toEqual(states);
  });
});

describe('a repair that did not end', () => {
  it('is as if it had not begun: the metadata of before comes back', async () => {
    const states = await filled();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    await rename(at('meta'), at('meta-before'));
    const store = await fixture.open();
    expect(await statesOf(store)).toEqual(states);
    expect((await readdir(fixture.root)).filter((name) => name.startsWith('meta'))).toEqual(['meta']);
    expect((await store.rebuildIndex()).carriedOver).toEqual({ versions: 2, checkpoints: 0 });
    expect(await statesOf(store)).toEqual(states);
  });
});
