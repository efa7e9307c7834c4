/**
 * What follows a new master key. Packs stay as they are; the metadata, whose keyed names would go on telling the holder of
 * the old key which contents there are, is sealed anew, and caches go. It is done by whoever opens the store next and
 * finds metadata under an older key, so that a crash in between leaves nothing half done: until the new metadata is whole
 * the old one comes back, as after a repair that did not end.
 */
import { readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { fromSystemError, isDiffKeeperError, type Logger, renameDurable } from '../core/core.js';
import { keepNewestAside, placeAside } from './aside.js';
import type { Meta } from './meta.js';
import { isThere } from './meta-before.js';
import { Changes } from './meta-changes.js';
import type { StorePaths } from './store-files.js';

/** Name in the quarantine of metadata that is to be removed. */
const OLDER = 'meta-older';

export interface FollowOptions {
  /** What stops it is thrown. Otherwise the metadata stays as it was, and the next opening tries again. */
  readonly must: boolean;
  readonly logger: Logger;
}

/**
 * Brings metadata and caches under the newest master key, where they are not. False when the metadata is damaged: it is as before then, and has
 * to be made anew from the packs. Throws DK_IO, DK_DISK_FULL.
 */
export async function followRotation(meta: Meta, paths: StorePaths, { must, logger }: FollowOptions): Promise<boolean> {
  await dropCaches(paths);
  if (!meta.isOlder) return true;
  const trouble = await sealAnew(meta, paths);
  if (trouble === null) {
    await putAway(paths, logger);
    return true;
  }
  const reason = String(trouble);
  if (isDiffKeeperError(trouble, 'DK_CORRUPT_INDEX')) {
    logger.warn({ reason }, 'the metadata cannot be sealed anew: rebuilding it from the packs');
    return false;
  }
  if (must || !isDiffKeeperError(trouble)) throw trouble;
  logger.warn({ reason }, 'the metadata stays under an older master key: the next opening tries again');
  return true;
}

/** They describe contents under the old key, and none of them can be found under the new one. */
async function dropCaches({ cache, incoming }: StorePaths): Promise<void> {
  try {
    for (const name of await readdir(cache)) await rm(path.join(cache, name), { recursive: true, force: true });
    await rm(incoming, { recursive: true, force: true });
  } catch (error) {
    throw fromSystemError(error, 'remove caches in', cache);
  }
}

/** What stopped it, after the metadata of before was put back; null for nothing. Throws DK_IO when that cannot be done. */
async function sealAnew(meta: Meta, { metaBefore, quarantine }: StorePaths): Promise<unknown> {
  try {
    await meta.replace(metaBefore);
    const before = await meta.openAside(metaBefore);
    try {
      const changes = new Changes(meta);
      for await (const entries of before.all()) for (const [key, value] of entries) await changes.add({ key, value });
      await changes.flush();
    } finally {
      await before.close();
    }
    return null;
  } catch (error) {
    // Otherwise it has not been moved, and is open, or reading from it says that it is not.
    if (await isThere(metaBefore)) await meta.restore(metaBefore, placeAside(quarantine, 'meta-half'));
    return error;
  }
}

/** Until it has gone from its place it comes back. */
async function putAway({ metaBefore, quarantine }: StorePaths, logger: Logger): Promise<void> {
  const aside = placeAside(quarantine, OLDER);
  await renameDurable(metaBefore, aside).catch((error: unknown) => {
    throw fromSystemError(error, 'put aside', metaBefore);
  });
  await rm(aside, { recursive: true, force: true }).catch((error: unknown) => {
    logger.warn({ error: String(error), aside }, 'metadata under an older master key cannot be removed: remove it');
  });
}

/** Removes what a crash has kept `followRotation` from removing: who has an older key could read it. */
export async function removeOlder({ quarantine }: StorePaths, logger: Logger): Promise<void> {
  await keepNewestAside(quarantine, OLDER, 0).catch((error: unknown) => {
    logger.warn(
      { error: String(error), quarantine },
      'metadata under an older master key cannot be removed: remove it',
    );
  });
}
