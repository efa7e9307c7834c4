/** Where the state directory and the store lie, and whether the options make sense. */
import { lstat, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';
import { type BytePath, DiffKeeperError, pathFromText, systemCode } from '../core/core.js';
import type { CaptureOptions } from './types.js';

/** Which directory this is, whatever its name. */
export interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Checks options; throws TypeError or RangeError. */
export function checkCaptureOptions(options: CaptureOptions): void {
  const { chunkBytes, deltaEngine, ignore } = options;
  if (chunkBytes !== undefined && (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1 << 20 || chunkBytes > 1 << 28)) {
    throw new RangeError(`chunkBytes must be an integer from 1048576 to 268435456, got ${chunkBytes}`);
  }
  if (deltaEngine !== undefined && !['auto', 'zstd', 'xor', 'none'].includes(deltaEngine)) {
    throw new TypeError(`deltaEngine must be 'auto', 'zstd', 'xor' or 'none', got ${String(deltaEngine)}`);
  }
  if (ignore !== undefined && !(Array.isArray(ignore) && ignore.every((pattern) => typeof pattern === 'string'))) {
    throw new TypeError('ignore must be an array of strings');
  }
}

/**
 * Device and inode of a directory that is named by its real path. Throws DK_STATE_DIR when it is not there, and when a link has
 * taken its place, or that of a directory above it: what lies behind that is something else, which nobody asked us to keep.
 */
export async function identify(stateDir: string): Promise<Identity> {
  let reason = 'is not a directory';
  try {
    const real = await realpath(stateDir);
    const facts = await lstat(stateDir, { bigint: true });
    if (real !== stateDir) reason = 'was replaced by a symbolic link, or a directory above it was: it is not followed';
    else if (facts.isDirectory()) return { dev: BigInt.asUintN(64, facts.dev), ino: BigInt.asUintN(64, facts.ino) };
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
  throw new DiffKeeperError('DK_STATE_DIR', `${stateDir} ${reason}`, { path: stateDir });
}

export function stateDirError(stateDir: string, error: unknown): DiffKeeperError {
  const code = systemCode(error) || String(error);
  const message = `cannot read the state directory ${stateDir}: ${code}`;
  return new DiffKeeperError('DK_STATE_DIR', message, { path: stateDir }, error);
}

/**
 * Throws DK_NO_STORE when another directory, or none, stands where the store was opened: its mount is gone, or it was moved.
 * What is open of it could still be written to, where nobody would find it again.
 */
export async function assertStoreInPlace(storePath: string, identity: Identity): Promise<void> {
  const facts = await stat(storePath, { bigint: true }).catch(() => undefined);
  if (facts && BigInt.asUintN(64, facts.dev) === identity.dev && BigInt.asUintN(64, facts.ino) === identity.ino) return;
  const message = `the store is no longer at ${storePath}: its file system was unmounted, or it was moved or removed`;
  throw new DiffKeeperError('DK_NO_STORE', message, { path: storePath });
}

/** Path of the store below the state directory, if it lies there. Throws DK_STATE_DIR when it is the other way round. */
export async function storeBelow(storePath: string, root: string): Promise<BytePath[]> {
  const storeRoot = await realpath(storePath);
  const below = relative(root, storeRoot);
  if (below !== '' && below !== '..' && !below.startsWith(`..${sep}`) && !isAbsolute(below)) {
    return [pathFromText(below)];
  }
  const above = relative(storeRoot, root);
  if (above === '' || (above !== '..' && !above.startsWith(`..${sep}`) && !isAbsolute(above))) {
    throw new DiffKeeperError('DK_STATE_DIR', `the state directory ${root} lies inside the store`, { path: root });
  }
  return [];
}
