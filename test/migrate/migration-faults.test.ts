/**
 * Calls that change the disk fail during a migration, once or from there on, one after the other until a run meets no
 * failure any more: each of them with DIFFKEEPER_MIGRATION_STEP=1, otherwise every fifth. The snapshots stay as they were, the store opens in either schema, and the migration goes on.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { isDiffKeeperError } from '../../src/core/core.js';
import { finalizeMigration, openStoreOrImport, readMigrationReport } from '../../src/migrate/migrate.js';
import { disk, type FailurePlan, NO_FAILURE } from '../store/failing-disk.js';
import { noise } from '../store/store-fixture.js';
import { newestFiles } from './older-stores.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('../store/failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('../store/failing-disk.js');
  return failingLevel(await original());
});

const STEP = Number(process.env.DIFFKEEPER_MIGRATION_STEP ?? 5);

const FILES: Readonly<Record<string, Buffer>> = {
  a: Buffer.from('a'.repeat(300)),
  'd/b': noise(5000, 1),
  'd/e/c': Buffer.alloc(0),
  long: noise(1_500_000, 2),
};

let base = '';
let original = '';
beforeAll(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-migration-'));
  original = path.join(base, 'original');
  const state = path.join(base, 'state');
  for (const [name, bytes] of Object.entries(FILES)) {
    await mkdir(path.dirname(path.join(state, name)), { recursive: true });
    await writeFile(path.join(state, name), bytes);
  }
  const store = await openStoreOrImport(original, { create: true, schema: 1 });
  await capture(store, state);
  await store.close();
});
afterEach(() => disk.begin(NO_FAILURE));
afterAll(async () => {
  await rm(base, { recursive: true, force: true });
});

async function expectAll(root: string, schema: 1 | 2): Promise<void> {
  const store = await openStoreOrImport(root, { schema });
  try {
    const files = await newestFiles(store);
    expect([...files.keys()].sort()).toEqual(Object.keys(FILES).sort());
    for (const [name, bytes] of Object.entries(FILES)) expect(files.get(name)?.equals(bytes), name).toBe(true);
    if (schema === 2) expect((await store.verify()).damage).toEqual([]);
  } finally {
    await store.close();
  }
}

/** One migration with a failing disk; how many calls the plan hit. */
async function migrateFailing(root: string, plan: FailurePlan, task: () => Promise<void>): Promise<number> {
  await cp(original, root, { recursive: true });
  disk.begin(plan);
  try {
    await task();
  } catch (error) {
    if (!isDiffKeeperError(error)) throw error;
  }
  const { failed } = disk;
  disk.begin(NO_FAILURE);
  return failed;
}

describe.each([
  { sticky: false, code: 'EIO', partial: false, first: 1 },
  { sticky: true, code: 'ENOSPC', partial: true, first: 3 },
] as const)('a disk that fails with $code (for good: $sticky)', ({ first, ...form }) => {
  it('leaves a store that opens in both schemas', { timeout: 600_000 }, async () => {
    let failures = 0;
    for (let at = STEP === 1 ? 1 : first; ; at += STEP) {
      const root = path.join(base, `${form.code}-${at}`);
      const failed = await migrateFailing(root, { ...form, at }, async () => {
        await (await openStoreOrImport(root)).close();
      });
      failures += failed;
      await expectAll(root, 1);
      await expectAll(root, 2);
      const report = await readMigrationReport(root);
      expect(report?.state, `after call ${at}: ${disk.log.join()}`).toBe('complete');
      await rm(root, { recursive: true, force: true });
      if (failed === 0) break;
    }
    expect(failures).toBeGreaterThan(20 / STEP);
  });
});

it('finalizing can fail anywhere: what was migrated stays, and it can be done again', {
  timeout: 120_000,
}, async () => {
  const migrated = path.join(base, 'migrated');
  await cp(original, migrated, { recursive: true });
  await (await openStoreOrImport(migrated)).close();
  for (let at = 1; ; at += 1) {
    const root = path.join(base, `finalize-${at}`);
    await cp(migrated, root, { recursive: true });
    disk.begin({ at, sticky: true, code: 'EIO', partial: false });
    await finalizeMigration(root).catch((error: unknown) => {
      if (!isDiffKeeperError(error)) throw error;
    });
    const { failed } = disk;
    disk.begin(NO_FAILURE);
    expect((await finalizeMigration(root)).finalized).toBe(true);
    await expectAll(root, 2);
    if (failed === 0) break;
  }
});
