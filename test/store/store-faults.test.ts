/**
 * Every call that changes the disk fails once, then from there on, for each of them until a run meets no failure any
 * more. Nothing acknowledged is lost, the store opens and verifies, and the error says what happened.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openStore, type Store } from '../../src/store/store.js';
import { disk, type FailurePlan, NO_FAILURE } from './failing-disk.js';
import { COMMITS, expectSound, expectTyped, live } from './failing-life.js';
import { directory } from './store-fixture.js';

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
