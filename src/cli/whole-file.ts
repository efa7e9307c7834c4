/** The files of `delta` and `patch`. `-` is stdin or stdout. */
import type { Readable } from 'node:stream';
import { DiffKeeperError, isDiffKeeperError } from '../index.js';

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
