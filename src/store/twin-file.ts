/** Files that stand twice in a store, because nothing can be read without them: the marker and the keys. */
import { readFile, stat } from 'node:fs/promises';
import { type DiffKeeperError, fromSystemError, renameDurable, systemCode } from '../core/core.js';
import { placeAside } from './aside.js';

const FILE_BYTES_MAX = 1 << 16;

/** One of the two. */
export interface TwinFile {
  readonly file: string;
  /** Null when it is missing, or the disk does not give it. */
  readonly bytes: Buffer | null;
  /** DK_IO when the disk does not give it: that says nothing about what is in it. */
  readonly unreadable: DiffKeeperError | null;
}

/** Nothing of ours is longer than 64 KiB: such a file is read as an empty one, which is damaged. */
export async function readTwinFile(file: string): Promise<TwinFile> {
  try {
    const bytes = (await stat(file)).size > FILE_BYTES_MAX ? Buffer.alloc(0) : await readFile(file);
    return { file, bytes, unreadable: null };
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(systemCode(error));
    return { file, bytes: null, unreadable: missing ? null : fromSystemError(error, 'read', file) };
  }
}

/** When neither of them can be read the one that the disk does not give may be good: throws that DK_IO. */
export function assertAnyTwin(files: readonly TwinFile[]): void {
  if (files.some(({ bytes }) => bytes !== null)) return;
  for (const { unreadable } of files) if (unreadable) throw unreadable;
}

/** Makes room for a new file where one cannot be read; it stays in the quarantine. Throws system errors. */
export async function putTwinAside(file: string, quarantine: string): Promise<void> {
  await renameDurable(file, placeAside(quarantine, 'unreadable'));
}
