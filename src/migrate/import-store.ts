/** Everything an older store holds, brought into a store of today: made once, gone on with when it was cut short. */
import { silentLogger, systemClock } from '../core/core.js';
import { openStore, type Store } from '../store/store.js';
import { BoltSource } from './bolt-source.js';
import { ImportJob } from './import-job.js';
import type { LegacySource } from './legacy-source.js';
import { type MigrationReport, readMigrationReport } from './migration-report.js';
import type { OpenOptions } from './open-or-import.js';

/** Imports all of a source into a store, which is made when it is missing, and leaves that open. */
export async function importInto(target: string, source: LegacySource, options: OpenOptions): Promise<Store> {
  const { signal, onProgress, ...storeOptions } = options;
  const logger = options.logger ?? silentLogger;
  const clock = options.clock ?? systemClock;
  const store = await openStore(target, { ...storeOptions, create: true });
  try {
    logger.info({ source: source.path, schema: source.schema, store: target }, 'importing an older store');
    const fresh: MigrationReport = {
      source: { kind: 'bolt', path: source.path, schema: source.schema, identity: source.identity },
      state: 'running',
      parts: [],
      started: new Date(clock.nowMs()).toISOString(),
      finished: '',
      damage: [],
      finalized: false,
    };
    const job = new ImportJob(store, source, (await readMigrationReport(target)) ?? fresh, {
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
    return await importInto(target, source, options);
  } finally {
    await source.close();
  }
}
