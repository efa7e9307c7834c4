/** Reads and writes that end only when everything is done: the system may do less than it was asked for in one call. */
import type { FileHandle } from 'node:fs/promises';

/** Node aborts the process when one call is asked for 2 GiB or more. */
const CALL_BYTES_MAX = 2 ** 30;

/** Fills `into` from a place of a file. @returns bytes read, fewer only at the end of the file. Throws system errors. */
export async function readFully(handle: FileHandle, into: Uint8Array, offset: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, Math.min(into.length - done, CALL_BYTES_MAX), offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Writes all bytes to a place of a file, or behind what was written last when none is given. Throws system errors. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, offset?: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = offset === undefined ? null : offset + done;
    done += (await handle.write(bytes, done, Math.min(bytes.length - done, CALL_BYTES_MAX), at)).bytesWritten;
  }
}
