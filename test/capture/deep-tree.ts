/** Trees whose paths are longer than the kernel takes in one call: made step by step, from directory to directory. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Path of so many nested directories with names of 200 bytes. */
export function deepPath(levels: number): string {
  return Array.from({ length: levels }, (_, i) => `${String(i).padStart(2, '0')}${'x'.repeat(198)}`).join('/');
}

/** Calls `act` with a short path of the directory `path` below `root`; what is missing on the way is made. */
function inside<T>(root: string, path: string, act: (directory: string) => T): T {
  let fd = openSync(root, 'r');
  try {
    for (const name of path === '' ? [] : path.split('/')) {
      const next = join(`/proc/self/fd/${fd}`, name);
      mkdirSync(next, { recursive: true });
      const opened = openSync(next, 'r');
      closeSync(fd);
      fd = opened;
    }
    return act(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** Writes the file `name` in the directory `path` below `root`. */
export function writeDeep(root: string, path: string, name: string, content: string): void {
  inside(root, path, (directory) => writeFileSync(join(directory, name), content));
}

export function readDeep(root: string, path: string, name: string): string {
  return inside(root, path, (directory) => readFileSync(join(directory, name), 'utf8'));
}

/** Removes what is called `name` in the directory `path` below `root`. */
export function removeDeep(root: string, path: string, name: string): void {
  // Node cannot remove a tree that deep; `rm` goes down step by step, from a short path.
  const aside = `${root}.removed`;
  inside(root, path, (directory) => renameSync(join(directory, name), aside));
  removeTree(aside);
}

/** Removes a tree however deep it is. */
export function removeTree(root: string): void {
  execFileSync('rm', ['-rf', root]);
}
