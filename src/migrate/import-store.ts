/** Everything an older store holds, brought into a store of today: made once, gone on with when it was cut short. */
import { silentLogger, systemClock } from '../core/core.js';
import { markMigrated, openSnapshotStore, openStore, type Store } from '../store/store.js';
import { BoltSource } from './bolt-source.js';
import { ImportJob } from './import-job.js';
import type { LegacySource } from './legacy-source.js';
import { type MigrationReport, readMigrationReport } from './migration-report.js';
import type { OpenOptions } from './open-or-import.js';
import { SnapshotSource } from './snapshot-source.js';

/** Imports all of a source into a store, which is made when it is missing, and leaves that open. */
export async function importInto(
  target: string,
  source: LegacySource,
  kind: MigrationReport['source']['kind'],
  options: OpenOptions,
): Promise<Store> {
  const { signal, onProgress, schema, ...storeOptions } = options;
  const logger = options.logger ?? silentLogger;
  const clock = options.clock ?? systemClock;
  const store = await openStore(target, { ...storeOptions, create: true });
  try {
    logger.info({ source: source.path, schema: source.schema, store: target }, 'importing an older store');
    const fresh: MigrationReport = {
      source: { kind, path: source.path, schema: source.schema, identity: source.identity },
      state: 'running',
      parts: [],
      started: new Date(clock.nowMs()).toISOString(),
      finished: '',
      damage: [],
      finalized: false,
    };
    const earlier = await readMigrationReport(target);
    const same = earlier?.source.identity === source.identity;
    const job = new ImportJob(store, source, same ? earlier : fresh, {
      logger,
      nowMs: () => clock.nowMs(),
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    });
    const report = await job.run();
    const facts = { source: source.path, state: report.state, mentioned: report.damage.length };
    if (report.state === 'complete') logger.info(facts, 'imported an older store');
    else logger.warn(facts, 'imported an older store, parts of which are damaged: `diffkeeper migrate` names them');
    return store;
  } catch (error) {
    await store.close().catch(() => {});
    throw error;
  }
}

/** Imports a BoltDB file. @throws as `openStore`; DK_NO_STORE, DK_CORRUPT_BOLT, DK_ABORTED */
export async function importBolt(file: string, target: string, options: OpenOptions): Promise<Store> {
  const source = await BoltSource.open(file);
  try {
    return await importInto(target, source, 'bolt', options);
  } finally {
    await source.close();
  }
}

/**
 * Migrates the schema 1 part of a store's directory to schema 2 beside it. Nothing of schema 1 is changed or removed.
 *
 * @throws as `openStore`, DK_ABORTED; another call goes on from there
 */
export async function importSnapshots(root: string, options: OpenOptions): Promise<Store> {
  const { signal, onProgress, schema, ...storeOptions } = options;
  const source = new SnapshotSource(await openSnapshotStore(root, { ...storeOptions, create: false }));
  let store: Store | undefined;
  try {
    store = await importInto(root, source, 'v1', options);
    await markMigrated(root);
    return store;
  } catch (error) {
    await store?.close().catch(() => {});
    throw error;
  } finally {
    await source.close();
  }
}
