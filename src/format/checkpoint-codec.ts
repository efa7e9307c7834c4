/**
 * A checkpoint record ends a commit: it is complete when every record of
 * versions that it names stands before it.
 *
 *   checkpoint := u64 sequence, f64 time ms (at most 8.64e15 from 1970), root[32], previous checkpoint record digest[32] (zeros for the first),
 *                 varint entries, varint tree bytes, varint changed, varint removed, varint stored bytes,
 *                 varint changed bytes, f64 pause ms, u8 flags (bit 0 frozen), varint tag bytes, tag (UTF-8),
 *                 varint parts, digest[32] * parts
 */
import { LIMITS } from '../core/core.js';
import { ByteReader, ByteWriter } from './bytes.js';
import type { Checkpoint, Digest } from './types.js';

/** The moments that a date can say end so far from 1970, before it and after it (ECMA-262, time range), ms. */
const LATEST_MS = 8.64e15;

export interface CheckpointRecord {
  readonly checkpoint: Checkpoint;
  /** Digest of the previous checkpoint's record: a chain nobody can cut unnoticed. */
  readonly previous: Digest;
  /** Digests of the records of versions, in order. */
  readonly parts: readonly Digest[];
}

export function encodeCheckpoint(record: CheckpointRecord): Buffer {
  const { checkpoint } = record;
  const tag = Buffer.from(checkpoint.tag, 'utf8');
  const writer = new ByteWriter(256 + record.parts.length * 32);
  writer.u64(BigInt(checkpoint.sequence)).f64(checkpoint.timeMs).bytes(checkpoint.root).bytes(record.previous);
  writer.varint(checkpoint.entries).varint(checkpoint.treeBytes).varint(checkpoint.changed);
  writer.varint(checkpoint.removed).varint(checkpoint.storedBytes).varint(checkpoint.changedBytes);
  writer.f64(checkpoint.pauseMs).u8(checkpoint.frozen ? 1 : 0);
  writer.varint(tag.length).bytes(tag).varint(record.parts.length);
  for (const part of record.parts) writer.bytes(part);
  return writer.finish();
}

/** Throws DK_CORRUPT_RECORD. */
export function decodeCheckpoint(bytes: Uint8Array): CheckpointRecord {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_RECORD', 'checkpoint record');
  const sequence = Number(reader.u64());
  if (!Number.isSafeInteger(sequence) || sequence < 1) reader.fail('sequence is out of range');
  const timeMs = reader.f64();
  if (!(Math.abs(timeMs) <= LATEST_MS)) reader.fail(`time is out of range: ${timeMs}`);
  const root = Buffer.from(reader.bytes(32));
  const previous = Buffer.from(reader.bytes(32));
  const checkpoint = {
    sequence,
    timeMs,
    root,
    entries: reader.varint(),
    treeBytes: reader.varint(),
    changed: reader.varint(),
    removed: reader.varint(),
    storedBytes: reader.varint(),
    changedBytes: reader.varint(),
    pauseMs: reader.f64(),
    frozen: reader.flags(1) === 1,
    tag: reader.bytes(reader.varint(LIMITS.tagBytes)).toString('utf8'),
  };
  if (!(checkpoint.pauseMs >= 0 && checkpoint.pauseMs <= LATEST_MS))
    reader.fail(`pause is out of range: ${checkpoint.pauseMs}`);
  const count = reader.varint(LIMITS.blobBytes / 32);
  if (count * 32 !== reader.left) reader.fail(`expected ${count} part digests`);
  const parts: Digest[] = [];
  for (let index = 0; index < count; index += 1) parts.push(Buffer.from(reader.bytes(32)));
  return { checkpoint, previous, parts };
}
