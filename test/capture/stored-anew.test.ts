/** A store that was damaged takes the same bytes anew, with and without a repair: what is acknowledged can be read. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openCaptureSession, watch } from '../../src/capture/capture.js';
import type { Logger } from '../../src/core/core.js';
import { recover } from '../../src/recover/recover.js';
import { openStore, type Store, type StoreKey } from '../../src/store/store.js';
import { noise } from './state-fixture.js';

const BIG_BYTES = 6 << 20;
const FILES = 12;

let directory: string;
let warnings: string[];
let key: StoreKey | undefined;
const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (facts, message) => void warnings.push(`${message} ${JSON.stringify(facts)}`),
  error: (facts, message) => void warnings.push(`${message} ${JSON.stringify(facts)}`),
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dk-anew-'));
  warnings = [];
  key = undefined;
  mkdirSync(at('state/sub'), { recursive: true });
  for (let file = 0; file < FILES; file += 1) writeFileSync(at(`state/f${file}`), noise(20_000 + file, file + 1));
  writeFileSync(at('state/sub/big'), noise(BIG_BYTES, 99));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): string => join(directory, name);
const pack = (): string => at('store/packs/00000001.dkp');
const inQuarantine = (): string[] => readdirSync(at('store/quarantine')).sort();

async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(at('store'), { create: true, logger, ...(key && { key, encrypt: true }) });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** A capture by a process of its own, as far as the store can tell. */
async function capture(force = false): Promise<number | undefined> {
  return withStore(async (store) => {
    const session = await openCaptureSession(store, at('state'));
    const { checkpoint } = await session.capture({ force });
    await session.close();
    return checkpoint?.sequence;
  });
}

const repair = (): Promise<unknown> => withStore((store) => store.rebuildIndex({ check: true }));

/** The newest checkpoint, as a recover gives it, is the state directory. */
async function expectWhole(): Promise<void> {
  rmSync(at('out'), { recursive: true, force: true });
  const report = await withStore((store) => recover(store, at('out'), { logger }));
  expect(report.damaged).toEqual([]);
  expect(report.rootVerified).toBe(true);
  const names = readdirSync(at('state'), { recursive: true, withFileTypes: true });
  for (const entry of names) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    expect(readFileSync(file).equals(readFileSync(file.replace(at('state'), at('out')))), file).toBe(true);
  }
}

function flip(offset: number): void {
  const bytes = readFileSync(pack());
  bytes[offset] = (bytes[offset] as number) ^ 1;
  writeFileSync(pack(), bytes);
}

/** Bytes of the first file's record, and of the large one's. */
function flipSome(): void {
  const bytes = readFileSync(pack());
  flip(bytes.indexOf(readFileSync(at('state/f3')).subarray(100, 200)));
  flip(bytes.indexOf(readFileSync(at('state/sub/big')).subarray(3 << 20, (3 << 20) + 100)));
}

const touchAll = (): void => {
  for (const name of readdirSync(at('state'))) utimesSync(at(`state/${name}`), new Date(), new Date(1_700_000_000_000));
  utimesSync(at('state/sub/big'), new Date(), new Date(1_700_000_000_000));
};

const DAMAGE: readonly (readonly [string, () => void])[] = [
  ['missing', () => rmSync(pack())],
  ['emptied', () => truncateSync(pack(), 0)],
  ['truncated', () => truncateSync(pack(), 100_000)],
  ['flipped', flipSome],
];

describe.each(DAMAGE)('a pack that is %s', (_how, damage) => {
  test('then a repair, then captures: everything is stored anew, once', async () => {
    await capture();
    damage();
    await repair();
    expect(await capture()).toBeGreaterThan(1);
    await expectWhole();
    expect(await capture()).toBeUndefined();
    touchAll();
    await capture();
    await expectWhole();
    writeFileSync(at('state/sub/big'), noise(5000, 7), { flag: 'r+' });
    await capture();
    await expectWhole();
  });

  test('the same with metadata that was lost after the repair', async () => {
    await capture();
    damage();
    await repair();
    rmSync(at('store/meta'), { recursive: true });
    await capture(true);
    await expectWhole();
  });

  test('a session that is open meanwhile compares with the store as it is', async () => {
    await withStore(async (store) => {
      const session = await openCaptureSession(store, at('state'));
      await session.capture();
      damage();
      await store.rebuildIndex({ check: true });
      expect((await session.capture()).checkpoint).not.toBeNull();
      await session.close();
    });
    await expectWhole();
  });

  test('a watched directory is stored anew after the repair', async () => {
    await capture();
    damage();
    await repair();
    await withStore(async (store) => {
      const watcher = await watch(store, at('state'));
      for (let tries = 0; (store.newest?.sequence ?? 0) < 2 && tries < 600; tries += 1) await sleep(50);
      await watcher.close();
    });
    await expectWhole();
  });
});

