/** The history that a prune wrote is lost, and its seal is not: nothing that is left may be counted out by it. */
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { Meta } from '../../src/store/meta.js';
import { packName } from '../../src/store/pack-names.js';
import { readPrune } from '../../src/store/prune-state.js';
import type { RebuildReport, Store } from '../../src/store/store.js';
import { commitFiles, contentOf, noise, StoreFixture, sequencesOf } from './store-fixture.js';

const fixture = new StoreFixture();
const at = (name: string): string => path.join(fixture.root, name);
const ALL = { old: noise(20_000, 1), early: noise(20_000, 4), late: noise(20_000, 6) };

/** Four checkpoints, the last two of which are kept: the third has what the first and the second one changed. */
async function fill(compactBelow: number): Promise<void> {
  const store = await fixture.open();
  await commitFiles(store, { old: noise(20_000, 1), early: noise(20_000, 2), gone: noise(20_000, 3) });
  await commitFiles(store, { early: noise(20_000, 4) });
  await commitFiles(store, { late: noise(20_000, 5), gone: null });
  await commitFiles(store, { late: noise(20_000, 6) });
  await store.prune({ keepLast: 2 }, { compactBelow });
  await store.retag(3, 'named');
  await store.close();
}

/** Moves the packs of the history away; gives their names. */
async function loseHistory(): Promise<string[]> {
  const checksum = (bytes: Uint8Array): bigint => loadEngine().xxh3(bytes);
  const meta = await Meta.open(at('meta'), { create: false, checksum, tablesFile: at('cache/meta-tables') });
  const names = ((await readPrune(meta))?.history ?? []).map(packName);
  await meta.close();
  expect(names).toHaveLength(1);
  for (const name of names) await rename(at(`packs/${name}`), path.join(fixture.base, name));
  return names;
}

async function expectFiles(store: Store, files: Record<string, Buffer>): Promise<void> {
  for (const [name, bytes] of Object.entries(files)) {
    expect((await contentOf(store, name))?.equals(bytes), name).toBe(true);
  }
  expect(await contentOf(store, 'gone')).toBeNull();
}

/** What is acknowledged from now on counts, also once the packs are asked again. */
async function expectLifeGoesOn(files: Record<string, Buffer>, lasting: readonly string[] = []): Promise<void> {
  const store = await fixture.open();
  const before = await sequencesOf(store);
  await commitFiles(store, { later: noise(20_000, 7) });
  await commitFiles(store, { later: noise(20_000, 8) });
  await store.close();
  const all = [...before, (before.at(-1) ?? 0) + 1, (before.at(-1) ?? 0) + 2];
  const again = await fixture.open();
  expect(await sequencesOf(again)).toEqual(all);
  await again.close();
  await rm(at('meta'), { recursive: true });
  const alone = await fixture.open();
  expect(await sequencesOf(alone)).toEqual(all);
  await expectFiles(alone, { ...files, later: noise(20_000, 8) });
  const report = await alone.rebuildIndex({ check: true });
  expect(report.damage.map(({ kind, where }) => `${kind} ${where}`)).toEqual(lasting);
  await expectFiles(alone, { ...files, later: noise(20_000, 8) });
  await alone.prune({ keepLast: 1 });
  await expectFiles(alone, { ...files, later: noise(20_000, 8) });
  await alone.close();
}

function lostIn({ damage }: RebuildReport): string[] {
  return damage.flatMap(({ affected }) => affected.map((one) => `${one.path} ${one.sequence}`)).sort();
}

describe('with the metadata there', () => {
  it('a repair gives back the kept checkpoints, from metadata and log', async () => {
    await fill(0);
    await loseHistory();
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect(report.carriedOver?.checkpoints).toBe(2);
    expect(lostIn(report)).toEqual([]);
    expect(await sequencesOf(store)).toEqual([3, 4]);
    for await (const { sequence, tag } of store.checkpoints()) expect(tag).toBe(sequence === 3 ? 'named' : '');
    await expectFiles(store, ALL);
    for await (const batch of store.entries({ at: 3 })) {
      const late = batch.find((version) => version.path === 'late');
      if (late) expect((await store.reader(late).read(0, 20_000)).equals(noise(20_000, 5))).toBe(true);
      expect(batch.map((version) => version.path)).toEqual(['early', 'late', 'old']);
    }
    expect((await store.verify({ readData: true })).damage).toEqual([]);
    await store.close();
    await expectLifeGoesOn(ALL);
  });

  it('and the log rewritten: the newest versions come back, others are named', async () => {
    await fill(1);
    await loseHistory();
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect(lostIn(report)).toEqual(['late 3']);
    expect(await sequencesOf(store)).toEqual([3, 4]);
    await expectFiles(store, ALL);
    await store.close();
    // Its tree was another one.
    await expectLifeGoesOn(ALL, ['root checkpoint 3']);
  });

  it('nobody repairs it: commits go on, and a repair afterwards has them', async () => {
    await fill(0);
    await loseHistory();
    const store = await fixture.open();
    await expectFiles(store, ALL);
    await commitFiles(store, { later: noise(20_000, 9) });
    await store.close();
    const again = await fixture.open();
    expect((await again.rebuildIndex({ check: true })).damage).toEqual([]);
    expect(await sequencesOf(again)).toEqual([3, 4, 5]);
    await expectFiles(again, { ...ALL, later: noise(20_000, 9) });
    await again.close();
    await expectLifeGoesOn(ALL);
  });
});

describe('with the metadata lost, too', () => {
  it('the log gives what it has, dropped checkpoints included', async () => {
    await fill(0);
    await loseHistory();
    await rm(at('meta'), { recursive: true });
    const store = await fixture.open();
    expect(await sequencesOf(store)).toEqual([1, 2, 3, 4]);
    await expectFiles(store, ALL);
    await store.close();
    await expectLifeGoesOn(ALL);
  });

  it('a log that has nothing: what the prune wrote goes aside, and commits begin anew', async () => {
    await fill(0);
    const names = await loseHistory();
    await rm(at('meta'), { recursive: true });
    for (const name of await readdir(at('packs'))) if (name < '5') await rm(at(`packs/${name}`));
    const store = await fixture.open();
    expect(await sequencesOf(store)).toEqual([]);
    expect((await readdir(at('packs'))).filter((name) => name >= '5')).toEqual([]);
    expect((await readdir(at('quarantine'))).filter((name) => name.startsWith('unsealed-')).length).toBe(2);
    await store.close();
    await expectLifeGoesOn({});
    // Who finds the history puts it back beside what went aside, into another store.
    expect(await readdir(fixture.base)).toContain(names[0]);
  });
});

describe('one of the two copies of the seal', () => {
  it.each([0, 1])('missing (%i): verify tells of it, and the next opening writes it again', async (copy) => {
    await fill(0);
    const store = await fixture.open();
    const names = (await readdir(at('packs'))).sort();
    const seal = at(`packs/${names[names.length - 2 + copy]}`);
    const bytes = await readFile(seal);
    await rm(seal);
    const { damage } = await store.verify();
    expect(damage.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      expect.stringMatching(/^pack: .*seal of a prune/),
    ]);
    await store.close();
    const again = await fixture.open();
    expect(await readFile(seal)).toEqual(bytes);
    expect((await again.verify()).damage).toEqual([]);
    expect(await sequencesOf(again)).toEqual([3, 4]);
    await again.close();
  });
});
