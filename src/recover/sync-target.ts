/** Makes what a recover has written durable. */
import { readFile } from 'node:fs/promises';
import { fromSystemError, fsyncTree } from '../core/core.js';
import type { Engine } from '../engine/engine.js';

/**
 * Everything below `root` survives a loss of power once this resolves, also on file systems that are mounted below it.
 * Throws DK_DISK_FULL or DK_IO: some systems find room for what was written only now.
 */
export async function syncTarget(engine: Engine, root: string): Promise<void> {
  try {
    for (const directory of [root, ...(await mountedBelow(root))]) {
      if (!(await engine.syncFileSystem(directory))) await fsyncTree(directory);
    }
  } catch (error) {
    throw fromSystemError(error, 'make durable what was recovered to', root);
  }
}

/** Mount points below a directory. */
async function mountedBelow(root: string): Promise<string[]> {
  // Absent on systems other than Linux, where the tree is synced file by file.
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  return text
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll(/\\(\d{3})/g, (_, octal) => charOf(octal)))
    .filter((place) => place.startsWith(`${root}/`));
}

function charOf(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8));
}