describe.each(DAMAGE.slice(0, 3))('the newest pack, which is %s,', (_how, damage) => {
  test('without a repair: the damage is named, and what is still there stored anew', async () => {
    await capture();
    damage();
    expect(await capture()).toBe(2);
    expect(warnings.filter((line) => line.includes('00000001.dkp')).length).toBeGreaterThan(0);
    expect(warnings.some((line) => line.includes('stores anew'))).toBe(true);
    await expectWhole();
    warnings = [];
    touchAll();
    await capture();
    await expectWhole();
    expect(warnings).toEqual([]);
  });
});

describe.each(DAMAGE.slice(0, 3))('the pack of an encrypted store, which is %s,', (_how, damage) => {
  test.each(['with', 'without'])('%s a repair is stored anew', async (how) => {
    key = { passphrase: 'a key for this test' };
    await capture();
    damage();
    if (how === 'with') await repair();
    expect(await capture()).toBeGreaterThan(1);
    await expectWhole();
    touchAll();
    await capture();
    await expectWhole();
  });
});

describe('a pack that was missing', () => {
  test('and is there again gives back what was in it', async () => {
    await capture();
    writeFileSync(at('state/f3'), noise(300, 8));
    await capture();
    cpSync(at('state'), at('before'), { recursive: true });
    renameSync(pack(), at('away'));
    rmSync(at('state'), { recursive: true });
    mkdirSync(at('state'));
    writeFileSync(at('state/other'), 'o');
    expect(await capture()).toBe(3);
    renameSync(at('away'), pack());
    const report = await withStore((store) => recover(store, at('out'), { at: 2, logger }));
    expect(report).toMatchObject({ damaged: [], rootVerified: true });
    expect(readFileSync(at('out/sub/big')).equals(readFileSync(at('before/sub/big')))).toBe(true);
    await expectWhole();
  });
});

describe('damage that is known', () => {
  test('is no reason to make the metadata anew again and again', async () => {
    await capture();
    flipSome();
    await repair();
    const look = () => withStore((store) => recover(store, at('out'), { logger, removeExtra: false }));
    const first = await look();
    expect(first.damaged.map(({ path }) => path).sort()).toEqual(['f3', 'sub/big']);
    for (const { message } of first.damaged) {
      expect(message).toContain('lost');
      expect(message).not.toContain('repair');
    }
    warnings = [];
    const before = inQuarantine();
    for (let round = 0; round < 3; round += 1) await look();
    expect(inQuarantine()).toEqual(before);
    expect(warnings.filter((line) => line.includes('rebuilding'))).toEqual([]);
  });

  test('neither is a root that cannot be right any more', async () => {
    await capture();
    truncateSync(pack(), 100_000);
    await repair();
    warnings = [];
    const before = inQuarantine();
    for (let round = 0; round < 3; round += 1) {
      const { rootVerified } = await withStore((store) => recover(store, at('out'), { at: 1, logger }));
      expect(rootVerified).toBe(false);
    }
    expect(inQuarantine().filter((name) => name !== 'recover.jsonl')).toEqual(before);
    expect(warnings.filter((line) => line.includes('rebuilding'))).toEqual([]);
  });

  test('repaired many times leaves a few reports and no more metadata', async () => {
    await capture();
    flipSome();
    for (let round = 0; round < 12; round += 1) await repair();
    const names = inQuarantine();
    expect(names.filter((name) => name.startsWith('meta-'))).toHaveLength(1);
    expect(names.filter((name) => name.startsWith('repair-')).length).toBeLessThanOrEqual(8);
    expect(names.filter((name) => name.startsWith('damaged-')).length).toBeGreaterThan(0);
  });
});

test('metadata that fails without damage of packs is still made anew, once', async () => {
  await capture();
  const healthy = await withStore(async (store) => store.mended);
  expect(healthy).toMatchObject({ generation: 0n, sequence: 0 });
  rmSync(at('store/meta'), { recursive: true });
  expect(await withStore(async (store) => store.mended.sequence)).toBe(0);
  expect(await capture()).toBeUndefined();
  await expectWhole();
});
