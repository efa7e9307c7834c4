/** Blocks of a pack that the disk does not give any more: verify goes on past them, repair puts the pack aside as it is. */
import { readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import * as path from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { PACK_HEADER_BYTES, RECORD, RECORD_MIN_BYTES } from '../../src/format/format.js';
import type { RebuildReport, Store, VerifyReport } from '../../src/store/store.js';
import { engines } from '../recover/tree-fixture.js';
import { badEngine, sectors } from './bad-sectors.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { badFs } = await import('./bad-sectors.js');
  return badFs(await original());
});

const fixture = new StoreFixture();
beforeEach(() => sectors.clear());

/** Where the n-th record of a kind begins and ends. */
function recordOf(kind: number, nth: number): readonly [number, number] {
  const bytes = readFileSync(fixture.pack(1));
  let left = nth;
  for (let at = PACK_HEADER_BYTES; at < bytes.length; ) {
    const next = at + RECORD_MIN_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 16);
    if (bytes[at + 4] === kind) left -= 1;
    if (left === 0) return [at, next];
    at = next;
  }
  throw new Error('there is no such record');
}

function namesOf({ damage }: VerifyReport | RebuildReport): string[] {
  const names = damage.flatMap(({ affected }) => affected.map((one) => `${one.path} ${one.sequence}`));
  return [...new Set(names)].sort();
}

const kindsOf = ({ damage }: VerifyReport | RebuildReport) => [...new Set(damage.map(({ kind }) => kind))].sort();

