/** The source of a delta, read at any place: an open file, or bytes in memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, readFully, systemCode } from '../core/core.js';

export interface SourceBytes {
  readonly length: number;
  /** Fills `into` from `offset` on; the range must lie in the source. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Fails when the source is not what it was when it was opened. */
  checkUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file for reading. Throws DK_NOT_FOUND, DK_IO. */
export async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new DiffKeeperError('DK_NOT_FOUND', `no file ${path}`, { path }, error);
    throw fromSystemError(error, 'read', path);
  }
}

/** Fills `into` from a place of a file. @returns bytes read, fewer only at the end of the file */
export async function readAt(handle: FileHandle, path: string, offset: number, into: Uint8Array): Promise<number> {
  try {
    return await readFully(handle, into, offset);
  } catch (error) {
    throw fromSystemError(error, 'read', path);
  }
}

function changed(path: string): DiffKeeperError {
  return new DiffKeeperError('DK_IO', `${path} changed while it was read`, { path });
}

/** A regular file as source. Throws DK_NOT_FOUND, DK_IO, DK_UNSUPPORTED for anything that cannot be read at any place. */
export async function openSource(path: string): Promise<SourceBytes> {
  const handle = await openForReading(path);
  const facts = await handle.stat({ bigint: true });
  if (!facts.isFile()) {
    await handle.close();
    throw new DiffKeeperError('DK_UNSUPPORTED', `${path} is no regular file: a source is read at many places`, {
      path,
    });
  }
  return {
    length: Number(facts.size),
    async read(offset, into) {
      if ((await readAt(handle, path, offset, into)) !== into.length) throw changed(path);
    },
    async checkUnchanged() {
      const now = await handle.stat({ bigint: true });
      if (now.size !== facts.size || now.mtimeNs !== facts.mtimeNs) throw changed(path);
    },
    close: () => handle.close(),
  };
}

/** Bytes in memory as source. */
export function sourceInMemory(bytes: Uint8Array): SourceBytes {
  return {
    length: bytes.length,
    async read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length));
    },
    async checkUnchanged() {},
    async close() {},
  };
}
