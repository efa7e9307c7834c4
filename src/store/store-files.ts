/** The directory of a store: layout, marker, creation, lock facts. */
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
  randomBytes,
  systemCode,
  writeFileAdvisory,
  writeFileDurable,
} from '../core/core.js';
import type { HashAlgo } from '../engine/engine.js';
import {
  CIPHER,
  decodeMarker,
  ENCRYPTED_FORMAT,
  encodeMarker,
  MARKER_NAME,
  type Marker,
  STORE_FORMAT,
} from '../format/format.js';
import { KEY_FILE_NAMES } from './key-files.js';

export interface StorePaths {
  readonly root: string;
  readonly marker: string;
  readonly meta: string;
  readonly packs: string;
  readonly cache: string;
  readonly quarantine: string;
  /** What has arrived of another store in part. */
  readonly incoming: string;
  readonly lock: string;
  /** Where its owner lets others read. */
  readonly socket: string;
}

export function storePaths(root: string): StorePaths {
  const full = path.resolve(root);
  return {
    root: full,
    marker: path.join(full, MARKER_NAME),
    meta: path.join(full, 'meta'),
    packs: path.join(full, 'packs'),
    cache: path.join(full, 'cache'),
    quarantine: path.join(full, 'quarantine'),
    incoming: path.join(full, 'incoming'),
    lock: path.join(full, 'owner.json'),
    socket: path.join(full, 'read.sock'),
  };
}

/** The marker, or null when there is none. */
export async function readMarker(paths: StorePaths): Promise<Marker | null> {
  try {
    return decodeMarker(await readFile(paths.marker), paths.root);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (code.startsWith('DK_')) throw error;
    throw fromSystemError(error, 'read', paths.marker);
  }
}

/**
 * Throws DK_STORE_READ_ONLY when a store cannot be written, or not be made. Asked for before anything is opened: what
 * refuses to be written must not be taken for damaged.
 */
export async function assertWritable(paths: StorePaths, fresh: boolean): Promise<void> {
  const places = fresh ? [await nearestExisting(paths.root)] : [paths.root, paths.meta, paths.packs];
  for (const place of places) {
    try {
      await access(place, constants.W_OK | constants.X_OK);
    } catch (error) {
      const code = systemCode(error);
      if (!['EROFS', 'EACCES', 'EPERM'].includes(code)) continue;
      const reason = code === 'EROFS' ? 'the file system is read-only' : 'permission denied';
      const what = fresh ? 'cannot make a store at' : 'cannot write to the store';
      throw new DiffKeeperError('DK_STORE_READ_ONLY', `${what} ${paths.root}: ${reason}`, { path: place }, error);
    }
  }
}

/** The directory that a new one would be made in. */
async function nearestExisting(directory: string): Promise<string> {
  for (let place = directory; ; place = path.dirname(place)) {
    const found = await stat(place).catch(() => null);
    if (found !== null || place === path.dirname(place)) return place;
  }
}

/** Why this path cannot be opened as a store, as an error. */
export async function explainMissing(paths: StorePaths): Promise<DiffKeeperError> {
  const facts = await stat(paths.root).catch(() => null);
  const reason = !facts ? 'it does not exist' : facts.isDirectory() ? 'it has no marker file' : 'it is not a directory';
  return new DiffKeeperError('DK_NO_STORE', `${paths.root} is not a DiffKeeper store: ${reason}`, { path: paths.root });
}

/** What schema 1 keeps in the same directory. */
const SCHEMA_1_NAMES = ['SNAPSHOTS', 'snapshots', 'snapshots-cache', 'snapshots-changed'];

/** Makes an empty store's directories; the marker comes last, by `finishCreation`. Throws DK_NO_STORE, DK_IO. */
export async function beginCreation(paths: StorePaths): Promise<void> {
  try {
    await makeDirectoryDurable(paths.root);
    const known = new Set(['meta', 'packs', 'cache', 'quarantine', 'owner.json', ...KEY_FILE_NAMES, ...SCHEMA_1_NAMES]);
    const strange = (await readdir(paths.root)).find((name) => !known.has(name) && !name.endsWith('.tmp'));
    const packed = await readdir(paths.packs).catch(() => []);
    if (strange !== undefined || packed.length > 0) {
      throw new DiffKeeperError(
        'DK_NO_STORE',
        `${paths.root} is not a DiffKeeper store and not empty (it has ${strange ?? 'packs without a marker'})`,
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

/** @param withKeys makes the key files of an encrypted store, which must be there before the marker */
export async function finishCreation(
  paths: StorePaths,
  hashAlgo: HashAlgo,
  nowMs: number,
  withKeys?: (storeId: string) => Promise<void>,
): Promise<Marker> {
  const marker: Marker = {
    format: withKeys ? ENCRYPTED_FORMAT : STORE_FORMAT,
    id: randomBytes(16).toString('hex'),
    hashAlgo,
    seed: randomBytes(16).toString('hex'),
    created: new Date(nowMs).toISOString(),
    ...(withKeys && { encryption: CIPHER }),
  };
  await withKeys?.(marker.id);
  await writeFileDurable(paths.marker, encodeMarker(marker));
  return marker;
}

/** A path in the quarantine that nothing has: putting aside may happen twice within the same millisecond. */
export function placeAside(quarantine: string, name: string): string {
  return path.join(quarantine, `${name}-${Date.now()}-${randomBytes(4).toString('hex')}`);
}

/** Says who owns the store; only read when LevelDB's lock says that somebody does, so it is never stale. */
export async function writeOwner(paths: StorePaths, nowMs: number): Promise<void> {
  const owner = { pid: process.pid, host: hostname(), since: new Date(nowMs).toISOString() };
  await writeFileAdvisory(paths.lock, Buffer.from(`${JSON.stringify(owner)}\n`));
}

export async function lockedError(paths: StorePaths, cause: unknown): Promise<DiffKeeperError> {
  let pid: number | undefined;
  let since = '';
  try {
    const owner = JSON.parse(await readFile(paths.lock, 'utf8')) as { pid?: unknown; since?: unknown };
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
