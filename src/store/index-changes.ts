/** The metadata that follows from records: used by a commit and by a rebuild, so that both give the same. */
import { DiffKeeperError } from '../core/core.js';
import {
  ByteReader,
  ByteWriter,
  type Checkpoint,
  type CheckpointRecord,
  decodeCheckpoint,
  type EncodedVersion,
  hasSafePath,
  VERSION_TYPE,
} from '../format/format.js';
import { decodePlace, encodePlace, type RecordPlace } from './blob-index.js';
import { encodeHead } from './heads.js';
import type { MetaChange } from './meta.js';
import { checkpointKey, headKey, versionKey } from './meta-keys.js';

/** Heads and version places of one record of versions; unsafe paths get none, as nobody may use them. */
export function versionChanges(
  versions: readonly EncodedVersion[],
  part: { readonly sequence: number; readonly place: RecordPlace },
): MetaChange[] {
  const changes: MetaChange[] = [];
  for (const [index, version] of versions.entries()) {
    if (!hasSafePath(version)) continue;
    const value = encodePlace(new ByteWriter(16), part.place).varint(index).finish();
    changes.push({ key: versionKey(version.path, part.sequence), value });
    const gone = version.type === VERSION_TYPE.removed;
    changes.push({ key: headKey(version.path), value: gone ? null : encodeHead(version.body, part.sequence) });
  }
  return changes;
}

/** Where a version stands: its record and its index in it. */
export function decodeVersionPlace(bytes: Buffer): { readonly place: RecordPlace; readonly index: number } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'version place');
  return { place: decodePlace(reader), index: reader.varint() };
}

/** Where the index points is not what it says: what stands there is whole, but another version. Throws DK_CORRUPT_INDEX. */
export function misplacedVersion(): never {
  throw new DiffKeeperError('DK_CORRUPT_INDEX', 'the index points at another version: run `diffkeeper repair`');
}

/** Value of a checkpoint key: its place, the places of its records of versions, its record. */
export function checkpointChanges(
  checkpoint: Checkpoint,
  place: RecordPlace,
  parts: readonly RecordPlace[],
  record: Uint8Array,
): MetaChange {
  const writer = encodePlace(new ByteWriter(record.length + 64 + parts.length * 12), place).varint(parts.length);
  for (const part of parts) encodePlace(writer, part);
  return { key: checkpointKey(checkpoint.sequence), value: writer.bytes(record).finish() };
}

export interface StoredCheckpoint extends CheckpointRecord {
  readonly place: RecordPlace;
  readonly partPlaces: readonly RecordPlace[];
}

export function decodeStoredCheckpoint(bytes: Buffer): StoredCheckpoint {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'checkpoint');
  const place = decodePlace(reader);
  const count = reader.varint(reader.left);
  const partPlaces: RecordPlace[] = [];
  for (let index = 0; index < count; index += 1) partPlaces.push(decodePlace(reader));
  return { ...decodeCheckpoint(reader.bytes(reader.left)), place, partPlaces };
}

/** A checkpoint's value with other places in it; null when none of them is another one. */
export function movedCheckpoint(bytes: Buffer, find: (place: RecordPlace) => RecordPlace | null): Buffer | null {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'checkpoint');
  const writer = new ByteWriter(bytes.length + 32);
  let moved = false;
  const move = (): void => {
    const place = decodePlace(reader);
    const found = find(place);
    moved ||= found !== null;
    encodePlace(writer, found ?? place);
  };
  move();
  const count = reader.varint(reader.left);
  writer.varint(count);
  for (let index = 0; index < count; index += 1) move();
  return moved ? writer.bytes(reader.bytes(reader.left)).finish() : null;
}
