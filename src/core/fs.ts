/**
 * The only place that makes bytes durable: fsync, fdatasync, rename and unlink of
 * the product's own files go through here, so that tests can record and fail them.
 */
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import * as path from 'node:path';
import { systemCode } from './errors.js';
import { writeFully } from './whole-io.js';

/** Makes the entries of a directory durable. Systems that cannot sync a directory are left alone. */
export async function fsyncDirectory(directory: string | Buffer): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(directory, 'r');
  } catch (error) {
    if (systemCode(error) === 'EISDIR' || systemCode(error) === 'EPERM') return;
    throw error;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a file and its content durable; one that is gone, no file, or closed to us is left alone. */
async function fsyncFile(file: Buffer): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ELOOP', 'ENXIO', 'EPERM'].includes(systemCode(error))) return;
    throw error;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes every file and directory below a directory durable, one after the other; symbolic links are not followed. */
export async function fsyncTree(directory: string | Buffer): Promise<void> {
  const root = Buffer.from(directory);
  for (const entry of await readdir(root, { withFileTypes: true, encoding: 'buffer' })) {
    const full = Buffer.concat([root, Buffer.from('/'), entry.name]);
    if (entry.isDirectory()) await fsyncTree(full);
    else if (entry.isFile()) await fsyncFile(full);
  }
  await fsyncDirectory(root);
}

/** Writes a whole file so that after a crash either nothing or all of it is there (temporary name, fsync, rename). */
export async function writeFileDurable(file: string, bytes: Uint8Array): Promise<void> {
  await writeFileReplacing(file, bytes, true);
  await fsyncDirectory(path.dirname(file));
}

/** As `writeFileDurable` without any sync: for caches that carry their own checksum. */
export async function writeFileAdvisory(file: string, bytes: Uint8Array): Promise<void> {
  await writeFileReplacing(file, bytes, false);
}

async function writeFileReplacing(file: string, bytes: Uint8Array, sync: boolean): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  const handle = await createAnew(temporary);
  try {
    await handle.writeFile(bytes);
    if (sync) await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await rename(temporary, file);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

/** A file that nobody else has: what a process that ended has left goes, and a link, whatever it points at, is not written through. */
async function createAnew(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx', 0o600);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  await rm(file, { force: true });
  return open(file, 'wx', 0o600);
}

/** Renames and makes both directories durable. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to);
  await fsyncDirectory(path.dirname(to));
  if (path.dirname(from) !== path.dirname(to)) await fsyncDirectory(path.dirname(from));
}

/** Gives a file another name beside its own, and makes that durable. */
export async function linkDurable(file: string, other: string): Promise<void> {
  await link(file, other);
  await fsyncDirectory(path.dirname(other));
}

/** For writing into a file of ours; no link is followed. */
const OWN_FILE = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0);

/** Cuts a file to a length and makes that durable; no link is followed. */
export async function truncateDurable(file: string, length: number): Promise<void> {
  const handle = await open(file, OWN_FILE);
  try {
    await handle.truncate(length);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a file and makes that durable; a missing file is fine. */
export async function unlinkDurable(file: string): Promise<void> {
  await rm(file, { force: true });
  await fsyncDirectory(path.dirname(file));
}

async function isMissing(file: string): Promise<boolean> {
  return stat(file).then(
    () => false,
    (error: unknown) => systemCode(error) === 'ENOENT',
  );
}

/**
 * Makes a directory and its parents; gives the first that was made, undefined when it is there. Node's own way goes up and
 * down for ever where a file system says of what it does not make that it is missing, as /proc does, or where a parent is
 * a link to nothing: so the topmost one is made by itself, and its error counts.
 */
export async function makeParents(directory: string, mode?: number): Promise<string | undefined> {
  const options = { recursive: true, ...(mode !== undefined && { mode }) } as const;
  let top: string | undefined;
  for (let at = path.resolve(directory); await isMissing(at); at = path.dirname(at)) top = at;
  if (top === undefined) return mkdir(directory, options);
  try {
    await mkdir(top, mode);
  } catch (error) {
    // Another process was faster.
    if (systemCode(error) !== 'EEXIST' || (await isMissing(top))) throw error;
    return mkdir(directory, options);
  }
  await mkdir(directory, options);
  return top;
}

/** Makes a directory (and parents) private to the user. */
export async function makeDirectory(directory: string): Promise<void> {
  await makeParents(directory, 0o700);
}

/** As `makeDirectory`; each directory that was made is durable in its parent, as far as that may be opened. */
export async function makeDirectoryDurable(directory: string): Promise<void> {
  const first = await makeParents(directory, 0o700);
  if (first === undefined) return;
  for (let made = path.resolve(directory); ; made = path.dirname(made)) {
    await fsyncDirectory(path.dirname(made)).catch((error: unknown) => {
      if (systemCode(error) !== 'EACCES') throw error;
    });
    if (made === path.resolve(first) || made === path.dirname(made)) return;
  }
}

/** An append-only file: writes are counted, and durable once `sync` resolves. */
export class AppendFile {
  readonly #handle: FileHandle;
  #length: number;

  private constructor(handle: FileHandle, length: number) {
    this.#handle = handle;
    this.#length = length;
  }

  /** Creates a file that must not exist yet. */
  static async create(file: string): Promise<AppendFile> {
    return new AppendFile(await open(file, 'wx+', 0o600), 0);
  }

  /** Opens an existing file for appending at `length`. */
  static async open(file: string, length: number): Promise<AppendFile> {
    return new AppendFile(await open(file, OWN_FILE), length);
  }

  get length(): number {
    return this.#length;
  }

  get fd(): number {
    return this.#handle.fd;
  }

  async append(buffers: readonly Uint8Array[]): Promise<void> {
    for (let first = 0; first < buffers.length; first += 512) {
      const part = buffers.slice(first, first + 512);
      let bytes = 0;
      for (const buffer of part) bytes += buffer.byteLength;
      try {
        const { bytesWritten } = await this.#handle.writev(part, this.#length);
        if (bytesWritten !== bytes) await this.#finishShortWrite(part, bytesWritten);
      } catch (error) {
        // On a full disk the half that was written holds the last room, which everything else needs to go on.
        await this.#handle.truncate(this.#length).catch(() => {});
        throw error;
      }
      this.#length += bytes;
    }
  }

  /** A short write is legal for POSIX: write what is left, or let the system say why it cannot. */
  async #finishShortWrite(part: readonly Uint8Array[], written: number): Promise<void> {
    await writeFully(this.#handle, Buffer.concat(part).subarray(written), this.#length + written);
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
    await this.#handle.datasync();
    this.#length = length;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Bytes of all regular files below a directory; a missing directory counts 0. */
export async function directoryBytes(directory: string): Promise<number> {
  let total = 0;
  const names = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of names) {
    const full = path.join(directory, entry.name);
    if (entry.isDirectory()) total += await directoryBytes(full);
    else
      total += await stat(full)
        .then((facts) => facts.size)
        .catch(() => 0);
  }
  return total;
}
