/** A temporary directory per test, removed afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { STAT_COLUMNS } from '../../src/engine/engine.js';

export async function withTree<T>(body: (root: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'dk-engine-'));
  try {
    return await body(root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Row number `index` of flat rows. */
export function rowAt(rows: BigInt64Array, index: number): BigInt64Array {
  return rows.slice(index * STAT_COLUMNS, (index + 1) * STAT_COLUMNS);
}

/** Status of an entry behind a symbolic link: which of the two the kernel says depends on whether it has openat2. */
export const REFUSED_PARENT = [-constants.errno.ELOOP, -constants.errno.ENOTDIR];