describe.each(engines())('a block that cannot be read, with the %s engine', (_name, real) => {
  const engine = badEngine(real);

  async function filled(): Promise<Store> {
    const store = await fixture.open({ engine });
    await commitFiles(store, { near: noise(9000, 1), hit: noise(9000, 2), far: noise(9000, 3) });
    await commitFiles(store, { old: noise(9000, 4) });
    await commitFiles(store, { old: noise(9000, 5), other: noise(9000, 6) });
    await store.close();
    return fixture.open({ engine });
  }

  /** The block in the middle of a blob. */
  function spoilBlob(nth: number): void {
    const [from, to] = recordOf(RECORD.blob, nth);
    const block = Math.floor((from + to) / 2 / 4096) * 4096;
    expect(block >= from && block + 4096 <= to).toBe(true);
    sectors.spoil(fixture.pack(1), block, block + 4096);
  }

  it('is named by verify with the files that it reaches, and nothing else is', async () => {
    const store = await filled();
    spoilBlob(2);
    for (const options of [{}, { readData: false }]) {
      const report = await store.verify(options);
      expect(kindsOf(report)).toEqual(['blob', 'unreadable']);
      expect(report.damage.find(({ kind }) => kind === 'unreadable')?.message).toContain('4096 of ');
      expect(namesOf(report)).toEqual(['hit 1']);
    }
    expect(await codeOf(() => contentOf(store, 'hit'))).toBe('DK_IO');
    expect((await contentOf(store, 'near'))?.equals(noise(9000, 1))).toBe(true);
    sectors.clear();
    expect((await store.verify()).damage).toEqual([]);
  });

  it('makes repair put the pack aside as it is; a copy of the rest takes its place', async () => {
    const store = await filled();
    spoilBlob(2);
    const before = readFileSync(fixture.pack(1));
    const report = await store.rebuildIndex({ check: true });
    expect(report.damage[0]).toMatchObject({ kind: 'unreadable' });
    expect(namesOf(report)).toEqual(['hit 1']);
    const aside = report.quarantined?.find((file) => path.basename(file).startsWith('unreadable-')) as string;
    expect(readFileSync(aside).equals(before)).toBe(true);
    expect(sectors.isBad(aside, 0, before.length)).toBe(true);
    expect(sectors.isBad(fixture.pack(1), 0, before.length)).toBe(false);
    for (const [name, seed] of [['near', 1] as const, ['far', 3] as const, ['old', 5] as const]) {
      expect((await contentOf(store, name))?.equals(noise(9000, seed)), name).toBe(true);
    }
    // Life goes on in the copy, and brings back what the disk has lost.
    await commitFiles(store, { again: noise(9000, 2) });
    await store.close();
    const again = await fixture.open({ engine });
    expect((await contentOf(again, 'hit'))?.equals(noise(9000, 2))).toBe(true);
    expect(kindsOf(await again.verify())).toEqual(['record']);
  });

  it('with a record of versions in it: what the metadata has of them is kept', async () => {
    const store = await filled();
    const [from] = recordOf(RECORD.versions, 3);
    sectors.spoil(fixture.pack(1), from, from + 1);
    expect(kindsOf(await store.verify())).toContain('unreadable');
    const report = await store.rebuildIndex({ check: true });
    expect(report.carriedOver?.versions).toBeGreaterThan(0);
    expect((await contentOf(store, 'other'))?.equals(noise(9000, 6)) ?? true).toBe(true);
    expect((await contentOf(store, 'near'))?.equals(noise(9000, 1))).toBe(true);
  });

  it('at the beginning of the pack', async () => {
    const store = await filled();
    sectors.spoil(fixture.pack(1), 0, 4096);
    expect(namesOf(await store.verify())).toEqual(['near 1']);
    expect(namesOf(await store.rebuildIndex({ check: true }))).toEqual(['near 1']);
    expect((await contentOf(store, 'far'))?.equals(noise(9000, 3))).toBe(true);
    // The header of the copy is whole.
    expect(kindsOf(await store.verify())).toEqual(['blob', 'record']);
  });

  it('behind the newest checkpoint: the store does not open, and does for a repair', async () => {
    await (await filled()).close();
    const { length } = readFileSync(fixture.pack(1));
    await appendFile(fixture.pack(1), noise(9000, 7));
    const block = Math.ceil(length / 4096) * 4096;
    sectors.spoil(fixture.pack(1), block, block + 4096);
    expect(await codeOf(() => fixture.open({ engine }))).toBe('DK_IO');
    expect(readFileSync(fixture.pack(1))).toHaveLength(length + 9000);
    const store = await fixture.open({ engine, restoreMarker: true });
    const { quarantined = [], damage } = await store.rebuildIndex({ check: true });
    expect(damage.map(({ kind }) => kind)).toContain('unreadable');
    const aside = quarantined.find((file) => path.basename(file).startsWith('unreadable-')) as string;
    expect(readFileSync(aside)).toHaveLength(length + 9000);
    await store.close();
    const again = await fixture.open({ engine });
    expect((await contentOf(again, 'old'))?.equals(noise(9000, 5))).toBe(true);
    expect((await again.verify()).damage).toEqual([]);
  });

  it('stays where it is when the pack cannot be put aside: that is told, and all is as before', async () => {
    const store = await filled();
    spoilBlob(2);
    const before = readFileSync(fixture.pack(1));
    sectors.noLinks = true;
    expect(await codeOf(() => store.rebuildIndex({ check: true }))).toBe('DK_IO');
    expect(readFileSync(fixture.pack(1)).equals(before)).toBe(true);
    await store.reopen();
    expect((await contentOf(store, 'far'))?.equals(noise(9000, 3))).toBe(true);
    sectors.noLinks = false;
    expect(namesOf(await store.rebuildIndex({ check: true }))).toEqual(['hit 1']);
  });

  it('that could be read the second time is none', async () => {
    const store = await filled();
    const [from, to] = recordOf(RECORD.blob, 2);
    for (const work of [() => store.verify(), () => store.rebuildIndex({ check: true })]) {
      sectors.spoil(fixture.pack(1), from, to, 1);
      expect(await work()).toMatchObject({ damage: [] });
    }
    expect((await contentOf(store, 'hit'))?.equals(noise(9000, 2))).toBe(true);
  });
});
