/**
 * What a disk takes from a program that only writes one file from its beginning to its end: through the page cache, and past
 * it (O_DIRECT). Both end when everything is on the disk.
 */
import { closeSync, constants, fdatasyncSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';

const PIECE = 4 << 20;
/** What past the page cache needs of an offset, a length, and a place in memory. */
const PAGE = 4096;
/** A file system that takes no such writes says so in one of these. */
const REFUSED = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP']);

/**
 * Bytes a second; undefined if refused. `copied`: of a program that reads and writes as many.
 * @typedef {{ readonly cached: number, readonly direct: number | undefined, readonly copied: number | undefined }} Written
 */

/** Bytes that nothing on the way to the disk can make less of, in memory that starts at a page: that of WebAssembly always does. */
function piece() {
  const bytes = new Uint8Array(new WebAssembly.Memory({ initial: PIECE >> 16 }).buffer);
  for (let at = 0; at < PIECE; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}
const CONTENT = piece();

/** @param {number} handle @param {number} length */
function writePiece(handle, length) {
  for (let at = 0; at < length; ) at += writeSync(handle, CONTENT, at, length - at);
}

/**
 * Writes a file that is removed again; bytes a second. Undefined where the file system refuses to be written to so.
 * @param {string} file must not be there
 * @param {number} count bytes
 * @param {'cached' | 'direct'} way
 * @returns {number | undefined}
 */
export function writeOnce(file, count, way) {
  const start = performance.now();
  let handle = -1;
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    handle = openSync(file, way === 'direct' ? flags | constants.O_DIRECT : flags, 0o600);
    for (let at = 0; at < count; at += PIECE) {
      const length = Math.min(PIECE, count - at);
      // The end of the file is no whole page: written as one, and cut.
      writePiece(handle, way === 'direct' ? Math.ceil(length / PAGE) * PAGE : length);
    }
    if (way === 'direct' && count % PAGE !== 0) ftruncateSync(handle, count);
    fdatasyncSync(handle);
    return count / ((performance.now() - start) / 1000);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (way === 'direct' && REFUSED.has(code ?? '')) return undefined;
    throw error;
  } finally {
    if (handle >= 0) closeSync(handle);
    rmSync(file, { force: true });
  }
}

/**
 * The better figure of each way.
 * @param {Written} one
 * @param {Written} other
 * @returns {Written}
 */
export function betterOf(one, other) {
  return {
    cached: Math.max(one.cached, other.cached),
    direct: betterSpeed(one.direct, other.direct),
    copied: betterSpeed(one.copied, other.copied),
  };
}

/** @param {readonly (number | undefined)[]} speeds */
function betterSpeed(...speeds) {
  const known = speeds.filter((speed) => speed !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
