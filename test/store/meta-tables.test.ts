import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore, type Store } from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

async function tables(): Promise<string[]> {
  const names = await readdir(path.join(fixture.root, 'meta'));
  return names.filter((name) => name.endsWith('.ldb')).map((name) => path.join(fixture.root, 'meta', name));
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] as number) ^ 0x10;
  await writeFile(file, bytes);
}

/** LevelDB turns its log into a table when it is opened again. */
async function storeWithTables(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const store = await fixture.open();
    await commitFiles(store, { [`f${round}`]: noise(5000, round + 1), same: noise(100, round) });
    await store.close();
  }
  expect((await tables()).length).toBeGreaterThan(0);
}

async function expectWhole(store: Store): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    expect((await contentOf(store, `f${round}`))?.equals(noise(5000, round + 1))).toBe(true);
  }
  expect((await store.verify()).damage).toEqual([]);
}

describe('a flipped bit in a table of LevelDB', () => {
  it('is found before LevelDB sees it, wherever it is', async () => {
    await storeWithTables();
    for (let share = 0; share < 1; share += 0.04) {
      const [table] = await tables();
      if (!table) {
        // A rebuilt database is a log at first.
        await (await fixture.open()).close();
        continue;
      }
      await flip(table, Math.floor((await stat(table)).size * share));
      const warnings: string[] = [];
      const note = (_facts: object, message: string): void => void warnings.push(message);
      const store = await fixture.open({ logger: { debug: () => {}, info: () => {}, warn: note, error: note } });
      expect(warnings[0]).toContain('does not open');
      await expectWhole(store);
      await store.close();
      await rm(store.quarantinePath, { recursive: true });
    }
  });

  it('takes no metadata away from a process that has the store', async () => {
    await storeWithTables();
    const store = await fixture.open();
    const [table] = await tables();
    await flip(table as string, 40);
    expect(await codeOf(() => openStore(fixture.root))).toBe('DK_STORE_LOCKED');
    expect(await tables()).toContain(table);
    await store.close();
    await expectWhole(await fixture.open());
  });

  it('is not looked for when the notes are gone or of no use', async () => {
    await storeWithTables();
    const notes = path.join(fixture.root, 'cache', 'meta-tables');
    for (const spoil of [() => rm(notes), () => writeFile(notes, 'nonsense\n'), () => flip(notes, 3)]) {
      await spoil();
      const store = await fixture.open();
      await expectWhole(store);
      await store.close();
      expect((await stat(notes)).size).toBeGreaterThan(16);
    }
  });

  it('is looked for again after the notes went while the store was open', async () => {
    await storeWithTables();
    const notes = path.join(fixture.root, 'cache', 'meta-tables');
    // Nothing is written, so that the tables stay as they are.
    await (await fixture.open()).close();
    const before = await readFile(notes, 'latin1');
    const file = (await stat(notes)).ino;
    await (await fixture.open()).close();
    expect(await readFile(notes, 'latin1')).toBe(before);
    // The same was not written again.
    expect((await stat(notes)).ino).toBe(file);
    const store = await fixture.open();
    await rm(notes);
    await store.close();
    expect(await readFile(notes, 'latin1')).toBe(before);
  });
});
