/**
 * What a disk takes from a program that only copies one file, past the page cache (O_DIRECT), reading and writing at once: a
 * recover of what is not in memory has to read about as much as it writes, from the same disk.
 */
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';

const PIECE = 4 << 20;
/** Pieces that are read or written at the same time. */
const AT_ONCE = 4;
const PAGE = 4096;
/** A file system that takes no such descriptors says so in one of these. */
const REFUSED = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP']);

/** @typedef {import('node:fs/promises').FileHandle} FileHandle */

/**
 * Copies every `AT_ONCE`-th piece of a file. The end of the file is no whole page: written as one.
 * @param {{ readonly from: FileHandle, readonly to: FileHandle, readonly count: number, readonly room: Uint8Array }} files
 * @param {number} first
 */
async function copyPieces({ from, to, count, room }, first) {
  const piece = room.subarray(first * PIECE, (first + 1) * PIECE);
  for (let at = first * PIECE; at < count; at += AT_ONCE * PIECE) {
    const length = Math.min(PIECE, count - at);
    const { bytesRead } = await from.read(piece, 0, PIECE, at);
    if (bytesRead !== length) throw new Error(`read ${bytesRead} bytes of ${length}`);
    const whole = Math.ceil(length / PAGE) * PAGE;
    const { bytesWritten } = await to.write(piece, 0, whole, at);
    if (bytesWritten !== whole) throw new Error(`wrote ${bytesWritten} bytes of ${whole}`);
  }
}

/**
 * Copies a file to one that is removed again; bytes a second, until all is on the disk. Undefined where the file system
 * refuses to be read or written so.
 * @param {string} source
 * @param {string} file must not be there
 * @returns {Promise<number | undefined>}
 */
export async function copyOnce(source, file) {
  // Memory that starts at a page: that of WebAssembly always does.
  const room = new Uint8Array(new WebAssembly.Memory({ initial: (AT_ONCE * PIECE) >> 16 }).buffer).fill(1);
  const start = performance.now();
  /** @type {FileHandle[]} */
  const handles = [];
  try {
    const from = await open(source, constants.O_RDONLY | constants.O_DIRECT);
    handles.push(from);
    const to = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DIRECT, 0o600);
    handles.push(to);
    const { size: count } = await from.stat();
    const files = { from, to, count, room };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, first) => copyPieces(files, first)));
    if (count % PAGE !== 0) await to.truncate(count);
    await to.datasync();
    return count / ((performance.now() - start) / 1000);
  } catch (error) {
    if (REFUSED.has(/** @type {NodeJS.ErrnoException} */ (error).code ?? '')) return undefined;
    throw error;
  } finally {
    await Promise.all(handles.map((handle) => handle.close()));
    await rm(file, { force: true });
  }
}
