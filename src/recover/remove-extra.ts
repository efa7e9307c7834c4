/** Removes what the checkpoint does not have: files first, then directories from the bottom up. */
import ignoreFactory from 'ignore';
import { type BytePath, isWithin, pathParent, pathToText } from '../core/core.js';
import { isDirectoryRow } from './attribute-rows.js';
import type { RecoverJob } from './recover-job.js';
import { RootedDirectory } from './rooted-directory.js';
import type { Target } from './target-tree.js';

/** Removals between two turns of the event loop. */
const TURN = 256;

/** Tells which entries of the target are to be left alone. */
export type Ignores = (path: BytePath, isDirectory: boolean) => boolean;

/** Compiles gitignore patterns. */
export function compileIgnores(patterns: readonly string[]): Ignores {
  if (patterns.length === 0) return () => false;
  const matcher = ignoreFactory().add([...patterns]);
  return (path, isDirectory) => {
    const text = pathToText(path);
    return matcher.ignores(isDirectory ? `${text}/` : text);
  };
}

export interface Removable {
  readonly files: BytePath[];
  readonly directories: BytePath[];
}

/** Those of these entries of the listing that may be removed: the store and what is ignored never is. */
export function removableOf({ listing, storeInside }: Target, extra: Iterable<BytePath>, ignores: Ignores): Removable {
  const files: BytePath[] = [];
  const directories: BytePath[] = [];
  for (const path of extra) {
    const row = listing?.get(path);
    if (row === undefined || (storeInside !== null && isWithin(path, storeInside))) continue;
    const isDirectory = isDirectoryRow(row);
    if (ignores(path, isDirectory)) continue;
    (isDirectory ? directories : files).push(path);
  }
  return { files, directories };
}

/** Removes these entries of the listing. Directories that still hold something are left. */
export async function removeExtra(job: RecoverJob, extra: ReadonlySet<BytePath>, ignores: Ignores): Promise<void> {
  const { files, directories } = removableOf(job.target, extra, ignores);
  if (files.length + directories.length === 0) return;
  // One parent after the other, so that its descriptor is opened once; deepest directories first.
  files.sort((one, other) => compare(pathParent(one), pathParent(other)) || compare(one, other));
  directories.sort((one, other) => depth(other) - depth(one) || compare(one, other));
  const directory = new RootedDirectory(job.root);
  try {
    await each(job, files, (path) => {
      directory.unlink(path);
      return true;
    });
    await each(job, directories, (path) => directory.removeEmpty(path));
  } finally {
    directory.close();
  }
}

async function each(job: RecoverJob, paths: readonly BytePath[], remove: (path: BytePath) => boolean): Promise<void> {
  for (const [index, path] of paths.entries()) {
    if (index % TURN === TURN - 1) await new Promise((resolve) => setImmediate(resolve));
    job.check();
    try {
      if (!remove(path)) continue;
      job.removed += 1;
      job.touch(path);
    } catch (error) {
      job.fail(path, error);
    }
  }
}

function compare(one: BytePath, other: BytePath): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function depth(path: BytePath): number {
  return path.split('/').length;
}
