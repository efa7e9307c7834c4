/** Files that stand twice in a store, because nothing can be read without them: the marker and the keys. */
import { readFile, stat } from 'node:fs/promises';
import { fromSystemError, systemCode } from '../core/core.js';

const FILE_BYTES_MAX = 1 << 16;

/** Null when it is missing. Nothing of ours is longer than 64 KiB: such a file is read as an empty one, which is damaged. Throws DK_IO. */
export async function readTwinFile(file: string): Promise<Buffer | null> {
  try {
    return (await stat(file)).size > FILE_BYTES_MAX ? Buffer.alloc(0) : await readFile(file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return null;
    throw fromSystemError(error, 'read', file);
  }
}
