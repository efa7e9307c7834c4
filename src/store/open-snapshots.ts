/**
 * Opens the schema 1 part of a store's directory. It stands beside what schema 2 keeps there, so that either can be
 * opened and one made from the other:
 *
 *   SNAPSHOTS           marker of schema 1, written once
 *   snapshots/          LevelDB with the sublevels deltas, hashes, meta
 *   snapshots-cache/    advisory files
 *   snapshots-changed   schema 1 was written after it was migrated
 */
import { access, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import {
  type Clock,
  DiffKeeperError,
  directoryBytes,
  fromSystemError,
  isDiffKeeperError,
  type Logger,
  makeDirectory,
  makeDirectoryDurable,
  randomBytes,
  silentLogger,
  systemClock,
  systemCode,
  unlinkDurable,
  writeFileDurable,
} from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { Meta } from './meta.js';
import { checkOwnPlaces } from './own-places.js';
import { SnapshotStore } from './snapshot-store.js';
import { assertWritable, lockedError, storePaths, writeOwner } from './store-files.js';
import type { StoreOptions } from './types.js';

export interface SnapshotPaths {
  readonly root: string;
  readonly marker: string;
  readonly database: string;
  readonly cache: string;
  readonly quarantine: string;
  readonly changed: string;
  readonly staging: string;
}

export interface OpenSnapshots {
  readonly paths: SnapshotPaths;
  readonly marker: { readonly id: string; readonly seed: string };
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bytes on disk. */
  readonly measure: () => Promise<number>;
}

export function snapshotPaths(root: string): SnapshotPaths {
  const { root: full, quarantine } = storePaths(root);
  const cache = path.join(full, 'snapshots-cache');
  return {
    root: full,
    marker: path.join(full, 'SNAPSHOTS'),
    database: path.join(full, 'snapshots'),
    cache,
    quarantine,
    changed: path.join(full, 'snapshots-changed'),
    staging: path.join(cache, 'staging'),
  };
}

/** Whether there is a schema 1 part, and whether it was written after it was migrated. @throws DK_IO */
export async function findSnapshots(root: string): Promise<{ readonly present: boolean; readonly changed: boolean }> {
  const { marker, changed } = snapshotPaths(root);
  const exists = async (file: string): Promise<boolean> => {
    try {
      await access(file);
      return true;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return false;
      throw fromSystemError(error, 'look at', file);
    }
  };
  return { present: await exists(marker), changed: await exists(changed) };
}

/** After a migration: what was written since is in schema 2 now. @throws DK_IO */
export async function markMigrated(root: string): Promise<void> {
  const { changed } = snapshotPaths(root);
  await unlinkDurable(changed).catch((error: unknown) => {
    throw fromSystemError(error, 'remove', changed);
  });
}

/**
 * Opens (with `create`, makes) the schema 1 part of a store for reading and writing.
 *
 * @throws DK_NO_STORE, DK_STORE_READ_ONLY, DK_STORE_LOCKED, DK_CORRUPT_INDEX, DK_UNSAFE_PATH, DK_IO, DK_DISK_FULL
 */
export async function openSnapshotStore(root: string, options: StoreOptions = {}): Promise<SnapshotStore> {
  const paths = snapshotPaths(root);
  const { engine = loadEngine(), clock = systemClock, logger = silentLogger } = options;
  try {
    await checkOwnPlaces(paths.root);
    const { present } = await findSnapshots(root);
    if (!present && options.create !== true) {
      throw new DiffKeeperError('DK_NO_STORE', `${paths.root} has no schema 1 store`, { path: paths.root });
    }
    await assertWritable(storePaths(root), true);
    await makeDirectoryDurable(paths.root);
    for (const directory of [paths.cache, paths.quarantine]) await makeDirectory(directory);
    const meta = await openDatabase(paths, engine, !present);
    try {
      if (!present) await writeMarker(paths);
      const marker = await readMarker(paths);
      await writeOwner(storePaths(root), clock.nowMs());
      const measure = (): Promise<number> => directoryBytes(paths.database);
      const store = new SnapshotStore({ paths, marker, engine, clock, logger, measure }, meta);
      await store.start();
      return store;
    } catch (error) {
      await meta.close().catch(() => {});
      throw error;
    }
  } catch (error) {
    throw systemCode(error) === '' ? error : fromSystemError(error, 'open the store', paths.root);
  }
}

async function openDatabase(paths: SnapshotPaths, engine: Engine, create: boolean): Promise<Meta> {
  const tablesFile = path.join(paths.cache, 'meta-tables');
  try {
    return await Meta.open(paths.database, { create, checksum: (bytes) => engine.xxh3(bytes), tablesFile });
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw await lockedError(storePaths(paths.root), error);
    throw error;
  }
}

async function writeMarker(paths: SnapshotPaths): Promise<void> {
  const marker = {
    diffkeeper: 'snapshots',
    format: 1,
    id: randomBytes(16).toString('hex'),
    seed: randomBytes(16).toString('hex'),
  };
  await writeFileDurable(paths.marker, Buffer.from(`${JSON.stringify(marker)}\n`));
}

async function readMarker(paths: SnapshotPaths): Promise<{ readonly id: string; readonly seed: string }> {
  const hex = /^[0-9a-f]{32}$/;
  try {
    const value = JSON.parse(await readFile(paths.marker, 'utf8')) as Record<string, unknown>;
    const { diffkeeper, format, id, seed } = value;
    const known = diffkeeper === 'snapshots' && format === 1;
    if (known && typeof id === 'string' && typeof seed === 'string' && hex.test(id) && hex.test(seed))
      return { id, seed };
  } catch (error) {
    if (systemCode(error) !== '') throw error;
  }
  throw new DiffKeeperError('DK_NO_STORE', `the marker ${paths.marker} is damaged`, { path: paths.marker });
}
