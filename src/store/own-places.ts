/**
 * What a store consists of must be its own: directories and plain files. A link in its place would have a foreign file
 * written, cut or removed (packs are cut at openings, LevelDB writes logs, caches are replaced); a pipe would be waited for.
 */
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { DiffKeeperError, fromSystemError, systemCode } from '../core/core.js';
import { MARKER_NAMES } from '../format/format.js';
import { KEY_FILE_NAMES } from './key-files.js';

const STORED = ['meta', 'meta-before', 'packs', 'cache', 'quarantine', 'incoming', 'lock'];
const DIRECTORIES = [...STORED, 'snapshots', 'snapshots-cache'];
const FILES = [...MARKER_NAMES, ...KEY_FILE_NAMES, 'owner.json', 'SNAPSHOTS', 'snapshots-changed'];
const SOCKET = 'read.sock';
/** Of what was put aside nothing is opened, and it may be anything. */
const LEFT_ALONE = 'quarantine';
/** Directories below `incoming`, `snapshots-cache`: no store has any deeper. */
const DEPTH_MAX = 4;
const PACK = /\.dkp(\.|$)/;

/**
 * Refuses a store whose directory holds links, pipes or devices in place of its own directories and files; nothing is
 * opened or changed. What others have put beside them is left alone. A store that is not there has no such places.
 *
 * @param root the store's directory: itself it may be reached through a link
 * @throws DK_UNSAFE_PATH, DK_IO
 */
export async function checkOwnPlaces(root: string): Promise<void> {
  const below: string[] = [];
  for (const entry of await entriesOf(root)) {
    const full = path.join(root, entry.name);
    if (DIRECTORIES.includes(entry.name)) {
      if (!entry.isDirectory()) throw foreign(entry, full, 'a directory');
      if (entry.name !== LEFT_ALONE) below.push(full);
    } else if (FILES.includes(entry.name)) {
      if (!entry.isFile()) throw foreign(entry, full, 'a file');
    } else if (entry.name === SOCKET && !entry.isSocket()) throw foreign(entry, full, 'a socket');
  }
  // Side by side: to hear of each takes longer than to list it.
  await Promise.all(below.map((directory) => checkBelow(directory, 1)));
}

async function checkBelow(directory: string, depth: number): Promise<void> {
  for (const entry of await entriesOf(directory)) {
    const full = path.join(directory, entry.name);
    if (entry.isFile()) continue;
    if (!entry.isDirectory() || PACK.test(entry.name)) throw foreign(entry, full, 'a file');
    if (depth < DEPTH_MAX) await checkBelow(full, depth + 1);
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    // Gone, or no directory: whoever opens it says what that means.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCode(error))) return [];
    throw fromSystemError(error, 'list', directory);
  }
}

function foreign(entry: Dirent, full: string, expected: string): DiffKeeperError {
  const actual = kindOf(entry);
  return new DiffKeeperError(
    'DK_UNSAFE_PATH',
    `${full} of the store is ${actual} and should be ${expected}: nothing was opened; put what it stands for in its place, or remove it`,
    { path: full, expected, actual },
  );
}

function kindOf(entry: Dirent): string {
  if (entry.isSymbolicLink()) return 'a symbolic link';
  if (entry.isFile()) return 'a file';
  if (entry.isDirectory()) return 'a directory';
  if (entry.isFIFO()) return 'a pipe';
  return entry.isSocket() ? 'a socket' : 'a device';
}
