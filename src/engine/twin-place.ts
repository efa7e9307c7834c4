/**
 * Placing entries below a root for the twin: temporary name, attributes, rename.
 * Node sets times to the microsecond only and has no call for extended
 * attributes, so mtime loses its last three digits and attributes are not set.
 */
import {
  type BigIntStats,
  close as closeCallback,
  constants,
  fchmod as fchmodCallback,
  fchown as fchownCallback,
  ftruncate as ftruncateCallback,
  futimes as futimesCallback,
  open as openCallback,
  write as writeCallback,
} from 'node:fs';
import { chmod, chown, lchown, link, lutimes, mkdir, rename, rmdir, symlink, unlink, utimes } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type BytePath, LIMITS, pathJoin, pathParent, randomBytes, systemCode } from '../core/core.js';
import { ENTRY, type Engine, type PlaceBatch, STAT, STAT_COLUMNS } from './engine.js';
import { fullPath, lookAt, negativeErrno, ParentCheck, systemError } from './twin-beneath.js';

const openFd = promisify(openCallback);
const closeFd = promisify(closeCallback);
const fchmod = promisify(fchmodCallback);
const fchown = promisify(fchownCallback);
const ftruncate = promisify(ftruncateCallback);
const futimes = promisify(futimesCallback);
const write = promisify(writeCallback);

const PAGE_BYTES = LIMITS.pageBytes;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** What the attributes of a row become in node:fs. */
function attributes(row: BigInt64Array, owner: boolean) {
  const mode = Number(row[STAT.mode]);
  return {
    // Without the right owner the set-id bits would lend rights to whoever runs this.
    mode: owner ? mode : mode & 0o1777,
    uid: Number(row[STAT.uid]),
    gid: Number(row[STAT.gid]),
    seconds: Number((row[STAT.mtimeNs] ?? 0n) / 1000n) / 1e6,
  };
}

function temporaryFor(path: BytePath): BytePath {
  return pathJoin(pathParent(path), `.dk-${randomBytes(8).toString('hex')}.tmp`);
}

