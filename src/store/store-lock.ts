/**
 * Which process has a store. LevelDB's lock lies inside the metadata, which a repair and a rotation put aside: so there is
 * one more, in a directory that nobody replaces, held for as long as the store is open; the system takes it back when the
 * process ends, however that is. LevelDB's stays, for releases that know no other.
 *
 * It is a lock on `lock/LOCK`, as the addon takes it. Without the addon a database without anything in it is opened
 * there, because LevelDB locks a file of just this name: each way keeps out the other.
 */
import { close, constants, open } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { fromSystemError, isDiffKeeperError, makeDirectory, systemCode } from '../core/core.js';
import { loadLockFile } from '../engine/load.js';
import { type Level, openLevel } from './meta-level.js';
import { lockedError, type StorePaths } from './store-files.js';

const LOCK_FILE = 'LOCK';
/** Never removed, or two could have a file of this name locked. Read and write: what is locked for writing has to be. */
const OPEN = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
/** What systems say that do not know locks of open files. */
const UNKNOWN_CALL: ReadonlySet<string> = new Set(['EINVAL', 'ENOSYS']);

export interface StoreLock {
  /** Again, it does nothing. */
  release(): Promise<void>;
}

/** Takes the store for this opening. Throws DK_STORE_LOCKED, DK_IO (where a file system has no locks, too), DK_DISK_FULL. */
export async function lockStore(paths: StorePaths): Promise<StoreLock> {
  const file = path.join(paths.lock, LOCK_FILE);
  try {
    await makeDirectory(paths.lock);
    const taken = (await lockByAddon(file)) ?? (await lockByLevel(paths.lock));
    if (taken !== 'locked') return taken;
  } catch (error) {
    throw fromSystemError(error, 'lock', file);
  }
  throw await lockedError(paths, undefined);
}

/** Null without the addon, and where the system does not know such locks. */
async function lockByAddon(file: string): Promise<StoreLock | 'locked' | null> {
  const lockFile = loadLockFile();
  if (!lockFile) return null;
  // A number: an object would let go of the file, with a warning, when a store that nobody closed is collected.
  const fd = await promisify(open)(file, OPEN, 0o600);
  let held: number | null = fd;
  const release = async (): Promise<void> => {
    if (held === null) return;
    held = null;
    await promisify(close)(fd).catch(() => {});
  };
  let taken = false;
  try {
    taken = lockFile(fd);
  } catch (error) {
    await release();
    if (UNKNOWN_CALL.has(systemCode(error))) return null;
    throw error;
  }
  if (taken) return { release };
  await release();
  return 'locked';
}

async function lockByLevel(directory: string): Promise<StoreLock | 'locked'> {
  try {
    const level = await openEmpty(directory);
    return { release: () => level.close().catch(() => {}) };
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_STORE_LOCKED')) return 'locked';
    throw error;
  }
}

/** What a crash has left of it is begun anew: nothing is in it. */
async function openEmpty(directory: string): Promise<Level> {
  try {
    return await openLevel(directory, { create: true });
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
  }
  for (const name of await readdir(directory)) {
    if (name !== LOCK_FILE) await rm(path.join(directory, name), { recursive: true, force: true });
  }
  return openLevel(directory, { create: true });
}
