/** The marker of a store and its copy: lost, damaged, contradicted, and from releases that made no copy. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Logger, silentLogger } from '../../src/core/core.js';
import { encodeMarker } from '../../src/format/format.js';
import { openStoreOrImport } from '../../src/migrate/migrate.js';
import { type FoundMarker, findMarker } from '../../src/store/marker-files.js';
import { listStoreKeys, openSharedStore, openStore, type StoreOptions, shareStore } from '../../src/store/store.js';
import { storePaths } from '../../src/store/store-files.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const KEY = { keyBytes: Buffer.alloc(32, 'k') };
const sealed = { encrypt: true, key: KEY };
const BYTES = noise(5000, 1);
const NAMES = ['DIFFKEEPER', 'DIFFKEEPER.copy'] as const;
const at = (name: string): string => path.join(fixture.root, name);
const marker = (): Promise<Buffer> => readFile(at('DIFFKEEPER'));

async function fill(options: StoreOptions = {}): Promise<Buffer> {
  const store = await fixture.open(options);
  await commitFiles(store, { name: BYTES, small: Buffer.from('s') });
  await store.close();
  return marker();
}

/** As a release without copies would have left it. */
async function older(change: (text: string) => string = (text) => text): Promise<void> {
  const { check, ...facts } = JSON.parse((await marker()).toString()) as Record<string, unknown>;
  expect(check).toBeDefined();
  await writeFile(at('DIFFKEEPER'), change(`${JSON.stringify(facts)}\n`));
  await rm(at('DIFFKEEPER.copy'));
}

/** Another id, as one flipped bit makes it. */
function flippedId(text: string): string {
  const place = text.indexOf('"id":"') + 6;
  const digit = text[place] as string;
  const other = '0123456789abcdef'.split('').find((one) => one !== digit && isBitApart(one, digit)) as string;
  return text.slice(0, place) + other + text.slice(place + 1);
}

function isBitApart(one: string, other: string): boolean {
  return [1, 2, 4, 8, 16, 32, 64].includes(one.charCodeAt(0) ^ other.charCodeAt(0));
}

async function expectContent(options: StoreOptions = {}): Promise<void> {
  const store = await openStore(fixture.root, options);
  try {
    expect((await contentOf(store, 'name'))?.equals(BYTES)).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
  } finally {
    await store.close();
  }
}

async function expectBoth(bytes: Buffer): Promise<void> {
  for (const name of NAMES) expect((await readFile(at(name))).equals(bytes), name).toBe(true);
}

function listening(): { readonly logger: Logger; readonly said: string[] } {
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (_facts: object, text: string) => void said.push(text) };
  return { logger, said };
}

describe('one of the two files', () => {
  it('that has any bit flipped is found out, and mended from the other one', async () => {
    const whole = await fill();
    await expectBoth(whole);
    const { marker: said } = (await findMarker(storePaths(fixture.root))) as FoundMarker;
    for (const name of NAMES) {
      for (let place = 0; place < whole.length; place += 1) {
        const bytes = Buffer.from(whole);
        bytes[place] = (bytes[place] as number) ^ (1 << (place % 8));
        await writeFile(at(name), bytes);
        // As every reader and writer finds it; a whole opening at some places only, for the time that it takes.
        const found = await findMarker(storePaths(fixture.root));
        expect(found, `${name} at byte ${place}`).toEqual({ marker: said, bytes: whole, whole: false });
        if (place % 40 !== 0) continue;
        await expectContent();
        await expectBoth(whole);
      }
      await writeFile(at(name), whole);
    }
    expect((await readdir(at('quarantine'))).some((name) => name.startsWith('marker-'))).toBe(true);
  }, 60_000);

  it.each(NAMES)('that is missing, empty or huge: %s', async (name) => {
    const whole = await fill();
    const damages = [() => rm(at(name)), ...['', 'x'.repeat(1 << 17)].map((text) => () => writeFile(at(name), text))];
    for (const damage of damages) {
      await damage();
      await expectContent();
      await expectBoth(whole);
    }
  });

  it('is used by who only reads, and left as it is', async () => {
    const whole = await fill();
    const owner = await fixture.open();
    await shareStore(owner);
    for (const name of NAMES) {
      await writeFile(at(name), flippedId(whole.toString()));
      const reader = await openSharedStore(fixture.root);
      expect(reader?.id).toBe(owner.id);
      expect((await contentOf(reader as never, 'name'))?.equals(BYTES)).toBe(true);
      await reader?.close();
      expect((await readFile(at(name))).toString()).toBe(flippedId(whole.toString()));
      await writeFile(at(name), whole);
    }
  });

  it('makes an encrypted store open, and its keys be listed', async () => {
    const whole = await fill(sealed);
    for (const name of NAMES) {
      await writeFile(at(name), flippedId(whole.toString()));
      expect(await listStoreKeys(fixture.root)).toHaveLength(1);
      await expectContent({ key: KEY });
      await expectBoth(whole);
    }
  });

  it('keeps a place from being taken for one without a store', async () => {
    const whole = await fill();
    await rm(at('DIFFKEEPER'));
    const store = await openStoreOrImport(fixture.root, { create: true, schema: 1 });
    expect((await contentOf(store, 'name'))?.equals(BYTES)).toBe(true);
    await store.close();
    await expectBoth(whole);
  });
});

