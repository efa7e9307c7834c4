import { LIMITS } from './limits.js';

/**
 * A path relative to the state directory, as raw bytes held in a one-byte string
 * (each character is one byte, `latin1`). POSIX names are bytes, not text: a
 * name that is not UTF-8 must survive a round trip. Separator `/`, no leading or
 * trailing separator, no `.` or `..` or empty component; the state directory
 * itself is the empty string.
 */
export type BytePath = string;

/** Bytes of one name, as the kernel has it. */
const NAME_BYTES_MAX = 255;

/** Bytes of the path, as the operating system wants them. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** The path that these raw bytes name. */
export function pathFromBytes(bytes: Uint8Array): BytePath {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** The path of this text, encoded as UTF-8. */
export function pathFromText(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** For people: the bytes read as UTF-8; what is not UTF-8 shows as U+FFFD. */
export function pathToText(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/** Parent directory of a path; the parent of a top-level name is the empty string. */
export function pathParent(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** Last component of a path. */
export function pathName(path: BytePath): BytePath {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Joins a directory and a name. */
export function pathJoin(directory: BytePath, name: BytePath): BytePath {
  return directory === '' ? name : `${directory}/${name}`;
}

/**
 * Whether a path read from bytes may be used below a target directory: not
 * absolute, no empty, `.` or `..` component, no NUL, components of at most 255
 * bytes, at most 4,095 bytes in all.
 */
export function isSafePath(path: BytePath): boolean {
  if (path.length === 0 || path.length > LIMITS.pathBytes || path.includes('\0')) return false;
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..' || name.length > NAME_BYTES_MAX) return false;
  }
  return true;
}

/** Whether a path that the kernel gave is short enough to be kept: 4,095 bytes in all, 255 in its last name. */
export function isPathWithinLimits(path: BytePath): boolean {
  return path.length <= LIMITS.pathBytes && path.length - path.lastIndexOf('/') <= NAME_BYTES_MAX + 1;
}

/** The path itself, or the nearest directory above it that is short enough to be kept. */
export function nearestWithinLimits(path: BytePath): BytePath {
  if (path.length <= NAME_BYTES_MAX) return path;
  let end = 0;
  for (const name of path.split('/')) {
    const next = end === 0 ? name.length : end + 1 + name.length;
    if (name.length > NAME_BYTES_MAX || next > LIMITS.pathBytes) break;
    end = next;
  }
  return path.slice(0, end);
}

/** Whether `path` is `directory` or lies below it. */
export function isWithin(path: BytePath, directory: BytePath): boolean {
  return directory === '' || path === directory || path.startsWith(`${directory}/`);
}

/** Joins paths into one NUL-separated buffer, the form in which batches cross into native code. */
export function packPaths(paths: readonly BytePath[]): Buffer {
  return Buffer.from(paths.join('\0'), 'latin1');
}

/** Splits what `packPaths` joined; `count` tells an empty list from one empty path. */
export function unpackPaths(packed: Uint8Array, count: number): BytePath[] {
  return count === 0 ? [] : pathFromBytes(packed).split('\0');
}
