/** Ends the way back: removes what a migrated store was made from. */
import { rm } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, unlinkDurable } from '../core/core.js';
import { findSnapshots, openSnapshotStore, type StoreOptions, snapshotPaths } from '../store/store.js';
import { type MigrationReport, readMigrationReport, writeMigrationReport } from './migration-report.js';

/**
 * Removes the schema 1 part of a migrated store; `--enable-diff=false` cannot go back to it afterwards. A BoltDB file is
 * never touched. Cut short, another call goes on. Close the store first.
 *
 * @throws DK_UNSUPPORTED when there is nothing that was migrated, or not all of it was; DK_STORE_LOCKED, DK_IO
 */
export async function finalizeMigration(root: string, options: StoreOptions = {}): Promise<MigrationReport> {
  const report = await readMigrationReport(root);
  if (report === null || report.state === 'running') {
    throw new DiffKeeperError('DK_UNSUPPORTED', `${root} was not migrated: there is nothing to finalize`, {
      path: root,
    });
  }
  const done: MigrationReport = { ...report, finalized: true };
  if (report.source.kind === 'v1') await removeSnapshots(root, options);
  await writeMigrationReport(root, done);
  return done;
}

async function removeSnapshots(root: string, options: StoreOptions): Promise<void> {
  const { present, changed } = await findSnapshots(root);
  if (present && changed) {
    const message = `${root} was written in schema 1 after it was migrated: migrate it once more first`;
    throw new DiffKeeperError('DK_UNSUPPORTED', message, { path: root });
  }
  // Whoever has the snapshots open must not lose them under his hands.
  if (present) await (await openSnapshotStore(root, { ...options, create: false })).close();
  const paths = snapshotPaths(root);
  try {
    // The marker first: without it the rest is no store any more, however much of it is left.
    await unlinkDurable(paths.marker);
    for (const place of [paths.database, paths.cache]) await rm(place, { recursive: true, force: true });
    await unlinkDurable(paths.changed);
  } catch (error) {
    throw fromSystemError(error, 'remove the snapshots of', root);
  }
}