describe('a marker of a release without copies', () => {
  it('is good for readers, and gets its digest and its copy from who opens for writing', async () => {
    const whole = await fill();
    const owner = await fixture.open();
    await shareStore(owner);
    await older();
    const before = await marker();
    const reader = await openSharedStore(fixture.root);
    expect((await contentOf(reader as never, 'name'))?.equals(BYTES)).toBe(true);
    await reader?.close();
    expect((await marker()).equals(before)).toBe(true);
    await owner.close();
    const { logger, said } = listening();
    await expectContent({ logger });
    expect(said).toEqual([]);
    await expectBoth(whole);
  });

  it('that names another store than the packs is told, and repaired', async () => {
    const whole = await fill();
    await older(flippedId);
    expect(await codeOf(() => openStore(fixture.root))).toBe('DK_NO_STORE');
    await expect(openStore(fixture.root, { create: true })).rejects.toThrow(/name different stores.*repair/);
    await expectContent({ restoreMarker: true });
    await expectBoth(whole);
    await expectContent();
  });

  it('of an encrypted store that names another one is no loss of its keys', async () => {
    const whole = await fill(sealed);
    await older(flippedId);
    await expect(openStore(fixture.root, { key: KEY })).rejects.toThrow(/name different stores.*repair/);
    await expectContent({ key: KEY, restoreMarker: true });
    await expectBoth(whole);
  });

  it('of which only the key files can tell that it is another one', async () => {
    await (await fixture.open(sealed)).close();
    const whole = await marker();
    await older(flippedId);
    await expect(openStore(fixture.root, { key: KEY })).rejects.toThrow(/name different stores/);
    await (await openStore(fixture.root, { key: KEY, restoreMarker: true })).close();
    await expectBoth(whole);
  });

  it('stands above a copy that another store has left there', async () => {
    const whole = await fill();
    const strange = { ...(JSON.parse(whole.toString()) as Record<string, unknown>), id: 'a'.repeat(32) };
    const { check, diffkeeper, ...facts } = strange as Record<string, unknown>;
    expect([check, diffkeeper]).toEqual([expect.any(String), 'store']);
    await older();
    await writeFile(at('DIFFKEEPER.copy'), encodeMarker(facts as never));
    await expectContent();
    await expectBoth(whole);
  });
});

