/** Where a delta or a target goes: a file that appears whole or not at all, or a stream. */
import { link, open, realpath, rename, rm, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { DiffKeeperError, fromSystemError, randomBytes, systemCode, writeFully } from '../core/core.js';

export interface ByteOutput {
  /** One call at a time; the bytes may change once it has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Everything was written: the file takes its name. A stream is left open. */
  commit(): Promise<void>;
  /** Gives up: nothing is left of a file. Also after `commit`, when it does nothing. */
  discard(): Promise<void>;
}

function streamOutput(stream: Writable): ByteOutput {
  let failure: unknown;
  const onError = (error: unknown): void => {
    failure ??= error;
  };
  stream.on('error', onError);
  const end = async (): Promise<void> => {
    stream.off('error', onError);
  };
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        const failed = (error: unknown): void => reject(fromSystemError(error, 'write', 'the stream'));
        if (failure !== undefined) failed(failure);
        else stream.write(bytes, (error) => (error ? failed(error) : resolve()));
      }),
    commit: end,
    discard: end,
  };
}

function exists(path: string): DiffKeeperError {
  return new DiffKeeperError('DK_ARGUMENT', `${path} exists already`, { path });
}

/** Gives the temporary file its name; without `overwrite` it must be free, which only a link tells without a race. */
async function place(temporary: string, path: string, overwrite: boolean): Promise<void> {
  if (overwrite) return rename(temporary, path);
  try {
    await link(temporary, path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw exists(path);
    // A file system without links: the name was free a moment ago.
    await open(path, 'wx').then((handle) => handle.close());
    return rename(temporary, path);
  }
  await rm(temporary);
}

async function fileOutput(path: string, overwrite: boolean): Promise<ByteOutput> {
  const there = await stat(path).catch(() => undefined);
  // A device or a pipe keeps its place.
  const special = there !== undefined && !there.isFile() && !there.isDirectory();
  if (there !== undefined && !special && !overwrite) throw exists(path);
  const final = there === undefined || special ? path : await realpath(path);
  const temporary = special ? final : `${final}.${randomBytes(6).toString('hex')}.tmp`;
  const failed = (error: unknown): never => {
    throw fromSystemError(error, 'write', path);
  };
  const handle = await (special ? open(final, 'w') : open(temporary, 'wx')).catch(failed);
  if (there !== undefined && !special) await handle.chmod(there.mode & 0o7777).catch(() => undefined);
  let done = false;
  const discard = async (): Promise<void> => {
    if (done) return;
    done = true;
    await handle.close().catch(() => undefined);
    if (!special) await rm(temporary, { force: true }).catch(() => undefined);
  };
  return {
    write: (bytes) => writeFully(handle, bytes).catch(failed),
    async commit() {
      try {
        await handle.close();
        if (!special) await place(temporary, final, overwrite);
        done = true;
      } catch (error) {
        await discard();
        failed(error);
      }
    },
    discard,
  };
}

/** Opens the output. Throws DK_ARGUMENT when the file exists and may not be overwritten, DK_DISK_FULL, DK_IO. */
export async function openOutput(to: string | Writable, overwrite: boolean): Promise<ByteOutput> {
  return typeof to === 'string' ? fileOutput(to, overwrite) : streamOutput(to);
}
