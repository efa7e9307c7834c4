/**
 * A prune record ends the history that a prune wrote: once it is durable, the checkpoints up to its sequence are those
 * of its history packs, and no others.
 *
 *   prune := u64 sequence, digest[32], varint first pack, varint last pack, pack list (history), pack list (retired)
 *   pack list := varint count, varint pack * count, ascending
 */
import { ByteReader, ByteWriter } from './bytes.js';
import type { Digest } from './types.js';

export interface PruneRecord {
  /** Newest checkpoint when the prune began: it and all before it are in the history packs, if they were kept. */
  readonly sequence: number;
  /** Digest of that checkpoint's record as the commit wrote it: what the next commit names as its predecessor. */
  readonly digest: Digest;
  /** Packs that this prune wrote, history or blobs: from the first to the last, both included. */
  readonly firstPack: number;
  readonly lastPack: number;
  /** Packs that hold the versions and checkpoints up to the sequence. */
  readonly history: readonly number[];
  /** Packs of which nothing is needed any more; they may be gone already. */
  readonly retired: readonly number[];
}

const PACK_MAX = 0xffffffff;

export function encodePrune(record: PruneRecord): Buffer {
  const { history, retired } = record;
  const writer = new ByteWriter(96 + (history.length + retired.length) * 5);
  writer.u64(BigInt(record.sequence)).bytes(record.digest).varint(record.firstPack).varint(record.lastPack);
  for (const list of [history, retired]) {
    writer.varint(list.length);
    for (const pack of list) writer.varint(pack);
  }
  return writer.finish();
}

/** Throws DK_CORRUPT_RECORD. */
export function decodePrune(bytes: Uint8Array): PruneRecord {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_RECORD', 'prune record');
  const sequence = Number(reader.u64());
  if (!Number.isSafeInteger(sequence) || sequence < 1) reader.fail('sequence is out of range');
  const digest = Buffer.from(reader.bytes(32));
  const firstPack = reader.varint(PACK_MAX);
  const lastPack = reader.varint(PACK_MAX);
  const history = readPacks(reader);
  const retired = readPacks(reader);
  reader.expectEnd();
  return { sequence, digest, firstPack, lastPack, history, retired };
}

function readPacks(reader: ByteReader): number[] {
  const count = reader.varint(reader.left);
  const packs: number[] = [];
  for (let index = 0; index < count; index += 1) packs.push(reader.varint(PACK_MAX));
  return packs;
}
