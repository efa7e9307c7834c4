/** Reads and writes the files of `delta` and `patch`. `-` is stdin or stdout. */
import { readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { DiffKeeperError, isDiffKeeperError } from '../index.js';

function failed(error: unknown, action: string, file: string): DiffKeeperError {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  const reason = error instanceof Error ? error.message : String(error);
  if (code === 'ENOENT' && action === 'read')
    return new DiffKeeperError('DK_NOT_FOUND', `no file ${file}`, { path: file });
  if (code === 'EEXIST') {
    return new DiffKeeperError('DK_ARGUMENT', `${file} exists already; --force replaces it`, { path: file });
  }
  const kind = code === 'ENOSPC' || code === 'EDQUOT' ? 'DK_DISK_FULL' : 'DK_IO';
  return new DiffKeeperError(kind, `cannot ${action} ${file}: ${reason}`, { path: file }, error);
}

export async function readWhole(file: string, signal: AbortSignal): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(process.stdin) : await readFile(file, { signal });
  } catch (error) {
    throw failed(error, 'read', file);
  }
}

/** Writes a file that must not exist yet, unless `force` is set. It appears whole or not at all. */
export async function writeWhole(file: string, bytes: Uint8Array, force: boolean): Promise<void> {
  if (file === '-') {
    await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
    return;
  }
  const there = await stat(file).catch(() => undefined);
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    if (there !== undefined && !there.isFile()) return await writeFile(file, bytes);
    if (there !== undefined && !force) throw Object.assign(new Error('it exists'), { code: 'EEXIST' });
    await writeFile(temporary, bytes, { flag: 'wx' });
    await rename(temporary, there === undefined ? file : await realpath(file));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw failed(error, 'write', file);
  }
}

/** A file to read, or stdin. */
export function input(file: string): string | Readable {
  return file === '-' ? process.stdin : file;
}

/** Names the option that would have helped where an output exists already. */
export function explainRefusal(error: unknown): never {
  if (isDiffKeeperError(error, 'DK_ARGUMENT') && error.facts.path !== undefined) {
    throw new DiffKeeperError('DK_ARGUMENT', `${error.message}; --force replaces it`, error.facts, error);
  }
  throw error;
}
