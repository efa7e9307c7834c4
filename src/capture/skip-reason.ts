/** Words for why an entry was left out. */
import { type BytePath, DiffKeeperError, errnoFacts, fromSystemError, systemCode } from '../core/core.js';
import type { CaptureSkip } from './types.js';

/** Why an entry was left out. */
export type SkipReason = Omit<CaptureSkip, 'path'>;

/** Of an entry that was read several times in vain. */
export const UNSETTLED: SkipReason = { kind: 'unsettled', reason: 'it kept changing while it was read' };

/** Of an entry whose path no store holds. */
export const TOO_LONG: SkipReason = {
  kind: 'too-long',
  reason: 'its path is longer than 4,095 bytes, or a name in it than 255',
};
/** Of a path that this engine, which has to name it from the root of the file system, cannot reach. */
const BEYOND_REACH: SkipReason = { kind: 'too-long', reason: 'its path is too long for the system (ENAMETOOLONG)' };
/** A file system's own directory for what a check finds: nothing that an application keeps is in it. */
const OF_FILE_SYSTEM = 'lost+found';

/** The entry vanished between scan and reading: the next scan, or its own event, says so. Not worth a report. */
const VANISHED = new Set(['ENOENT', 'ENOTDIR']);
/** It became something else meanwhile, for example a symbolic link. */
const REPLACED = new Set(['ELOOP', 'EISDIR', 'EMLINK', 'EAGAIN']);
/** Trouble of the machine, not of one entry: the capture as a whole fails and is tried again. */
const FATAL = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** Reason for a negative errno; null when the entry simply is not there any more. */
export function reasonOf(errno: number): SkipReason | null {
  const { name, text } = errnoFacts(errno);
  if (FATAL.has(name)) {
    throw new DiffKeeperError('DK_IO', `cannot read the state directory: ${text} (${name})`, { name });
  }
  return describe(name, text);
}

/** As `reasonOf`, of one entry that cannot even be looked at. */
export function reasonOfEntry(path: BytePath, errno: number): SkipReason | null {
  const reason = reasonOf(errno);
  if (path !== OF_FILE_SYSTEM || reason?.kind !== 'unreadable') return reason;
  return { kind: 'special', reason: "it is the file system's own, and cannot be read" };
}

/** As `reasonOf`, for a thrown system error; rethrows what is not the fault of one entry. */
export function reasonOfError(error: unknown): SkipReason | null {
  const name = systemCode(error);
  if (!/^E[A-Z0-9]+$/.test(name)) throw error;
  if (FATAL.has(name)) throw fromSystemError(error, 'read', 'the state directory');
  return describe(name, error instanceof Error ? error.message : name);
}

function describe(name: string, text: string): SkipReason | null {
  if (VANISHED.has(name)) return null;
  if (name === 'ENAMETOOLONG') return BEYOND_REACH;
  if (REPLACED.has(name)) return { kind: 'unsettled', reason: 'it was replaced while it was read' };
  return { kind: 'unreadable', reason: `cannot be read: ${text} (${name})` };
}
