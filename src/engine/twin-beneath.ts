/**
 * Paths below a root for the twin. Node has no openat2, so each parent is looked
 * at before use and a symbolic link among them is refused. Unlike the native
 * engine this cannot win against somebody who swaps a parent in between.
 */
import { lstat, mkdir } from 'node:fs/promises';
import { constants } from 'node:os';
import { type BytePath, pathBytes, systemCode } from '../core/core.js';
import { ENTRY, STAT, STAT_COLUMNS } from './engine.js';

/** Status of an entry as node:fs gives it with bigint. */
export type EntryStats = Awaited<ReturnType<typeof lookAt>>;

/** Absolute path of an entry, as bytes. The root itself is what a symbolic link to it leads to: that is the user's choice. */
export function fullPath(root: string, path: BytePath): Buffer {
  return path === '' ? Buffer.from(`${root}/.`) : Buffer.concat([Buffer.from(`${root}/`), pathBytes(path)]);
}

/** Status without following a symbolic link. */
export function lookAt(root: string, path: BytePath) {
  return lstat(fullPath(root, path), { bigint: true });
}

/** A system error made here, in the shape of node:fs. */
export function systemError(code: 'ELOOP' | 'ENOTDIR' | 'EISDIR' | 'EINVAL' | 'EIO', path: BytePath): Error {
  const error = new Error(`${code}: ${pathBytes(path).toString('utf8')}`);
  return Object.assign(error, { code, errno: -constants.errno[code] });
}

/** Negative errno of an error; -EIO for one that carries none. */
export function negativeErrno(error: unknown): number {
  const code = systemCode(error);
  const numbers: Readonly<Record<string, number>> = constants.errno;
  return -(numbers[code] ?? constants.errno.EIO);
}

/** Checks that every parent of entries is a real directory; remembers the good ones for one batch. */
export class ParentCheck {
  readonly #good = new Set<BytePath>();

  constructor(readonly root: string) {}

  /** Rejects with ELOOP for a symbolic link, ENOTDIR for anything else. @param make missing ones are made with mode 0700 */
  async check(path: BytePath, make = false): Promise<void> {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash);
      if (this.#good.has(parent)) continue;
      await this.#checkOne(parent, make);
      this.#good.add(parent);
    }
  }

  /** Forgets what was learnt: an entry was replaced. */
  forget(): void {
    this.#good.clear();
  }

  async #checkOne(parent: BytePath, make: boolean): Promise<void> {
    let stats: EntryStats;
    try {
      stats = await lookAt(this.root, parent);
    } catch (error) {
      if (!make || systemCode(error) !== 'ENOENT') throw error;
      // Another item of the batch may make the same parent at the same time.
      await mkdir(fullPath(this.root, parent), { mode: 0o700 }).catch((failure: unknown) => {
        if (systemCode(failure) !== 'EEXIST') throw failure;
      });
      return;
    }
    if (stats.isSymbolicLink()) throw systemError('ELOOP', parent);
    if (!stats.isDirectory()) throw systemError('ENOTDIR', parent);
  }
}

/** ENTRY type of a status. */
export function entryType(stats: EntryStats): number {
  if (stats.isFile()) return ENTRY.file;
  if (stats.isDirectory()) return ENTRY.directory;
  return stats.isSymbolicLink() ? ENTRY.symlink : ENTRY.special;
}

/** Stat row of a status. */
export function statRow(stats: EntryStats): BigInt64Array {
  return BigInt64Array.of(
    BigInt(entryType(stats)),
    stats.mode & 0o7777n,
    stats.uid,
    stats.gid,
    stats.size,
    stats.mtimeNs,
    stats.ctimeNs,
    stats.ino,
    stats.dev,
    stats.nlink,
    stats.blocks,
  );
}

/** Row of an entry that could not be looked at. */
export function failedRow(error: unknown): BigInt64Array {
  const row = new BigInt64Array(STAT_COLUMNS);
  row[STAT.type] = BigInt(negativeErrno(error));
  return row;
}

/** Whether bytes read between the two looks belong to one state of one file. */
export function sameContent(before: BigInt64Array, after: BigInt64Array): boolean {
  const columns = [STAT.type, STAT.size, STAT.mtimeNs, STAT.ctimeNs, STAT.ino, STAT.dev];
  return columns.every((column) => before[column] === after[column]);
}
