/** From the path of a store, or of a file of the older system, to an open store. */
import { stat } from 'node:fs/promises';
import * as path from 'node:path';
import { fromSystemError, type Logger, silentLogger, systemCode } from '../core/core.js';
import { openStore, type Store, type StoreOptions } from '../store/store.js';
import { type MigrationReport, readMigrationReport } from './migration-report.js';

export interface OpenOptions extends StoreOptions {
  /** Ends an import at the next entry; another opening goes on from there. */
  readonly signal?: AbortSignal;
  /** Called while an older store is imported, with bytes taken of it and in all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Where the content of a BoltDB file goes: a store beside it. */
export function importedStorePath(boltFile: string): string {
  return `${path.resolve(boltFile)}.store`;
}

/**
 * Opens a store as `openStore` does. When the path is a BoltDB file of the older system, its content is first
 * imported into a store beside it (`importedStorePath`), once; the file is only read. What could not be imported is in
 * the log and in `readMigrationReport`.
 *
 * @throws as `openStore`; DK_NO_STORE for a file that is no BoltDB file, DK_CORRUPT_BOLT when nothing in it can be read
 */
export async function openStoreOrImport(root: string, options: OpenOptions = {}): Promise<Store> {
  const { signal, onProgress, ...storeOptions } = options;
  if (!(await isFile(root))) return openStore(root, storeOptions);
  const target = importedStorePath(root);
  const earlier = await readMigrationReport(target);
  if (earlier && earlier.state !== 'running') {
    const store = await openStore(target, { ...storeOptions, create: false });
    await noteLaterWrites(root, earlier, options.logger ?? silentLogger);
    return store;
  }
  // Loaded when it is needed: hardly any store is an older one.
  const { importBolt } = await import('./import-store.js');
  return importBolt(root, target, options);
}

async function isFile(root: string): Promise<boolean> {
  try {
    return (await stat(root)).isFile();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return false;
    throw fromSystemError(error, 'look at', root);
  }
}

/** The older program may have gone on writing: its file was imported once, so that would go unnoticed. */
async function noteLaterWrites(file: string, report: MigrationReport, logger: Logger): Promise<void> {
  const mtime = (await stat(file)).mtime.toISOString();
  if (mtime <= report.started) return;
  logger.warn({ path: file, written: mtime, imported: report.started }, 'the file was written after it was imported');
}
