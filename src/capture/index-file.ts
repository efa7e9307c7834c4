/**
 * The stat index on disk: `stat.idx` in the store's cache directory. Advisory: when anything about it does not
 * match, the capture starts with an empty index and compares contents instead.
 *
 *   magic 8 | store id 16 | newest sequence i64 (-1: none) | device u64 | inode u64 | scope u64 | generation u64 |
 *   payload bytes u64 | XXH3-64 u64 of the payload, seeded with the XXH3-64 of all before it | payload
 */
import { join } from 'node:path';
import type { StatIndex } from '../engine/engine.js';
import { readSealedFile, type Store, writeSealedFile } from '../store/store.js';

const MAGIC = Buffer.from('DKSTAT02', 'latin1');
const PREFIX_BYTES = 64;
/** About 100 bytes per entry: room for ten million. A longer file is not ours. */
const FILE_BYTES_MAX = 2 ** 30;

/** Which directory the index describes, and under which rules. */
export interface IndexScope {
  readonly dev: bigint;
  readonly ino: bigint;
  /** Hash of the ignore patterns and of the skipped paths: other rules mean another set of entries. */
  readonly scope: bigint;
}

function prefixOf(store: Store, scope: IndexScope): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix, 0);
  Buffer.from(store.id, 'hex').copy(prefix, 8, 0, 16);
  prefix.writeBigInt64LE(BigInt(store.newest?.sequence ?? -1), 24);
  prefix.writeBigUInt64LE(BigInt.asUintN(64, scope.dev), 32);
  prefix.writeBigUInt64LE(BigInt.asUintN(64, scope.ino), 40);
  prefix.writeBigUInt64LE(scope.scope, 48);
  prefix.writeBigUInt64LE(store.mended.generation, 56);
  return prefix;
}

function indexPath(store: Store): string {
  return join(store.cachePath, 'stat.idx');
}

/** Fills the index from disk; false (and the index untouched or empty) when there is nothing that fits. */
export async function loadIndexFile(store: Store, scope: IndexScope, index: StatIndex): Promise<boolean> {
  const payload = await readSealedFile(store, indexPath(store), prefixOf(store, scope), FILE_BYTES_MAX);
  return payload !== undefined && index.load(payload);
}

/** Writes the index, bound to the newest checkpoint: call it after the commit that it describes. */
export async function saveIndexFile(store: Store, scope: IndexScope, index: StatIndex): Promise<void> {
  await writeSealedFile(store, indexPath(store), prefixOf(store, scope), index.save());
}
