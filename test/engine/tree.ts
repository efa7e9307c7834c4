/** A temporary directory per test, removed afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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
