/**
 * The Merkle leaves of the newest tree on disk: `leaves.idx` in the cache directory. A program that starts, takes a few
 * changes and ends would otherwise read every neighbour of every changed entry from the metadata. Advisory: bound to
 * the newest checkpoint and its root; without it leaves are made from the metadata.
 *
 *   sealed file (see sealed-file) with the prefix: magic 8 | store id 16 | sequence u64 | root 32
 *   payload   := directory *
 *   directory := varint path bytes, path, varint section bytes, section
 *   section   := (varint name bytes, name, leaf[32]) *
 */
import type { BytePath } from '../core/core.js';
import { ByteReader, ByteWriter, type Checkpoint } from '../format/format.js';
import { type CacheWays, readSealedFile, writeSealedFile } from './sealed-file.js';
import type { Leaves } from './tree-root.js';

const MAGIC = Buffer.from('DKLEAF01', 'latin1');
/** Room for a million entries; beyond that loading everything costs more than it saves. */
const FILE_BYTES_MAX = 64 << 20;
const LEAF_BYTES = 32;

/** Directories whose leaves are still encoded. */
export type LeafSections = Map<BytePath, Buffer>;

export interface LeafPlace extends CacheWays {
  readonly file: string;
  /** 32 hex digits. */
  readonly storeId: string;
}

function prefixOf(place: LeafPlace, { sequence, root }: Checkpoint): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(sequence));
  return Buffer.concat([MAGIC, Buffer.from(place.storeId, 'hex'), number, root]);
}

/** Sections of all directories that were kept for this checkpoint; none when nothing fits. */
export async function loadLeaves(place: LeafPlace, newest: Checkpoint): Promise<LeafSections> {
  const sections: LeafSections = new Map();
  const payload = await readSealedFile(place, place.file, prefixOf(place, newest), FILE_BYTES_MAX);
  if (payload === undefined) return sections;
  try {
    const reader = new ByteReader(payload, 'DK_CORRUPT_INDEX', 'leaf file');
    while (reader.left > 0) {
      const path = reader.bytes(reader.varint(65535)).toString('latin1');
      sections.set(path, reader.bytes(reader.varint(FILE_BYTES_MAX)));
    }
  } catch {
    sections.clear();
  }
  return sections;
}

/** Leaves of one section; undefined when it does not add up. */
export function decodeSection(section: Buffer): Leaves | undefined {
  // One string for all of it: names and leaves are cut out of it without another call into the runtime.
  const text = section.toString('latin1');
  const leaves: Leaves = new Map();
  for (let at = 0; at < text.length; ) {
    let nameBytes = text.charCodeAt(at);
    at += 1;
    if (nameBytes > 127) {
      nameBytes += (text.charCodeAt(at) - 1) << 7;
      at += 1;
    }
    const leafAt = at + nameBytes;
    if (!(leafAt + LEAF_BYTES <= text.length)) return undefined;
    leaves.set(text.slice(at, leafAt), text.slice(leafAt, leafAt + LEAF_BYTES));
    at = leafAt + LEAF_BYTES;
  }
  return leaves;
}

function encodeSection(leaves: Leaves): Buffer {
  const writer = new ByteWriter(leaves.size * 64 + 16);
  for (const [name, leaf] of leaves) {
    writer.varint(name.length).bytes(Buffer.from(name + leaf, 'latin1'));
  }
  return writer.finish();
}

/** Writes the leaves of this checkpoint's tree, those that are known. Left alone when they are too many. */
export async function saveLeaves(
  place: LeafPlace,
  newest: Checkpoint,
  known: { readonly sections: LeafSections; readonly directories: ReadonlyMap<BytePath, Leaves> },
): Promise<void> {
  const writer = new ByteWriter(1 << 16);
  const add = (path: BytePath, section: Buffer) =>
    writer.varint(path.length).bytes(Buffer.from(path, 'latin1')).varint(section.length).bytes(section);
  for (const [path, section] of known.sections) add(path, section);
  for (const [path, leaves] of known.directories) {
    if (writer.length > FILE_BYTES_MAX) return;
    add(path, encodeSection(leaves));
  }
  const prefix = prefixOf(place, newest);
  if (writer.length + prefix.length + 64 > FILE_BYTES_MAX) return;
  await writeSealedFile(place, place.file, prefix, writer.finish());
}
