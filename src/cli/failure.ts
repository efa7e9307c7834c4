/** Turns an error into words for people and an exit code. */
import { DiffKeeperError, type ErrorCode, EXIT_CODES, isDiffKeeperError } from '../index.js';
import { shown } from './shown-text.js';

/** What to do about it, where there is something short to say. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  DK_STORE_LOCKED:
    'what only reads works while it runs (not with whole-file snapshots); to write, end that process first, or use another store',
  DK_APPLICATION_RUNS:
    '--orphan=terminate ends it before the start; --orphan=ignore starts another one beside it, and both write to the directory',
  DK_NO_STORE: 'check --store (or DIFFKEEPER_STORE); run, capture and watch make a store',
  DK_CORRUPT_INDEX: 'run "diffkeeper repair" to rebuild the metadata from the packs',
  DK_NATIVE_MISSING: 'run "npm rebuild diffkeeper" with a C++17 compiler at hand, or set DIFFKEEPER_ENGINE=typescript',
  DK_KEY_WRONG: '"diffkeeper key list" shows which keys there are',
  DK_STORE_FORMAT_NEWER: 'use the release of DiffKeeper that wrote the store, or a newer one',
};

const EXIT_BY_CODE: Partial<Record<ErrorCode, number>> = {
  DK_ARGUMENT: EXIT_CODES.usage,
  DK_CONFIG: EXIT_CODES.usage,
  DK_UNSUPPORTED: EXIT_CODES.usage,
  DK_PARTIAL: EXIT_CODES.partial,
  DK_STORE_LOCKED: EXIT_CODES.locked,
  DK_STATE_DIR_LOCKED: EXIT_CODES.locked,
  DK_APPLICATION_RUNS: EXIT_CODES.locked,
  DK_KEY_LOST: EXIT_CODES.key,
  DK_KEY_NEEDED: EXIT_CODES.key,
  DK_KEY_WRONG: EXIT_CODES.key,
};

/** Exit code for an error; in run mode everything but wrong usage is 125, since other codes belong to the child. */
export function failureCode(error: unknown, runMode: boolean): number {
  const code = isDiffKeeperError(error) ? (EXIT_BY_CODE[error.code] ?? EXIT_CODES.failed) : EXIT_CODES.failed;
  return runMode && code !== EXIT_CODES.usage ? EXIT_CODES.runFailed : code;
}

/** Lines for stderr. */
export function failureLines(error: unknown, debug: boolean): string[] {
  const message = error instanceof Error ? error.message : String(error);
  const lines = [isDiffKeeperError(error) ? `diffkeeper: ${message} (${error.code})` : `diffkeeper: ${message}`];
  const hint = isDiffKeeperError(error) ? HINTS[error.code] : undefined;
  if (hint !== undefined) lines.push(`  ${hint}`);
  if (debug && error instanceof Error) {
    lines.push(...stackLines(error));
    if (error.cause instanceof Error) lines.push(...stackLines(error.cause, 'caused by: '));
  }
  return lines;
}

/** The stack begins with the message, which may hold a name with line breaks. */
function stackLines({ message, stack = message }: Error, before = ''): string[] {
  return `${before}${stack.replace(message, () => shown(message))}`.split('\n');
}

/** Facts for a JSON line. */
export function failureFacts(error: unknown): { readonly code: ErrorCode | null; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  return isDiffKeeperError(error) ? { code: error.code, message, ...error.facts } : { code: null, message };
}

/** A wrong positional argument. */
export function argumentError(name: string, message: string): DiffKeeperError {
  return new DiffKeeperError('DK_ARGUMENT', `${name}: ${message}`, { name });
}
