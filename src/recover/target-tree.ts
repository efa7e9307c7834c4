/** The directory that is recovered into: made when missing, and listed when something is in it already. */
import { lstat, opendir, realpath } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import {
  type BytePath,
  DiffKeeperError,
  fromSystemError,
  makeParents,
  pathFromText,
  systemCode,
} from '../core/core.js';
import { type Engine, STAT, STAT_COLUMNS } from '../engine/engine.js';
import type { Store } from '../store/store.js';

/** What was found below the target before anything was written. */
export class TargetListing {
  readonly #index = new Map<BytePath, number>();
  readonly #rows: BigInt64Array;
  /** What the system did not let us look at, or list; the directory itself is ''. */
  readonly unlisted: readonly BytePath[];

  constructor(paths: readonly BytePath[], rows: BigInt64Array) {
    this.#rows = rows;
    this.unlisted = paths.filter((_, index) => (rows[index * STAT_COLUMNS + STAT.type] ?? 0n) < 0n);
    for (const [index, path] of paths.entries()) if (path !== '') this.#index.set(path, index);
  }

  /** Stat row of an entry; undefined when it is not there. */
  get(path: BytePath): BigInt64Array | undefined {
    const index = this.#index.get(path);
    return index === undefined ? undefined : this.#rows.subarray(index * STAT_COLUMNS, (index + 1) * STAT_COLUMNS);
  }

  paths(): IterableIterator<BytePath> {
    return this.#index.keys();
  }
}

export interface Target {
  /** Real, absolute path. */
  readonly root: string;
  /** The store's directory, when it lies inside the target. */
  readonly storeInside: BytePath | null;
  /** Null when the target is empty, so that nothing needs to be compared. */
  readonly listing: TargetListing | null;
}

/** Makes the target directory when it is missing and lists what is in it. Throws DK_STATE_DIR. */
export async function openTarget(store: Store, stateDir: string, engine: Engine): Promise<Target> {
  const { root, storeInside } = await locate(store, stateDir, async (wanted) => void (await makeParents(wanted)));
  return listTarget(engine, root, storeInside);
}

/** As `openTarget`, and makes nothing: a directory that is missing is empty. Throws DK_STATE_DIR. */
export async function lookAtTarget(store: Store, stateDir: string, engine: Engine): Promise<Target> {
  const root = resolve(stateDir);
  const isMissing = await lstat(root).then(
    () => false,
    (error: unknown) => systemCode(error) === 'ENOENT',
  );
  if (isMissing) return { root, storeInside: null, listing: null };
  const { storeInside, ...located } = await locate(store, stateDir, assertDirectory);
  return listTarget(engine, located.root, storeInside);
}

async function assertDirectory(wanted: string): Promise<void> {
  await (await opendir(wanted)).close();
}

async function listTarget(engine: Engine, root: string, storeInside: BytePath | null): Promise<Target> {
  if (await isEmpty(root)) return { root, storeInside, listing: null };
  const changes = await engine.createStatIndex().scan({
    root,
    directories: [''],
    recursive: true,
    enterAdded: true,
    skip: storeInside === null ? [] : [storeInside],
  });
  return {
    root,
    storeInside,
    listing: new TargetListing(changes.paths, changes.rows),
  };
}

async function locate(
  store: Store,
  stateDir: string,
  prepare: (wanted: string) => Promise<void>,
): Promise<{ root: string; storeInside: BytePath | null }> {
  const wanted = resolve(stateDir);
  let root: string;
  try {
    await prepare(wanted);
    root = await realpath(wanted);
  } catch (error) {
    const ours = fromSystemError(error, 'use the state directory', wanted);
    if (ours.code === 'DK_DISK_FULL') throw ours;
    // Of a file, mkdir says that it exists, which is not what is wrong with it.
    const message = ['EEXIST', 'ENOTDIR'].includes(systemCode(error)) ? `${wanted} is not a directory` : ours.message;
    throw new DiffKeeperError('DK_STATE_DIR', message, { path: wanted }, error);
  }
  const storePath = await realpath(store.path).catch(() => resolve(store.path));
  const inside = relative(root, storePath);
  if (inside === '' || isBelow(relative(storePath, root))) {
    throw new DiffKeeperError('DK_STATE_DIR', `the state directory ${root} is the store or lies inside it`, {
      path: root,
    });
  }
  return {
    root,
    storeInside: isBelow(inside) ? pathFromText(inside.split(sep).join('/')) : null,
  };
}

/** Whether what `relative` gave stays below where it starts. */
function isBelow(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && resolve(path) !== path;
}

async function isEmpty(root: string): Promise<boolean> {
  try {
    const directory = await opendir(root);
    const first = await directory.read();
    await directory.close();
    return first === null;
  } catch (error) {
    throw new DiffKeeperError(
      'DK_STATE_DIR',
      `cannot list the state directory ${root}: ${String(error)}`,
      { path: root },
      error,
    );
  }
}
