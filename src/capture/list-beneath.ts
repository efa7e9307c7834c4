/** Lists directories whose absolute paths may be longer than the kernel takes. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { type BytePath, pathBytes } from '../core/core.js';

/** Bytes of a path that the kernel takes in one call. */
const CALL_BYTES_MAX = 4095;
/** Bytes of a path that are gone through in one step: with `/proc/self/fd/N/` before them still fewer than that. */
const STEP_BYTES = 3840;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
const NAMES = { withFileTypes: true, encoding: 'latin1' } as const;

export interface ListedName {
  readonly name: BytePath;
  isDirectory(): boolean;
}

/** Whether the kernel takes the absolute path of this directory. */
export function isReachable(root: string, directory: BytePath): boolean {
  return Buffer.byteLength(root) + 1 + directory.length <= CALL_BYTES_MAX;
}

/** Names in a directory below `root`, an absolute path. @throws what node:fs does */
export async function listBeneath(root: string, directory: BytePath): Promise<readonly ListedName[]> {
  const below = pathBytes(directory);
  if (isReachable(root, directory)) return readdir(Buffer.concat([Buffer.from(`${root}/`), below]), NAMES);
  let handle: FileHandle = await open(root, DIRECTORY);
  try {
    for (let from = 0; from < below.length; ) {
      const rest = below.subarray(from);
      const end = rest.length <= STEP_BYTES ? rest.length : rest.lastIndexOf('/', STEP_BYTES);
      const step = Buffer.concat([Buffer.from(`/proc/self/fd/${handle.fd}/`), rest.subarray(0, end)]);
      const next = await open(step, DIRECTORY | constants.O_NOFOLLOW);
      await handle.close();
      handle = next;
      from += end + 1;
    }
    return await readdir(`/proc/self/fd/${handle.fd}`, NAMES);
  } finally {
    await handle.close();
  }
}
