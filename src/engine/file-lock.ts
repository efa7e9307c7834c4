/** Locks of files, which Node has no call for; absent without the addon. */
import { loadAddon } from '../addon.cjs';

/**
 * Locks a whole file for writing, without waiting: for as long as this open file is open, however its process ends, and
 * for nobody else in this process either. A program that is started does not have it when the descriptor is closed on exec.
 *
 * @param fd open for writing
 * @returns false when somebody else has it
 * @throws with the name of a system error as `code`
 */
export type LockFile = (fd: number) => boolean;

/** Undefined where the addon does not load or is not wanted. */
export function loadLockFile(): LockFile | undefined {
  if (process.env.DIFFKEEPER_ENGINE === 'typescript') return undefined;
  try {
    const { lockFile } = loadAddon().addon as { readonly lockFile?: LockFile };
    return typeof lockFile === 'function' ? lockFile : undefined;
  } catch {
    return undefined;
  }
}
