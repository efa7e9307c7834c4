/**
 * Versions, as they stand in records of versions and in the metadata.
 *
 *   versions record := u64 checkpoint sequence, varint count, version * count
 *   version   := varint path bytes, path, body
 *   body      := u8 type, [nothing more for a removal]
 *                varint mode, varint uid, varint gid, i64 mtime ns, varint64 link id, u8 flags (bit 0 sparse),
 *                varint xattr bytes, xattr list, content
 *   content   := directory: nothing
 *                symlink:   varint text bytes, text, digest[32]
 *                file:      varint size, digest[32], u8 recipe kind, recipe
 *   recipe    := 0 empty | 1 whole | 2 inline: varint bytes, extent list | 3 regions: varint count, digest[32] * count
 */
import { type BytePath, isSafePath, LIMITS, pathBytes, pathFromBytes } from '../core/core.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { decodeExtents, encodeExtents, extentsBytes } from './extents-codec.js';
import { type Digest, type Recipe, VERSION_TYPE, type Version, type VersionType } from './types.js';

const NO_BYTES = Buffer.alloc(0);
const RECIPE_KIND = { empty: 0, whole: 1, inline: 2, regions: 3 } as const;

export function removedVersion(path: BytePath, sequence: number): Version {
  return {
    path,
    sequence,
    type: VERSION_TYPE.removed,
    mode: 0,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    size: 0,
    linkId: 0n,
    sparse: false,
    digest: null,
    linkText: NO_BYTES,
    xattrs: NO_BYTES,
    recipe: { kind: 'empty' },
  };
}

export function encodeVersionBody(writer: ByteWriter, version: Version): void {
  writer.u8(version.type);
  if (version.type === VERSION_TYPE.removed) return;
  writer.varint(version.mode).varint(version.uid).varint(version.gid).i64(version.mtimeNs);
  writer.varint64(version.linkId).u8(version.sparse ? 1 : 0);
  writer.varint(version.xattrs.length).bytes(version.xattrs);
  if (version.type === VERSION_TYPE.directory) return;
  const digest = version.digest ?? Buffer.alloc(32);
  if (version.type === VERSION_TYPE.symlink) {
    writer.varint(version.linkText.length).bytes(version.linkText).bytes(digest);
    return;
  }
  writer.varint(version.size).bytes(digest);
  encodeRecipe(writer, version.recipe);
}

function encodeRecipe(writer: ByteWriter, recipe: Recipe): void {
  writer.u8(RECIPE_KIND[recipe.kind]);
  if (recipe.kind === 'inline') {
    const list = encodeExtents(recipe.extents);
    writer.varint(list.length).bytes(list);
  } else if (recipe.kind === 'regions') {
    writer.varint(recipe.regions.length);
    for (const region of recipe.regions) writer.bytes(region);
  }
}

function decodeRecipe(reader: ByteReader, size: number): Recipe {
  const kind = reader.u8();
  if (kind === RECIPE_KIND.empty && size === 0) return { kind: 'empty' };
  if (kind === RECIPE_KIND.whole && size > 0 && size <= LIMITS.blobBytes) return { kind: 'whole' };
  if (kind === RECIPE_KIND.inline) {
    const extents = decodeExtents(Buffer.from(reader.bytes(reader.varint(65536))));
    if (extentsBytes(extents) !== size) reader.fail(`an inline recipe of other than ${size} bytes`);
    return { kind: 'inline', extents };
  }
  if (kind === RECIPE_KIND.regions) {
    const count = reader.varint(LIMITS.fileBytes / LIMITS.regionBytes);
    if (count !== Math.ceil(size / LIMITS.regionBytes)) reader.fail(`${count} regions for ${size} bytes`);
    if (count * 32 > reader.left) reader.fail(`expected ${count} region digests`);
    const regions: Digest[] = [];
    for (let index = 0; index < count; index += 1) regions.push(Buffer.from(reader.bytes(32)));
    return { kind: 'regions', regions };
  }
  return reader.fail(`recipe kind ${kind} for ${size} bytes`);
}

