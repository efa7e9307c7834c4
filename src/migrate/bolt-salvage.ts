/**
 * Leaf pages that no tree of a damaged BoltDB file reaches any more, entry by entry. Nothing says which bucket such a
 * page belonged to, nor whether it is of the newest state: who uses an entry checks it against its digest.
 */
import { isDiffKeeperError } from '../core/core.js';
import type { BoltFile } from './bolt-file.js';
import { BoltPage, type LeafEntry } from './bolt-page.js';
import type { PageSet } from './bolt-tree.js';

/** Entries of all readable leaf pages that are not in `seen`. Pages that are something else are passed over. */
export async function* salvageEntries(file: BoltFile, seen: PageSet): AsyncGenerator<LeafEntry> {
  for (let id = 2; id < file.pageCount; ) {
    const page = seen.has(id) ? null : await readLeaf(file, id);
    if (page === null) {
      id += 1;
      continue;
    }
    let whole = true;
    for (let index = 0; index < page.header.count; index += 1) {
      const entry = await quietly(() => page.leaf(index));
      if (entry && !entry.isBucket && entry.key.length > 0) yield entry;
      if (!entry) whole = false;
    }
    // The pages of a value hold no entries of their own; behind a damaged page nothing is taken for granted.
    id += whole ? 1 + page.header.overflow : 1;
  }
}

async function readLeaf(file: BoltFile, id: number): Promise<BoltPage | null> {
  const page = await quietly(() => BoltPage.read(file, id));
  return page?.isLeaf && !page.isBranch && page.header.count > 0 ? page : null;
}

async function quietly<T>(task: () => Promise<T>): Promise<T | null> {
  try {
    return await task();
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_BOLT')) return null;
    throw error;
  }
}
