/** The directory of a store: layout, creation, lock facts. The marker is in `marker-files.ts`. */
import { constants } from 'node:fs';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import * as path from 'node:path';
import {
  DiffKeeperError,
  fromSystemError,
  fsyncDirectory,
  makeDirectory,
  makeDirectoryDurable,
  systemCode,
  writeFileAdvisory,
} from '../core/core.js';
import { MARKER_NAMES } from '../format/format.js';
import { KEY_FILE_NAMES } from './key-files.js';

export interface StorePaths {
  readonly root: string;
  /** The marker and its copy. */
  readonly markers: readonly [string, string];
  readonly meta: string;
  /** The metadata before, while `repair` makes it anew: it comes back when that does not end. */
  readonly metaBefore: string;
  readonly packs: string;
  readonly cache: string;
  readonly quarantine: string;
  /** What has arrived of another store in part. */
  readonly incoming: string;
  /** Who opened the store last. */
  readonly owner: string;
  /** See `store-lock.ts`. */
  readonly lock: string;
  /** Where its owner lets others read. */
  readonly socket: string;
}

export function storePaths(root: string): StorePaths {
  const full = path.resolve(root);
  return {
    root: full,
    markers: [path.join(full, MARKER_NAMES[0]), path.join(full, MARKER_NAMES[1])],
    meta: path.join(full, 'meta'),
    metaBefore: path.join(full, 'meta-before'),
    packs: path.join(full, 'packs'),
    cache: path.join(full, 'cache'),
    quarantine: path.join(full, 'quarantine'),
    incoming: path.join(full, 'incoming'),
    owner: path.join(full, 'owner.json'),
    lock: path.join(full, 'lock'),
    socket: path.join(full, 'read.sock'),
  };
}

/**
 * Throws DK_STORE_READ_ONLY when a store cannot be written, or not be made. Asked for before anything is opened: what
 * refuses to be written must not be taken for damaged.
 */
export async function assertWritable(paths: StorePaths, fresh: boolean): Promise<void> {
  const places = fresh ? [await nearestExisting(paths.root)] : [paths.root, paths.meta, paths.packs];
  const check = async (place: string): Promise<void> => {
    try {
      await access(place, constants.W_OK | constants.X_OK);
    } catch (error) {
      const code = systemCode(error);
      if (!['EROFS', 'EACCES', 'EPERM'].includes(code)) return;
      const reason = code === 'EROFS' ? 'the file system is read-only' : 'permission denied';
      const what = fresh ? 'cannot make a store at' : 'cannot write to the store';
      throw new DiffKeeperError('DK_STORE_READ_ONLY', `${what} ${paths.root}: ${reason}`, { path: place }, error);
    }
  };
  await Promise.all(places.map(check));
}

/** The directory that a new one would be made in. */
async function nearestExisting(directory: string): Promise<string> {
  for (let place = directory; ; place = path.dirname(place)) {
    const found = await stat(place).catch(() => null);
    if (found !== null || place === path.dirname(place)) return place;
  }
}

/** Whether something is stored here, whatever the marker says. */
export async function hasPacks({ packs }: StorePaths): Promise<boolean> {
  return (await readdir(packs).catch(() => [])).some((name) => name.endsWith('.dkp'));
}

export const REPAIR_ADVICE = '"diffkeeper repair" writes them anew from the packs';

/** Why this path cannot be opened as a store, as an error. */
export async function explainMissing(paths: StorePaths): Promise<DiffKeeperError> {
  const facts = await stat(paths.root).catch(() => null);
  const lost = (await hasPacks(paths)) ? `its marker files are lost: ${REPAIR_ADVICE}` : 'it has no marker file';
  const reason = !facts ? 'it does not exist' : facts.isDirectory() ? lost : 'it is not a directory';
  return new DiffKeeperError('DK_NO_STORE', `${paths.root} is not a DiffKeeper store: ${reason}`, { path: paths.root });
}

/** What a store has before its marker. */
const OWN_NAMES = ['meta', 'packs', 'cache', 'quarantine', 'lock', 'owner.json'];
/** What schema 1 keeps in the same directory. */
const SCHEMA_1_NAMES = ['SNAPSHOTS', 'snapshots', 'snapshots-cache', 'snapshots-changed'];

/** Makes an empty store's directories; the marker comes last, by `makeMarker`. Throws DK_NO_STORE, DK_IO. */
export async function beginCreation(paths: StorePaths): Promise<void> {
  try {
    await makeDirectoryDurable(paths.root);
    const known = new Set([...OWN_NAMES, ...KEY_FILE_NAMES, ...SCHEMA_1_NAMES]);
    const strange = (await readdir(paths.root)).find((name) => !known.has(name) && !name.endsWith('.tmp'));
    const packed = await readdir(paths.packs).catch(() => []);
    if (strange !== undefined || packed.length > 0) {
      throw new DiffKeeperError(
        'DK_NO_STORE',
        `${paths.root} is not a DiffKeeper store and not empty (it has ${strange ?? `packs without a marker: ${REPAIR_ADVICE}`})`,
        { path: paths.root },
      );
    }
    for (const directory of [paths.meta, paths.packs, paths.cache, paths.quarantine]) await makeDirectory(directory);
    // The marker says that they are there: it must not become durable before them.
    await fsyncDirectory(paths.root);
  } catch (error) {
    throw fromSystemError(error, 'create a store at', paths.root);
  }
}

/** Says who owns the store; only read when a lock says that somebody does. */
export async function writeOwner(paths: StorePaths, nowMs: number): Promise<void> {
  const owner = { pid: process.pid, host: hostname(), since: new Date(nowMs).toISOString() };
  await writeFileAdvisory(paths.owner, Buffer.from(`${JSON.stringify(owner)}\n`));
}

export async function lockedError(paths: StorePaths, cause: unknown): Promise<DiffKeeperError> {
  let pid: number | undefined;
  let since = '';
  try {
    const owner = JSON.parse(await readFile(paths.owner, 'utf8')) as { pid?: unknown; since?: unknown };
    if (typeof owner.pid === 'number') pid = owner.pid;
    if (typeof owner.since === 'string') since = ` since ${owner.since}`;
  } catch {
    // Without the owner file the message is shorter, the error the same.
  }
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  return new DiffKeeperError(
    'DK_STORE_LOCKED',
    `the store ${paths.root} is in use by ${who}${since}`,
    pid === undefined ? { path: paths.root } : { path: paths.root, pid },
    cause,
  );
}