/** Throws DK_CORRUPT_RECORD, DK_CORRUPT_RECIPE. Everything is copied out of the reader's bytes. */
export function decodeVersionBody(reader: ByteReader, path: BytePath, sequence: number): Version {
  const type = reader.u8();
  if (type > VERSION_TYPE.symlink) reader.fail(`unknown entry type ${type}`);
  const removed = removedVersion(path, sequence);
  if (type === VERSION_TYPE.removed) return removed;
  const version = {
    ...removed,
    type: type as VersionType,
    mode: reader.varint(0o7777),
    uid: reader.varint(0xffffffff),
    gid: reader.varint(0xffffffff),
    mtimeNs: reader.i64(),
    linkId: reader.varint64(),
    sparse: reader.flags(1) === 1,
    xattrs: Buffer.from(reader.bytes(reader.varint(LIMITS.xattrBytes))),
  };
  if (type === VERSION_TYPE.directory) return version;
  if (type === VERSION_TYPE.symlink) {
    const linkText = Buffer.from(reader.bytes(reader.varint(LIMITS.pathBytes)));
    return { ...version, size: linkText.length, linkText, digest: Buffer.from(reader.bytes(32)) };
  }
  const size = reader.varint(LIMITS.fileBytes);
  const digest = Buffer.from(reader.bytes(32));
  return { ...version, size, digest, recipe: decodeRecipe(reader, size) };
}

/** A version whose body is encoded already. */
export interface EncodedVersion {
  readonly path: BytePath;
  readonly type: VersionType;
  /** As `encodeVersionBody` writes it. */
  readonly body: Uint8Array;
}

/** The version with its body encoded into bytes of its own. */
export function encodeVersion(version: Version): EncodedVersion {
  const writer = new ByteWriter(160);
  encodeVersionBody(writer, version);
  return { path: version.path, type: version.type, body: writer.finish() };
}

/** Bytes that a version takes in a record of versions, at most. */
export function encodedVersionBytes({ path, body }: EncodedVersion): number {
  return path.length + body.length + 4;
}

/** Content of one record of versions. */
export function encodeVersionsRecord(sequence: number, versions: readonly EncodedVersion[]): Buffer {
  let bytes = 16;
  for (const version of versions) bytes += encodedVersionBytes(version);
  const writer = new ByteWriter(bytes);
  writer.u64(BigInt(sequence)).varint(versions.length);
  for (const { path, body } of versions) writer.varint(path.length).bytes(pathBytes(path)).bytes(body);
  return writer.finish();
}

/** Throws DK_CORRUPT_RECORD. Unsafe paths are kept, so that indexes hold: who uses a version asks `hasSafePath`. */
export function decodeVersionsRecord(bytes: Uint8Array): { readonly sequence: number; readonly versions: Version[] } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_RECORD', 'versions record');
  const sequence = Number(reader.u64());
  if (!Number.isSafeInteger(sequence)) reader.fail('sequence is too large');
  const count = reader.varint(LIMITS.blobBytes);
  const versions: Version[] = [];
  for (let index = 0; index < count; index += 1) {
    const path = pathFromBytes(reader.bytes(reader.varint(65535)));
    versions.push(decodeVersionBody(reader, path, sequence));
  }
  reader.expectEnd();
  return { sequence, versions };
}

/**
 * Whether a version's path may be kept, and placed below a target directory. The state directory itself is the empty
 * path: it can only be a directory, or stop being known.
 */
export function hasSafePath(version: { readonly path: BytePath; readonly type: VersionType }): boolean {
  if (version.path === '') return version.type === VERSION_TYPE.directory || version.type === VERSION_TYPE.removed;
  return isSafePath(version.path);
}

/** Whether two versions describe the same entry with the same content and attributes. */
export function sameVersion(one: Version, other: Version): boolean {
  return (
    one.type === other.type &&
    one.mode === other.mode &&
    one.uid === other.uid &&
    one.gid === other.gid &&
    one.mtimeNs === other.mtimeNs &&
    one.size === other.size &&
    one.linkId === other.linkId &&
    one.xattrs.equals(other.xattrs) &&
    (one.digest === null ? other.digest === null : other.digest !== null && one.digest.equals(other.digest))
  );
}
