/** From the path of a store, or of a file of the older system, to an open store. */
import { stat } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  type Logger,
  silentLogger,
  systemClock,
  systemCode,
} from '../core/core.js';
import { MARKER_NAMES } from '../format/format.js';
import {
  findSnapshots,
  openSharedStore,
  openSnapshotStore,
  openStore,
  type Store,
  type StoreOptions,
} from '../store/store.js';
import { type MigrationReport, readMigrationReport } from './migration-report.js';

export interface OpenOptions extends StoreOptions {
  /**
   * 2 (default): the present schema; a schema 1 store is migrated first, what it was made from stays. 1: whole-file
   * snapshots, as long as the store has them or is new; a store that has none (or none any more) opens with schema 2.
   * `'asFound'`: without any migration.
   */
  readonly schema?: 1 | 2 | 'asFound';
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
 * Opens a store as `openStore` does. A store of schema 1 (whole-file snapshots) is migrated, see `schema`. When the path is a BoltDB file of the older system, its content is first
 * imported into a store beside it (`importedStorePath`), once; the file is only read. What could not be imported is in
 * the log and in `readMigrationReport`.
 *
 * @throws as `openStore`; DK_NO_STORE for a file that is no BoltDB file, DK_CORRUPT_BOLT when nothing in it can be read
 */
export async function openStoreOrImport(root: string, options: OpenOptions = {}): Promise<Store> {
  const { signal, onProgress, schema = 2, ...storeOptions } = options;
  if (!(await isFile(root))) return openDirectory(root, schema, options);
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

/** A process that has just opened the store shares it in a moment; one that only looks has ended by then. */
const LOCKED_MS = 1000;
const LOCKED_PAUSE_MS = 50;

/**
 * Opens a store for reading: through the process that owns it when there is one (a sidecar, a watch: see `shareStore`),
 * else as `openStoreOrImport` does. What the owner gives is the store as it is now and stays so; what would write throws
 * DK_STORE_LOCKED, and everything throws DK_STORE_CLOSED once the owner has ended.
 *
 * @throws as `openStoreOrImport`; DK_STORE_LOCKED when the owner does not share it
 */
export async function openStoreToRead(root: string, options: OpenOptions = {}): Promise<Store> {
  const { signal, onProgress, schema, ...storeOptions } = options;
  const place = (await isFile(root)) ? importedStorePath(root) : root;
  for (const startMs = systemClock.steadyMs(); ; ) {
    const shared = await openSharedStore(place, storeOptions);
    if (shared) return shared;
    try {
      return await openStoreOrImport(root, options);
    } catch (error) {
      const late = systemClock.steadyMs() - startMs > LOCKED_MS || signal?.aborted;
      if (late || !isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw error;
    }
    await sleep(LOCKED_PAUSE_MS);
  }
}

async function openDirectory(root: string, schema: 1 | 2 | 'asFound', options: OpenOptions): Promise<Store> {
  const { signal, onProgress, schema: asked, ...storeOptions } = options;
  const snapshots = await findSnapshots(root);
  if (!snapshots.present) {
    if (schema !== 1) return openStore(root, storeOptions);
    if (options.create === true && !(await isStore(root))) return openSnapshotStore(root, withoutKey(storeOptions));
    const store = await openStore(root, storeOptions);
    options.logger?.warn(
      { store: root },
      'the store has no snapshots of schema 1: it goes on with schema 2, without deltas',
    );
    return store;
  }
  const report = await readMigrationReport(root);
  const migrated = report !== null && report.state !== 'running' && !snapshots.changed;
  if (schema === 1 || (schema === 'asFound' && !migrated)) return openSnapshotStore(root, withoutKey(storeOptions));
  if (migrated) return openStore(root, { ...storeOptions, create: false });
  const { importSnapshots } = await import('./import-store.js');
  return importSnapshots(root, options);
}

/** Schema 1 cannot be encrypted: writing it in the clear would not be what was asked for. Throws DK_UNSUPPORTED. */
function withoutKey(options: StoreOptions): StoreOptions {
  if (options.encrypt !== true && options.key === undefined) return options;
  throw new DiffKeeperError('DK_UNSUPPORTED', 'whole-file snapshots (schema 1) are not encrypted: leave the key out');
}

/** Whether schema 2 is there already. */
async function isStore(root: string): Promise<boolean> {
  for (const name of MARKER_NAMES) if ((await stat(path.join(root, name)).catch(() => null)) !== null) return true;
  return false;
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
