/** Opens LevelDB: the only importer of classic-level. */
import { readdir } from 'node:fs/promises';
import { ClassicLevel } from 'classic-level';
import { fromSystemError, fsyncDirectory, isDiffKeeperError, systemCode } from '../core/core.js';
import { metaError } from './meta-errors.js';

export type Level = ClassicLevel<Buffer, Buffer>;

/** Throws DK_STORE_LOCKED when another process owns the database; looks at nothing else of it. */
export async function assertUnlocked(directory: string): Promise<void> {
  try {
    // The lock is taken first, then this fails because the database exists.
    const level = await openLevel(directory, { create: true, fail: true });
    await level.close();
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw error;
  }
}

interface Opening {
  readonly create: boolean;
  readonly fail?: boolean;
}

/**
 * Throws DK_STORE_LOCKED, DK_CORRUPT_INDEX, DK_DISK_FULL, DK_IO. LevelDB calls a directory damaged that the disk did not
 * list: so we look ourselves, and ask once more. What metadata alone still knows would be given up otherwise.
 */
export async function openLevel(directory: string, how: Opening): Promise<Level> {
  return openOnce(directory, how).catch(async (error: unknown) => {
    if (how.fail || !isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    await readdir(directory).catch((why: unknown) => {
      throw systemCode(why) === 'ENOENT' ? error : fromSystemError(why, 'list', directory);
    });
    return openOnce(directory, how);
  });
}

async function openOnce(directory: string, how: Opening): Promise<Level> {
  const level: Level = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: how.create,
    errorIfExists: how.fail ?? false,
    writeBufferSize: 4 << 20,
    cacheSize: 8 << 20,
  });
  try {
    await level.open();
  } catch (error) {
    throw metaError(error, 'open', directory);
  }
  try {
    // LevelDB renames CURRENT and never syncs the directory after it: should the old one come back after a crash, it
    // would begin with old tables and go on with new logs, and what is between them would be missing without a word.
    await fsyncDirectory(directory);
  } catch (error) {
    await level.close().catch(() => {});
    throw fromSystemError(error, 'sync', directory);
  }
  return level;
}
