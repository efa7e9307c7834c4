/** LevelDB's errors as ours. It tells a damaged database, a full disk and a refused call apart only in its text. */
import { DiffKeeperError, type ErrorCode, isDiffKeeperError, systemCode } from '../core/core.js';

/** LevelDB's own error, which `open` wraps. */
function innermost(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  return systemCode(cause).startsWith('LEVEL_') || cause instanceof Error ? cause : error;
}

function codeOf(levelCode: string, text: string, opening: boolean): ErrorCode {
  if (levelCode === 'LEVEL_LOCKED') return 'DK_STORE_LOCKED';
  if (levelCode === 'LEVEL_CORRUPTION') return 'DK_CORRUPT_INDEX';
  if (/No space left|Disk quota exceeded/i.test(text)) return 'DK_DISK_FULL';
  // A file that should be there and is not: damage. While open, everything is there.
  if (/No such file|does not exist|Not a directory|Is a directory/i.test(text)) return 'DK_CORRUPT_INDEX';
  // The directory is made before LevelDB is asked; something else under its name is none of ours.
  const refused = /^E[A-Z]/.test(levelCode) && levelCode !== 'EEXIST';
  if (levelCode === 'LEVEL_IO_ERROR' || refused || !opening) return 'DK_IO';
  return 'DK_CORRUPT_INDEX';
}

/**
 * @param action what was tried, for the message
 * @param directory of the database
 */
export function metaError(error: unknown, action: 'open' | 'read' | 'write', directory: string): DiffKeeperError {
  if (isDiffKeeperError(error)) return error;
  const cause = innermost(error);
  const reason = cause instanceof Error ? cause.message : String(cause);
  const code = codeOf(systemCode(cause), reason, action === 'open');
  const advice = code === 'DK_CORRUPT_INDEX' ? ': run `diffkeeper repair`' : '';
  return new DiffKeeperError(code, `cannot ${action} the metadata: ${reason}${advice}`, { path: directory }, error);
}
