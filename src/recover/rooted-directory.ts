/**
 * Removes entries below one directory without ever following a symbolic link,
 * also when one is planted while we work: each parent is opened component by
 * component with O_NOFOLLOW and names are resolved relative to its descriptor
 * (`/proc/self/fd/N/name`). Systems without that file system are checked with
 * lstat instead, which leaves a race but no surprise in a quiet tree.
 */
import { closeSync, constants, existsSync, fchmodSync, lstatSync, openSync, rmdirSync, unlinkSync } from 'node:fs';
import {
  type BytePath,
  DiffKeeperError,
  isSafePath,
  pathBytes,
  pathJoin,
  pathName,
  pathParent,
  pathToText,
  systemCode,
} from '../core/core.js';

const DESCRIPTORS = process.platform === 'linux' && existsSync('/proc/self/fd');
const OPEN_DIRECTORY = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** Keeps the last parent open: callers remove in an order that stays in one directory for long. Not thread-safe. */
export class RootedDirectory {
  readonly #root: string;
  #parent: BytePath | null = null;
  #fd = -1;

  /** @param root real path of the directory that nothing may leave */
  constructor(root: string) {
    this.#root = root;
  }

  /** A name for the file behind a descriptor; undefined where the system has none. */
  static descriptorPath(fd: number): string | undefined {
    return DESCRIPTORS ? `/proc/self/fd/${fd}` : undefined;
  }

  /** Removes a file, link or special file; one that is gone already is fine. */
  unlink(path: BytePath): void {
    this.#remove(path, unlinkSync);
  }

  /** Removes an empty directory. Returns false when it is not empty. */
  removeEmpty(path: BytePath): boolean {
    try {
      this.#remove(path, rmdirSync);
      return true;
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EBUSY') return false;
      throw error;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#parent = null;
  }

  #remove(path: BytePath, action: (path: Buffer) => void): void {
    if (!isSafePath(path)) throw unsafe(path);
    try {
      const name = this.#locate(path);
      try {
        action(name);
      } catch (error) {
        if (systemCode(error) !== 'EACCES' || this.#fd < 0) throw error;
        // A directory without write permission hides its entries from its own owner: lift that once.
        fchmodSync(this.#fd, 0o700);
        action(name);
      }
    } catch (error) {
      if (systemCode(error) === 'ELOOP') throw unsafe(path);
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }

  /** A path to the entry that no symbolic link can bend. */
  #locate(path: BytePath): Buffer {
    const parent = pathParent(path);
    if (!DESCRIPTORS) {
      checkParents(this.#root, parent);
      return Buffer.concat([Buffer.from(`${this.#root}/`), pathBytes(path)]);
    }
    if (this.#parent !== parent) {
      this.close();
      this.#fd = openBelow(this.#root, parent);
      this.#parent = parent;
    }
    return below(this.#fd, pathName(path));
  }
}

function below(fd: number, name: BytePath): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), pathBytes(name)]);
}

function openBelow(root: string, directory: BytePath): number {
  let fd = openSync(root, OPEN_DIRECTORY);
  if (directory === '') return fd;
  for (const name of directory.split('/')) {
    try {
      const inner = openSync(below(fd, name), OPEN_DIRECTORY);
      closeSync(fd);
      fd = inner;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}

function checkParents(root: string, directory: BytePath): void {
  let path = '';
  for (const name of directory === '' ? [] : directory.split('/')) {
    path = pathJoin(path, name);
    const facts = lstatSync(Buffer.concat([Buffer.from(`${root}/`), pathBytes(path)]));
    if (!facts.isDirectory()) throw unsafe(path);
  }
}

function unsafe(path: BytePath): DiffKeeperError {
  const text = pathToText(path);
  return new DiffKeeperError('DK_UNSAFE_PATH', `${text} leads out of the directory`, { path: text });
}
