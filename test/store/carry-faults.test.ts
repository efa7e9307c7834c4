/**
 * Every call that changes the disk fails during a repair of a store whose packs have lost what its metadata still has,
 * once or from there on: nothing of it is lost then, and another repair makes it durable in packs. The same while a
 * checkpoint gets another tag, which is written in the same way.
 */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { RECORD } from '../../src/format/format.js';
import { openStore, type Store } from '../../src/store/store.js';
import { disk, type FailurePlan, NO_FAILURE, onFailingDisk } from './failing-disk.js';
import { flipRecord } from './flip-record.js';
import { commitFiles, contentOf, noise } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('./failing-disk.js');
  return failingLevel(await original());
});

let base = '';
let sequences: number[] = [];
/** What the newest checkpoint has: `c` was removed by it. */
const NEWEST = { a: noise(3000, 3), b: noise(2000, 2), d: noise(100, 4) };

beforeAll(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-carry-faults-'));
  const root = path.join(base, 'before');
  const store = await openStore(root, { create: true });
  await commitFiles(store, { a: noise(3000, 1), b: noise(2000, 1), c: noise(50, 1) });
  await commitFiles(store, { b: NEWEST.b });
  await commitFiles(store, { a: NEWEST.a, c: null, d: NEWEST.d });
  sequences = await sequencesOf(store);
  await store.close();
  await cp(root, path.join(base, 'whole'), { recursive: true });
  const pack = path.join(root, 'packs', '00000001.dkp');
  for (const nth of [2, 3]) await flipRecord(pack, RECORD.versions, nth);
  for (const nth of [2, 3]) await flipRecord(pack, RECORD.checkpoint, nth);
});
afterAll(async () => {
  disk.begin(NO_FAILURE);
  await rm(base, { recursive: true, force: true });
});

async function sequencesOf(store: Store): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of store.checkpoints()) found.push(sequence);
  return found;
}

async function expectAll(root: string): Promise<void> {
  const store = await openStore(root);
  try {
    expect(await sequencesOf(store)).toEqual(sequences);
    for (const [name, bytes] of Object.entries(NEWEST)) {
      expect((await contentOf(store, name))?.equals(bytes), name).toBe(true);
    }
    expect(await contentOf(store, 'c')).toBeNull();
  } finally {
    await store.close();
  }
}

async function repair(root: string): Promise<void> {
  const store = await openStore(root);
  try {
    await store.rebuildIndex();
  } finally {
    await store.close();
  }
}

async function failAt(at: number, plan: Omit<FailurePlan, 'at'>): Promise<number> {
  const root = path.join(base, `keep-${at}-${plan.sticky}`);
  await cp(path.join(base, 'before'), root, { recursive: true });
  const { error, failed, log } = await onFailingDisk({ ...plan, at }, () => repair(root));
  try {
    if (error !== null && !isDiffKeeperError(error)) throw error;
    await expectAll(root);
    await repair(root);
    // From now on the packs alone have everything.
    await rm(path.join(root, 'meta'), { recursive: true });
    await expectAll(root);
    expect((await readdir(root)).includes('meta-before')).toBe(false);
  } catch (trouble) {
    throw new Error(`call ${at} failed (${log}; told: ${String(error)})`, { cause: trouble });
  }
  await rm(root, { recursive: true, force: true });
  return failed;
}

describe.each([
  { sticky: false, partial: false, code: 'EIO' },
  { sticky: true, partial: true, code: 'ENOSPC' },
] as const)('a repair in which a call fails (%o)', (plan) => {
  it('loses nothing that could be had before it', async () => {
    let at = 1;
    while ((await failAt(at, plan)) > 0) at += 1;
    expect(at).toBeGreaterThan(20);
  }, 240_000);
});

/** The tag of the second checkpoint, of a store in which all else is right. */
async function tagOf(root: string): Promise<string> {
  await expectAll(root);
  const store = await openStore(root);
  try {
    expect((await store.verify()).damage).toEqual([]);
    return (await store.checkpointAt(2)).tag;
  } finally {
    await store.close();
  }
}

async function retagAt(at: number, plan: Omit<FailurePlan, 'at'>): Promise<number> {
  const root = path.join(base, `tagged-${at}-${plan.sticky}`);
  await cp(path.join(base, 'whole'), root, { recursive: true });
  const store = await openStore(root);
  const { error: told, failed, log } = await onFailingDisk({ ...plan, at }, () => store.retag(2, 'tagged'));
  try {
    if (told !== null && !isDiffKeeperError(told)) throw told;
    await store.close();
    const tag = await tagOf(root);
    expect(told === null ? ['tagged'] : ['tagged', '']).toContain(tag);
    await rm(path.join(root, 'meta'), { recursive: true });
    expect(await tagOf(root)).toBe(tag);
  } catch (trouble) {
    throw new Error(`call ${at} failed (${log}; told: ${String(told)})`, { cause: trouble });
  }
  await rm(root, { recursive: true, force: true });
  return failed;
}

describe.each([
  { sticky: false, partial: false, code: 'EIO' },
  { sticky: true, partial: true, code: 'ENOSPC' },
] as const)('another tag, for which a call fails (%o)', (plan) => {
  it('is there or is not, and nothing else changes', async () => {
    let at = 1;
    while ((await retagAt(at, plan)) > 0) at += 1;
    expect(at).toBeGreaterThan(10);
  }, 240_000);
});
