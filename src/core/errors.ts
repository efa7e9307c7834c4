import { getSystemErrorMap } from 'node:util';

/**
 * Every code a `DiffKeeperError` can carry. Codes are part of the public API:
 * they are added, never renamed. `docs/errors.md` explains each.
 */
export const ERROR_CODES = [
  'DK_ABORTED',
  'DK_ARGUMENT',
  'DK_CONFIG',
  'DK_CORRUPT_BOLT',
  'DK_CORRUPT_DELTA',
  'DK_CORRUPT_PACK',
  'DK_CORRUPT_RECORD',
  'DK_CORRUPT_RECIPE',
  'DK_CORRUPT_INDEX',
  'DK_DIGEST_MISMATCH',
  'DK_SOURCE_MISMATCH',
  'DK_LIMIT',
  'DK_KEY_LOST',
  'DK_KEY_NEEDED',
  'DK_KEY_WRONG',
  'DK_NATIVE_MISSING',
  'DK_NO_STORE',
  'DK_STORE_FORMAT_NEWER',
  'DK_STORE_LOCKED',
  'DK_STORE_CLOSED',
  'DK_STORE_READ_ONLY',
  'DK_NOT_FOUND',
  'DK_STATE_DIR',
  'DK_STORE_INSIDE_STATE_DIR',
  'DK_UNSAFE_PATH',
  'DK_DISK_FULL',
  'DK_IO',
  'DK_PARTIAL',
  'DK_UNSUPPORTED',
  'DK_SPAWN',
  'DK_STATE_DIR_LOCKED',
  'DK_APPLICATION_RUNS',
  'DK_HOOK',
  'DK_WITHIN_HOOK',
  'DK_BASELINE_MISSING',
  'DK_BASELINE_MISMATCH',
  'DK_DICTIONARY_MISSING',
  'DK_CONNECTION',
  'DK_PROTOCOL',
  'DK_REFUSED',
  'DK_REMOTE',
  'DK_REPLICA',
  'DK_DIVERGED',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Small typed facts that travel with an error. */
export interface ErrorFacts {
  readonly path?: string;
  readonly expected?: string | number;
  readonly actual?: string | number;
  readonly offset?: number;
  readonly pid?: number;
  readonly name?: string;
  readonly key?: string;
  readonly baselineId?: number;
}

const MARK = Symbol.for('diffkeeper.error');

/** The one error class of the product. Programs test `code`; messages may change. */
export class DiffKeeperError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;
  readonly [MARK] = true;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code === 'DK_ABORTED' ? 'AbortError' : 'DiffKeeperError';
    this.code = code;
    this.facts = facts;
  }
}

/** Recognises our errors across copies of the package, and optionally one code. */
export function isDiffKeeperError(error: unknown, code?: ErrorCode): error is DiffKeeperError {
  if (typeof error !== 'object' || error === null || !(MARK in error)) return false;
  return code === undefined || (error as DiffKeeperError).code === code;
}

/** The system's error code (`ENOENT`, ...) of an error, or the empty string. */
export function systemCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : '';
}

/** Whether the system refused something (EIO and the like): no error of ours, and none of Node's own. */
export function isSystemError(error: unknown): boolean {
  return !isDiffKeeperError(error) && /^E[A-Z0-9]+$/.test(systemCode(error));
}

/** Turns a system error into ours: `ENOSPC`/`EDQUOT` become DK_DISK_FULL, the rest DK_IO. */
export function fromSystemError(error: unknown, action: string, path: string): DiffKeeperError {
  if (isDiffKeeperError(error)) return error;
  const code = systemCode(error);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const reason = error instanceof Error ? error.message : String(error);
  return new DiffKeeperError(full ? 'DK_DISK_FULL' : 'DK_IO', `cannot ${action} ${path}: ${reason}`, { path }, error);
}

/** Name and words of a negative errno, as the engine reports it; one the system does not know is named by its number. */
export function errnoFacts(errno: number): { readonly name: string; readonly text: string } {
  const [name, text] = getSystemErrorMap().get(errno) ?? [`errno ${-errno}`, 'unknown error'];
  return { name, text };
}

/** A negative errno as the error that Node would have thrown: `code` is its name. */
export function errnoError(errno: number, action: string): Error {
  const { name, text } = errnoFacts(errno);
  return Object.assign(new Error(`${name}: ${text}, ${action}`), { code: name });
}

/** Throws DK_ABORTED when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new DiffKeeperError('DK_ABORTED', 'the operation was aborted', {}, signal.reason);
  }
}
