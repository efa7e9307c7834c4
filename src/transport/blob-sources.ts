/** Blobs from memory and from files. */
import { type FileHandle, open } from 'node:fs/promises';
import { createHash, DiffKeeperError, fromSystemError, readFully } from '../core/core.js';
import type { BlobSource } from './types.js';

/** Longest name of a file, bytes of UTF-8. */
const NAME_BYTES_MAX = 4095;

/** Bytes as a blob. They must not change until they are sent. */
export function bytesBlob(service: string, key: Buffer, bytes: Uint8Array, meta?: Buffer): BlobSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    service,
    key,
    size: buffer.length,
    ...(meta === undefined ? {} : { meta }),
    read: async (offset, into) => buffer.copy(into, 0, offset),
    view: (offset, length) => buffer.subarray(offset, offset + length),
  };
}

export interface FileBlob extends BlobSource {
  close(): Promise<void>;
}

/** What names these bytes of this file: another file, or the same one rewritten, is not mistaken for them. */
function fileKey(name: string, facts: { size: bigint; mtimeNs: bigint; ino: bigint; dev: bigint }): Buffer {
  const { size, mtimeNs, ino, dev } = facts;
  return createHash('sha256')
    .update(JSON.stringify([name, `${size} ${mtimeNs} ${ino} ${dev}`]))
    .digest();
}

/**
 * A file as a blob of the service `file`, which arrives under `name`. Throws DK_NOT_FOUND, DK_IO, RangeError (a name that
 * is too long), DK_UNSUPPORTED (no regular file).
 */
export async function openFileBlob(path: string, name: string): Promise<FileBlob> {
  const meta = Buffer.from(name);
  if (meta.length === 0 || meta.length > NAME_BYTES_MAX) {
    throw new RangeError(`a file's name must have 1 to ${NAME_BYTES_MAX} bytes`);
  }
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const file = handle;
    const facts = await file.stat({ bigint: true });
    if (!facts.isFile()) throw new DiffKeeperError('DK_UNSUPPORTED', `${path} is no regular file`, { path });
    return {
      service: 'file',
      key: fileKey(name, facts),
      size: Number(facts.size),
      meta,
      read: (offset, into) => readFully(file, into, offset),
      close: () => file.close(),
    };
  } catch (error) {
    await handle?.close();
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing) throw new DiffKeeperError('DK_NOT_FOUND', `there is no file ${path}`, { path }, error);
    throw fromSystemError(error, 'read', path);
  }
}
