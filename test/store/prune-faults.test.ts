/**
 * Every call that changes the disk fails during a prune, once or from there on: afterwards the store has either all of
 * its checkpoints or the kept ones, everything in them is right, commits go on, and the packs alone say the same.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openStore, type Store } from '../../src/store/store.js';
import { disk, type FailurePlan, NO_FAILURE } from './failing-disk.js';
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
beforeAll(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-prune-faults-'));
  const store = await openStore(path.join(base, 'before'), { create: true });
  for (let version = 1; version <= 4; version += 1) await commitFiles(store, filesOf(version));
  // An earlier prune has packs of its own, which the next one rewrites.
  await store.prune({ keepLast: 3 }, { compactBelow: 1 });
  for (let version = 5; version <= 7; version += 1) await commitFiles(store, filesOf(version));
  await store.close();
});
afterAll(async () => {
  disk.begin(NO_FAILURE);
  await rm(base, { recursive: true, force: true });
});

function filesOf(version: number): Record<string, Buffer> {
  return { a: noise(3000, version), [`f${version}`]: noise(40_000, 100 + version), same: noise(2000, 50) };
}

const BEFORE = [2, 3, 4, 5, 6, 7];
const AFTER = [6, 7];

/** Checkpoints of the store; whatever it has must be right. */
async function expectSound(store: Store): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of store.checkpoints()) found.unshift(sequence);
  for (const sequence of found) {
    const names = new Set<string>();
    for await (const batch of store.entries({ at: sequence })) {
      for (const version of batch) {
        names.add(version.path);
        const seed = version.path === 'a' ? Math.min(sequence, 7) : 0;
        if (seed === 0) continue;
        expect((await store.reader(version).read(0, version.size)).equals(noise(3000, seed))).toBe(true);
      }
    }
    for (let version = 1; version <= Math.min(sequence, 7); version += 1) expect(names.has(`f${version}`)).toBe(true);
  }
  expect((await contentOf(store, 'f1'))?.equals(noise(40_000, 101))).toBe(true);
  return found;
}

async function expectAfter(root: string, pruned: boolean): Promise<void> {
  let store = await openStore(root);
  const found = await expectSound(store);
  expect([BEFORE, AFTER]).toContainEqual(found);
  if (pruned) expect(found).toEqual(AFTER);
  // What the prune wanted to drop is stored anew, not taken from where it may be gone.
  await commitFiles(store, { again: noise(3000, 3) });
  expect((await store.verify()).damage).toEqual([]);
  await store.close();
  await rm(path.join(root, 'meta'), { recursive: true });
  store = await openStore(root);
  expect(await expectSound(store)).toEqual([...found, 8]);
  expect((await contentOf(store, 'again'))?.equals(noise(3000, 3))).toBe(true);
  await store.close();
}

/** Each kind begins at every call when DK_PRUNE_FAULTS is `all`; otherwise the kinds take turns. */
const STEP = process.env.DK_PRUNE_FAULTS === 'all' ? 1 : 3;

const kinds: (Omit<FailurePlan, 'at'> & { readonly first: number })[] = [
  { sticky: false, code: 'EIO', partial: false, first: 1 },
  { sticky: false, code: 'ENOSPC', partial: true, first: 2 },
  { sticky: true, code: 'EIO', partial: true, first: 3 },
];

describe.each(kinds)('a disk that fails with %o', ({ first, ...kind }) => {
  it('leaves either the old checkpoints or the kept ones, at whichever call it begins', async () => {
    for (let at = first; ; at += STEP) {
      const root = path.join(base, `${kind.code}-${kind.sticky}-${at}`);
      await cp(path.join(base, 'before'), root, { recursive: true });
      const store = await openStore(root);
      disk.begin({ ...kind, at });
      const pruned = await store.prune({ keepLast: 2 }, { compactBelow: 1 }).then(
        () => true,
        (error: unknown) => {
          if (!isDiffKeeperError(error)) throw error;
          expect(['DK_IO', 'DK_DISK_FULL']).toContain(error.code);
          return false;
        },
      );
      const { failed } = disk;
      const log = disk.log.join(', ');
      disk.begin(NO_FAILURE);
      try {
        if (store.needsReopen) await store.reopen();
        await expectSound(store);
        await store.close();
        await expectAfter(root, pruned);
      } catch (error) {
        throw new Error(`call ${at} failed (${log})`, { cause: error });
      }
      await rm(root, { recursive: true, force: true });
      if (failed > 0) continue;
      expect(pruned).toBe(true);
      expect(at).toBeGreaterThan(15);
      break;
    }
  });
});