describe('both files', () => {
  it('lost or damaged: DK_NO_STORE that names the way out, also for who may make a store', async () => {
    await fill();
    for (const damage of [(name: string) => writeFile(at(name), 'no marker'), (name: string) => rm(at(name))]) {
      for (const name of NAMES) await damage(name);
      for (const create of [false, true]) {
        const failed = await openStore(fixture.root, { create }).catch((error: unknown) => error);
        expect(failed).toMatchObject({ code: 'DK_NO_STORE', message: expect.stringContaining('diffkeeper repair') });
      }
    }
  });

  it.each([
    ['blake3', {}],
    ['sha256', { hashAlgo: 'sha256' }],
    ['encrypted', sealed],
    ['encrypted, sha256', { ...sealed, hashAlgo: 'sha256' }],
  ] as const)('lost are written anew from the packs: %s', async (_name, options) => {
    const { created, seed, check, ...facts } = JSON.parse((await fill(options)).toString()) as Record<string, unknown>;
    for (const name of NAMES) await rm(at(name));
    const { logger, said } = listening();
    const key = 'key' in options ? { key: options.key } : {};
    await expectContent({ ...key, restoreMarker: true, logger });
    expect(said).toEqual(['the marker of the store was lost: written anew from its packs']);
    const now = JSON.parse((await marker()).toString()) as Record<string, unknown>;
    expect(now).toMatchObject(facts);
    expect([created, seed, check, now.created, now.seed, now.check]).toEqual(Array(6).fill(expect.any(String)));
    await expectBoth(await marker());
    await expectContent(key);
  });

  it('and the metadata lost: everything comes back', async () => {
    await fill();
    for (const name of [...NAMES, 'meta', 'cache']) await rm(at(name), { recursive: true });
    await expectContent({ restoreMarker: true });
  });

  it('of which each is of another store: the packs decide', async () => {
    const whole = await fill();
    await openStore(`${fixture.root}-2`, { create: true }).then((store) => store.close());
    const other = await readFile(path.join(`${fixture.root}-2`, 'DIFFKEEPER'));
    for (const name of NAMES) {
      await writeFile(at(name), other);
      await expectContent();
      await expectBoth(whole);
    }
    // Whole, and alike: who opens the store believes them, and finds nothing. A repair does not.
    for (const name of NAMES) await writeFile(at(name), other);
    await expectContent({ restoreMarker: true });
    const { id, hashAlgo } = JSON.parse((await marker()).toString()) as Record<string, unknown>;
    expect(JSON.parse(whole.toString())).toMatchObject({ id, hashAlgo });
  });

  it('are not guessed: no whole header, packs of two stores, nothing to read, a key that is missing', async () => {
    await fill(sealed);
    for (const name of NAMES) await rm(at(name));
    expect(await codeOf(() => openStore(fixture.root, { restoreMarker: true }))).toBe('DK_KEY_NEEDED');
    for (const name of ['KEYS', 'KEYS.copy']) await rm(at(name));
    expect(await codeOf(() => openStore(fixture.root, { restoreMarker: true, key: KEY }))).toBe('DK_KEY_LOST');
    await rm(fixture.root, { recursive: true });
    await fill();
    for (const name of NAMES) await rm(at(name));
    const pack = await readFile(fixture.pack(1));
    const other = `${fixture.root}-2`;
    const store = await openStore(other, { create: true });
    await commitFiles(store, { name: BYTES });
    await store.close();
    const strange = await readFile(path.join(other, 'packs', '00000001.dkp'));
    const refused: Record<string, Buffer>[] = [
      { '00000001.dkp': Buffer.from(pack).fill(0, 20, 30) },
      { '00000001.dkp': pack, '00000002.dkp': strange },
      { '00000001.dkp': Buffer.from(pack).fill(0, 64) },
    ];
    for (const packs of refused) {
      for (const [name, bytes] of Object.entries(packs)) await writeFile(at(path.join('packs', name)), bytes);
      await expect(openStore(fixture.root, { restoreMarker: true })).rejects.toThrow(/cannot be written anew/);
      await rm(fixture.pack(2), { force: true });
      expect((await readdir(fixture.root)).filter((name) => name.startsWith('DIFFKEEPER'))).toEqual([]);
    }
    await writeFile(fixture.pack(1), pack);
    await expectContent({ restoreMarker: true });
    expect(await codeOf(() => openStore(path.join(fixture.base, 'none'), { restoreMarker: true }))).toBe('DK_NO_STORE');
    // A file of this name in somebody else's directory.
    const foreign = path.join(fixture.base, 'foreign');
    await mkdir(foreign);
    await writeFile(path.join(foreign, 'DIFFKEEPER'), 'notes');
    expect(await codeOf(() => openStore(foreign, { restoreMarker: true }))).toBe('DK_NO_STORE');
    expect(await readdir(foreign)).toEqual(['DIFFKEEPER']);
  });

  it('of a newer format are left alone', async () => {
    const whole = await fill();
    const { check, diffkeeper, ...facts } = JSON.parse(whole.toString()) as Record<string, unknown>;
    expect([check, diffkeeper]).toEqual([expect.any(String), 'store']);
    for (const name of NAMES) {
      await writeFile(at(name), encodeMarker({ ...facts, format: 9 } as never));
      for (const restoreMarker of [false, true]) {
        expect(await codeOf(() => openStore(fixture.root, { restoreMarker }))).toBe('DK_STORE_FORMAT_NEWER');
      }
      await writeFile(at(name), whole);
    }
  });
});
