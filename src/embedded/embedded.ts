/**
 * Door of the room `embedded`: loads native addons that are part of the single-file executable.
 *
 * The system's loader takes files only, so an addon becomes one for the moment of loading: without a name where the file
 * system can (`O_TMPFILE` of Linux: nobody else can open or change it, and nothing is left of it, whatever happens), else
 * in a new directory that only this user may enter, removed as soon as the addon is loaded.
 */
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { constants as systemConstants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createHash } from '../core/core.js';

export interface EmbeddedAddon {
  /** For messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes as they were built in, hexadecimal. */
  readonly sha256: string;
}

/** `O_TMPFILE` of Linux, which Node does not name; it contains `O_DIRECTORY`, so that older kernels refuse it. */
const O_TMPFILE = 0o20000000 | (constants.O_DIRECTORY ?? 0);
const PRIVATE_MODE = 0o700;

/** Where a file may be made for a moment, the likely ones first; memory before disks. */
export function addonDirectories(env: NodeJS.ProcessEnv = process.env): string[] {
  const wanted = [
    env.DIFFKEEPER_ADDON_DIR,
    env.XDG_RUNTIME_DIR,
    '/dev/shm',
    tmpdir(),
    '/var/tmp',
    dirname(process.execPath),
  ];
  return [...new Set(wanted.filter((directory): directory is string => directory !== undefined && directory !== ''))];
}

/**
 * Loads an addon and gives its exports. Throws an Error that names what was tried when the bytes are not those that were
 * built in, or no directory lets a program be loaded from it.
 */
export function loadEmbedded(addon: EmbeddedAddon, directories: readonly string[] = addonDirectories()): unknown {
  const digest = createHash('sha256').update(addon.bytes).digest('hex');
  if (digest !== addon.sha256) {
    throw new Error(`${addon.name} in this executable is damaged: SHA-256 ${digest}, expected ${addon.sha256}`);
  }
  const tried: string[] = [];
  for (const directory of directories) {
    for (const way of [loadUnnamed, loadNamed]) {
      try {
        return way(addon, directory);
      } catch (error) {
        tried.push(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  throw new Error(
    `${addon.name} cannot be loaded from any directory (DIFFKEEPER_ADDON_DIR names another one that is writable and ` +
      `not mounted noexec):\n  ${tried.join('\n  ')}`,
  );
}

/**
 * The descriptor stays open as long as the process runs: the loader knows libraries by their path, and would take the
 * next one under the same number for this one.
 */
function loadUnnamed(addon: EmbeddedAddon, directory: string): unknown {
  const fd = openSync(directory, O_TMPFILE | constants.O_RDWR, PRIVATE_MODE);
  try {
    writeAll(fd, addon.bytes);
    return open(`/proc/self/fd/${fd}`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function loadNamed(addon: EmbeddedAddon, directory: string): unknown {
  const own = mkdtempSync(join(directory, 'diffkeeper-addon-'));
  try {
    const file = join(own, addon.name);
    const fd = openSync(file, 'wx', PRIVATE_MODE);
    try {
      writeAll(fd, addon.bytes);
    } finally {
      closeSync(fd);
    }
    return open(file);
  } finally {
    // What is loaded stays loaded without its file.
    rmSync(own, { recursive: true, force: true });
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

function open(file: string): unknown {
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, file, systemConstants.dlopen.RTLD_NOW);
  return module.exports;
}