async function exists(root: string, path: BytePath): Promise<BigIntStats | undefined> {
  return lookAt(root, path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
}

/** Renames over what is at `path`; an empty directory gives way, a filled one is EISDIR. */
async function renameOver(root: string, temporary: BytePath, path: BytePath): Promise<void> {
  if ((await exists(root, path))?.isDirectory()) {
    await rmdir(fullPath(root, path)).catch((error: unknown) => {
      throw systemCode(error) === 'ENOTEMPTY' ? systemError('EISDIR', path) : error;
    });
  }
  await rename(fullPath(root, temporary), fullPath(root, path));
}

async function setFileAttributes(fd: number, row: BigInt64Array, owner: boolean): Promise<void> {
  const { mode, uid, gid, seconds } = attributes(row, owner);
  if (owner) await fchown(fd, uid, gid);
  await fchmod(fd, mode);
  await futimes(fd, seconds, seconds);
}

async function writeContent(fd: number, data: Uint8Array, sparse: boolean): Promise<void> {
  for (let at = 0; at < data.length; ) {
    const page = data.subarray(at, at + PAGE_BYTES);
    if (sparse && ZERO_PAGE.compare(page, 0, page.length, 0, page.length) === 0) {
      at += page.length;
      continue;
    }
    const end = sparse ? at + page.length : data.length;
    const { bytesWritten } = await write(fd, data, at, end - at, at);
    at += bytesWritten;
  }
  // A hole at the end has no write to set the length.
  if (sparse) await ftruncate(fd, data.length);
}

/** Opens a new temporary file beside `path`. */
async function openTemporary(root: string, path: BytePath): Promise<{ fd: number; temporary: BytePath }> {
  const temporary = temporaryFor(path);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return { fd: await openFd(fullPath(root, temporary), flags, 0o600), temporary };
}

async function placeFile(batch: PlaceBatch, path: BytePath, row: BigInt64Array, data: Uint8Array): Promise<void> {
  const { fd, temporary } = await openTemporary(batch.root, path);
  try {
    try {
      const sparse = (row[STAT.blocks] ?? 0n) * 512n < (row[STAT.size] ?? 0n);
      await writeContent(fd, data, sparse);
      await setFileAttributes(fd, row, batch.owner);
    } finally {
      await closeFd(fd);
    }
    await renameOver(batch.root, temporary, path);
  } catch (error) {
    await unlink(fullPath(batch.root, temporary)).catch(() => undefined);
    throw error;
  }
}

async function placeSymlink(batch: PlaceBatch, path: BytePath, row: BigInt64Array, text: Uint8Array): Promise<void> {
  const temporary = temporaryFor(path);
  const full = fullPath(batch.root, temporary);
  const { uid, gid, seconds } = attributes(row, batch.owner);
  await symlink(Buffer.from(text), full);
  try {
    if (batch.owner) await lchown(full, uid, gid);
    await lutimes(full, seconds, seconds);
    await renameOver(batch.root, temporary, path);
  } catch (error) {
    await unlink(full).catch(() => undefined);
    throw error;
  }
}

async function placeDirectory(batch: PlaceBatch, path: BytePath, row: BigInt64Array): Promise<void> {
  const full = fullPath(batch.root, path);
  const before = await exists(batch.root, path);
  if (before !== undefined && !before.isDirectory()) await unlink(full);
  if (before === undefined || !before.isDirectory()) await mkdir(full, { mode: 0o700 });
  const { mode, uid, gid, seconds } = attributes(row, batch.owner);
  if (batch.owner) await chown(full, uid, gid);
  await chmod(full, mode);
  await utimes(full, seconds, seconds);
}

/** See `Engine.placeFiles`. One item after the other: a fallback needs no speed, and order keeps it plain. */
export async function placeFiles(batch: PlaceBatch): Promise<Int32Array> {
  const status = new Int32Array(batch.paths.length);
  const parents = new ParentCheck(batch.root);
  let at = 0;
  for (const [i, path] of batch.paths.entries()) {
    const row = batch.rows.subarray(i * STAT_COLUMNS, (i + 1) * STAT_COLUMNS);
    const data = batch.data.subarray(at, at + (batch.lengths[i] as number));
    at += data.length;
    const type = Number(row[STAT.type]);
    try {
      await parents.check(path, true);
      if (type === ENTRY.directory) await placeDirectory(batch, path, row);
      else if (path === '') throw systemError('EISDIR', path);
      else if (type === ENTRY.file) await placeFile(batch, path, row, data);
      else if (type === ENTRY.symlink) await placeSymlink(batch, path, row, data);
      else throw systemError('EINVAL', path);
    } catch (error) {
      status[i] = negativeErrno(error);
    }
    // A directory may have given way to something else.
    if (type !== ENTRY.directory) parents.forget();
  }
  return status;
}

/** See `Engine.placeOpen`. */
export async function placeOpen(root: string, path: BytePath): Promise<{ fd: number; temporary: BytePath }> {
  await new ParentCheck(root).check(path, true);
  return openTemporary(root, path);
}

/** See `Engine.placeCommit`. */
export async function placeCommit(options: Parameters<Engine['placeCommit']>[0]): Promise<void> {
  const parents = new ParentCheck(options.root);
  await parents.check(options.temporary);
  await parents.check(options.path);
  await setFileAttributes(options.fd, options.row, options.owner);
  await renameOver(options.root, options.temporary, options.path);
}

/** See `Engine.placeLink`. */
export async function placeLink(root: string, existing: BytePath, path: BytePath): Promise<void> {
  const parents = new ParentCheck(root);
  await parents.check(existing);
  await parents.check(path, true);
  if ((await lookAt(root, existing)).isDirectory()) throw systemError('EISDIR', existing);
  const temporary = temporaryFor(path);
  await link(fullPath(root, existing), fullPath(root, temporary));
  try {
    await renameOver(root, temporary, path);
  } finally {
    // Renaming one name of a file over another name of the same file does nothing and leaves both.
    await unlink(fullPath(root, temporary)).catch(() => undefined);
  }
}
