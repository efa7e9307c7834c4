/**
 * Every call that changes the disk fails once, then from there on, for each of them until a run meets no failure any
 * more. Nothing acknowledged is lost, the store opens and verifies, and the error says what happened.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openStore, type Store } from '../../src/store/store.js';
import { disk, type FailurePlan, NO_FAILURE } from './failing-disk.js';
import { contentOf, directory, noise, putFile } from './store-fixture.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('./failing-disk.js');
  return failingLevel(await original());
});

let base = '';
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-faults-'));
});
afterEach(async () => {
  disk.begin(NO_FAILURE);
  await rm(base, { recursive: true, force: true });
});

type Files = Record<string, Buffer | null>;
/** What each commit of the life does, in order. */
const COMMITS: readonly Files[] = [
  { a: noise(3000, 1), b: Buffer.from('b1') },
  { a: noise(3000, 2), b: null, c: noise(70_000, 3) },
  { d: noise(500, 4), a: Buffer.from('short') },
];

function stateAfter(commits: number): Map<string, Buffer> {
  const state = new Map<string, Buffer>();
  for (const files of COMMITS.slice(0, commits)) {
    for (const [name, bytes] of Object.entries(files)) {
      if (bytes) state.set(name, bytes);
      else state.delete(name);
    }
  }
  return state;
}

/** How many commits the store holds; everything about them must be right. */
async function expectSound(root: string): Promise<number> {
  const store = await openStore(root, { create: true });
  try {
    const sequence = store.newest?.sequence ?? 0;
    const state = stateAfter(sequence);
    const names: string[] = [];
    for await (const batch of store.entries()) names.push(...batch.map((version) => version.path));
    expect(names.sort()).toEqual([...state.keys()].sort());
    for (const [name, bytes] of state) expect((await contentOf(store, name))?.equals(bytes)).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
    return sequence;
  } finally {
    await store.close();
  }
}

interface Outcome {
  /** Commits that were acknowledged. */
  readonly acknowledged: number;
  readonly errors: unknown[];
}

async function commitOrAbort(store: Store, files: Files): Promise<void> {
  const transaction = store.begin();
  try {
    for (const [name, bytes] of Object.entries(files)) {
      if (bytes) await putFile(store, transaction, name, bytes);
      else transaction.remove(name);
    }
    await transaction.commit();
  } finally {
    // After a commit, good or bad, this does nothing.
    await transaction.abort();
  }
}

/** A life on the failing disk: opens, commits, tries again what failed, closes. Not a step may hang or throw untyped. */
async function live(root: string): Promise<Outcome> {
  const errors: unknown[] = [];
  let acknowledged = 0;
  let store: Store | undefined;
  for (let attempt = 0; attempt < 3 && !store; attempt += 1) {
    store = await openStore(root, { create: true }).catch((error: unknown) => {
      errors.push(error);
      return undefined;
    });
  }
  if (!store) return { acknowledged, errors };
  for (let attempt = 0; attempt < COMMITS.length * 2; attempt += 1) {
    const next = store.newest?.sequence ?? 0;
    const files = COMMITS[next];
    if (!files) break;
    try {
      await commitOrAbort(store, files);
      acknowledged = store.newest?.sequence ?? 0;
      expect(acknowledged).toBe(next + 1);
    } catch (error) {
      errors.push(error);
      // A commit that failed must leave a store that can go on by itself, and one that `reopen` brings back.
      if (attempt % 2 === 1) await store.reopen().catch((again: unknown) => errors.push(again));
    }
  }
  await store.close().catch((error: unknown) => errors.push(error));
  return { acknowledged, errors };
}

function expectTyped(errors: readonly unknown[], code: string): void {
  const allowed = code === 'ENOSPC' ? ['DK_DISK_FULL', 'DK_IO'] : ['DK_IO'];
  for (const error of errors) {
    if (!isDiffKeeperError(error)) throw error;
    expect(allowed).toContain(error.code);
  }
  const first = errors[0];
  if (code === 'ENOSPC' && first !== undefined) expect(isDiffKeeperError(first, 'DK_DISK_FULL')).toBe(true);
}

const kinds: Omit<FailurePlan, 'at'>[] = [
  { sticky: false, code: 'EIO', partial: false },
  { sticky: false, code: 'EIO', partial: true },
  { sticky: false, code: 'ENOSPC', partial: true },
  { sticky: true, code: 'ENOSPC', partial: false },
  { sticky: true, code: 'EIO', partial: true },
];

describe.each(kinds)('a disk that fails with %o', (kind) => {
  it('loses nothing that was acknowledged, at whichever call it begins', async () => {
    for (let at = 1; ; at += 1) {
      const root = path.join(base, `keep-${at}`);
      disk.begin({ ...kind, at });
      const { acknowledged, errors } = await live(root);
      const { failed } = disk;
      const log = disk.log.join(', ');
      disk.begin(NO_FAILURE);
      try {
        expectTyped(errors, kind.code);
        const kept = await expectSound(root);
        expect(kept).toBeGreaterThanOrEqual(acknowledged);
        if (!kind.sticky) expect(kept).toBe(COMMITS.length);
      } catch (error) {
        throw new Error(`call ${at} failed (${log})`, { cause: error });
      }
      await rm(root, { recursive: true, force: true });
      if (failed === 0) {
        expect(at).toBeGreaterThan(20);
        break;
      }
    }
  });
});

describe('a commit whose metadata takes several batches', () => {
  const COUNT = 8000;
  const names = Array.from({ length: COUNT }, (_, index) => `d${index}`);

  async function countEntries(store: Store): Promise<number> {
    let count = 0;
    for await (const batch of store.entries()) count += batch.length;
    return count;
  }

  it('is there as a whole or not at all, for readers and after a failure', async () => {
    for (let at = 1; ; at += 1) {
      const root = path.join(base, `large-${at}`);
      const store = await openStore(root, { create: true });
      const first = store.begin();
      for (const name of names.slice(0, 100)) first.put(directory(name, 0o700));
      await first.commit();
      const transaction = store.begin();
      for (const name of names) transaction.put(directory(name));
      disk.begin({ ...NO_FAILURE, at, partial: at % 2 === 0 });
      const committed = transaction.commit().then(
        () => true,
        () => false,
      );
      const seen = [await countEntries(store), await countEntries(store)];
      const good = await committed;
      const { failed } = disk;
      disk.begin(NO_FAILURE);
      seen.push(await countEntries(store));
      for (const count of seen) expect([100, COUNT]).toContain(count);
      // What became durable before the metadata failed is rolled forward: it may be there without an acknowledgement.
      if (good) expect(seen[2]).toBe(COUNT);
      expect(store.newest?.entries).toBe(seen[2]);
      expect((await store.verify()).damage).toEqual([]);
      await store.close();
      if (failed === 0) {
        expect(at).toBeGreaterThan(3);
        break;
      }
    }
  });
});
