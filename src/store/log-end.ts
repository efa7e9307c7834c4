/**
 * The end of the log of commits when its last pack goes: the record of the newest checkpoint stands once more in the pack
 * behind it, so that the packs alone still say how far they were committed, and what the next commit follows.
 */
import { PACK_HEADER_BYTES, RECORD } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import { type ScannedRecord, scanPack } from './pack-scan.js';
import type { Packs } from './packs.js';

/** Null when anything else is the last thing in the pack: a replica keeps blobs there. */
export async function newestRecord(packs: Packs, state: NewestState): Promise<Buffer | null> {
  const { pack, length, checkpointDigest } = state;
  let last: ScannedRecord | null = null;
  for await (const scanned of scanPack(packs, { pack, from: PACK_HEADER_BYTES, end: length })) last = scanned;
  if (last?.kind !== 'record' || last.record.head.kind !== RECORD.checkpoint) return null;
  const { offset, recordBytes } = last.place;
  if (offset + recordBytes !== length || !last.record.head.digest.equals(checkpointDigest)) return null;
  return Buffer.from(packs.records.moved(await packs.read(pack, offset, recordBytes), last.record));
}

/** Closes the pack that the log ends in, and ends it in the one behind. Only while nobody writes. */
export async function endBehind(packs: Packs, state: NewestState, record: Buffer): Promise<NewestState> {
  // After a failed commit the packs were cut back, and the last one is appended to again.
  await packs.leave(state.pack);
  await packs.append(record);
  await packs.sync();
  packs.markCommitted();
  return { ...state, ...packs.position };
}
