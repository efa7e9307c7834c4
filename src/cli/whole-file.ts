/** Reads and writes the files of `delta` and `patch`. `-` is stdin or stdout. */
import { readFile, rm, writeFile } from 'node:fs/promises';
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

/** Writes a file that must not exist yet, unless `force` is set; a half-written one is removed. */
export async function writeWhole(file: string, bytes: Uint8Array, force: boolean): Promise<void> {
  if (file === '-') {
    await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
    return;
  }
  try {
    await writeFile(file, bytes, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    const refusal = failed(error, 'write', file);
    if (refusal.code !== 'DK_ARGUMENT') await rm(file, { force: true }).catch(() => {});
    throw refusal;
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
