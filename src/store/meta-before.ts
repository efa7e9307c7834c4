/** The metadata that a repair has moved away: it counts for as long as it stands there. */
import { stat } from 'node:fs/promises';
import { fromSystemError, makeDirectory, systemCode } from '../core/core.js';
import { placeAside } from './aside.js';
import type { BringUpParts } from './bring-up.js';

/** Throws DK_IO. */
export async function isThere(directory: string): Promise<boolean> {
  try {
    await stat(directory);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw fromSystemError(error, 'look at', directory);
  }
}

/**
 * Puts it back when a repair of this process could not: what was made in its place may lack what the packs have lost, and
 * the next process would take the one of before, however old it is by then. Throws DK_IO, DK_CORRUPT_INDEX.
 */
export async function bringBack({
  meta,
  metaBefore,
  quarantine,
  logger,
}: Pick<BringUpParts, 'meta' | 'metaBefore' | 'quarantine' | 'logger'>): Promise<void> {
  if (!(await isThere(metaBefore))) return;
  logger.warn({}, 'a repair did not end: the metadata of before is used');
  await makeDirectory(quarantine).catch((error: unknown) => {
    throw fromSystemError(error, 'make', quarantine);
  });
  await meta.restore(metaBefore, placeAside(quarantine, 'meta-half'));
}

/** Opens the metadata again, that of before where it still counts. Throws DK_IO, DK_CORRUPT_INDEX. */
export async function openAgain(parts: BringUpParts): Promise<void> {
  await parts.meta.reopen();
  await bringBack(parts);
}
