/** A directory for one command, which nobody else may look into, and its removal. */
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

/** Runs a task with a new directory (mode 0700, below `TMPDIR`), and removes it whatever happens. */
export async function withPrivateDirectory<T>(task: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'diffkeeper-import-'));
  try {
    return await task(directory);
  } finally {
    await removeTree(directory);
  }
}

/** Removes a tree, whatever modes its directories have. */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true });
  } catch {
    await openUp(Buffer.from(directory));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Whoever is not root cannot remove what lies in a directory that must not be written. Names are bytes. */
async function openUp(directory: Buffer): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true, encoding: 'buffer' })) {
    if (entry.isDirectory()) await openUp(Buffer.concat([directory, Buffer.from('/'), entry.name]));
  }
}
