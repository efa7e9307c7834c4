/**
 * The stat index on disk: `stat.idx` in the store's cache directory. Advisory: when anything about it does not
 * match, the capture starts with an empty index and compares contents instead.
 *
 *   magic 8 | store id 16 | newest sequence i64 (-1: none) | device u64 | inode u64 | scope u64 |
 *   payload bytes u64 | XXH3-64 u64 of the payload, seeded with the XXH3-64 of all before it | payload
 */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAdvisory } from '../core/core.js';
import type { Engine, StatIndex } from '../engine/engine.js';
import type { Store } from '../store/store.js';

const MAGIC = Buffer.from('DKSTAT01', 'latin1');
const HEADER_BYTES = 72;
/** About 100 bytes per entry: room for ten million. A longer file is not ours. */
const FILE_BYTES_MAX = 2 ** 30;

/** Which directory the index describes, and under which rules. */
export interface IndexScope {
  readonly dev: bigint;
  readonly ino: bigint;
  /** Hash of the ignore patterns and of the skipped paths: other rules mean another set of entries. */
  readonly scope: bigint;
}

function encodeHeader(store: Store, scope: IndexScope, payloadBytes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header, 0);
  Buffer.from(store.id, 'hex').copy(header, 8, 0, 16);
  header.writeBigInt64LE(BigInt(store.newest?.sequence ?? -1), 24);
  header.writeBigUInt64LE(BigInt.asUintN(64, scope.dev), 32);
  header.writeBigUInt64LE(BigInt.asUintN(64, scope.ino), 40);
  header.writeBigUInt64LE(scope.scope, 48);
  header.writeBigUInt64LE(BigInt(payloadBytes), 56);
  return header;
}

function checksum(engine: Engine, header: Buffer, payload: Uint8Array): bigint {
  return BigInt.asUintN(64, engine.xxh3(payload, engine.xxh3(header.subarray(0, 64))));
}

function indexPath(store: Store): string {
  return join(store.cachePath, 'stat.idx');
}

/** Fills the index from disk; false (and the index untouched or empty) when there is nothing that fits. */
export async function loadIndexFile(store: Store, scope: IndexScope, index: StatIndex): Promise<boolean> {
  let bytes: Buffer;
  try {
    const path = indexPath(store);
    const facts = await stat(path);
    if (!facts.isFile() || facts.size < HEADER_BYTES || facts.size > FILE_BYTES_MAX) return false;
    const handle = await open(path, 'r');
    try {
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch {
    // A cache that cannot be read is a cache that is not there.
    return false;
  }
  if (bytes.length < HEADER_BYTES) return false;
  const payload = bytes.subarray(HEADER_BYTES);
  const expected = encodeHeader(store, scope, payload.length);
  if (!bytes.subarray(0, 64).equals(expected.subarray(0, 64))) return false;
  if (bytes.readBigUInt64LE(64) !== checksum(store.engine, expected, payload)) return false;
  return index.load(payload);
}

/** Writes the index, bound to the newest checkpoint: call it after the commit that it describes. */
export async function saveIndexFile(store: Store, scope: IndexScope, index: StatIndex): Promise<void> {
  const payload = index.save();
  const header = encodeHeader(store, scope, payload.length);
  header.writeBigUInt64LE(checksum(store.engine, header, payload), 64);
  await writeFileAdvisory(indexPath(store), Buffer.concat([header, payload]));
}
