/** The metadata that follows from records: used by a commit and by a rebuild, so that both give the same. */
import {
  ByteReader,
  ByteWriter,
  type Checkpoint,
  decodeCheckpoint,
  type CheckpointRecord,
  VERSION_TYPE,
  type Version,
} from '../format/format.js';
import { decodePlace, encodePlace, type RecordPlace } from './blob-index.js';
import { encodeHead } from './heads.js';
import type { MetaChange } from './meta.js';
import { checkpointKey, headKey, versionKey } from './meta-keys.js';

/** Heads and version places of one record of versions. */
export function versionChanges(versions: readonly Version[], place: RecordPlace): MetaChange[] {
  const changes: MetaChange[] = [];
  for (const [index, version] of versions.entries()) {
    const value = encodePlace(new ByteWriter(16), place).varint(index).finish();
    changes.push({ key: versionKey(version.path, version.sequence), value });
    const gone = version.type === VERSION_TYPE.removed;
    changes.push({ key: headKey(version.path), value: gone ? null : encodeHead(version) });
  }
  return changes;
}

/** Where a version stands: its record and its index in it. */
export function decodeVersionPlace(bytes: Buffer): { readonly place: RecordPlace; readonly index: number } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'version place');
  return { place: decodePlace(reader), index: reader.varint() };
}

export function checkpointChanges(checkpoint: Checkpoint, place: RecordPlace, record: Buffer): MetaChange {
  const value = encodePlace(new ByteWriter(record.length + 24), place).bytes(record).finish();
  return { key: checkpointKey(checkpoint.sequence), value: Buffer.from(value) };
}

export function decodeStoredCheckpoint(bytes: Buffer): CheckpointRecord & { readonly place: RecordPlace } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'checkpoint');
  const place = decodePlace(reader);
  return { ...decodeCheckpoint(reader.bytes(reader.left)), place };
}
