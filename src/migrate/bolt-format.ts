/**
 * Layout of a BoltDB file (bbolt, file version 2), bytes in and facts out. All integers are little-endian.
 *
 *   page    := u64 id, u16 flags, u16 count, u32 overflow, element * count, keys and values
 *   branch  := u32 pos, u32 key bytes, u64 child page             (pos counts from the element's own start)
 *   leaf    := u32 flags, u32 pos, u32 key bytes, u32 value bytes (value follows the key)
 *   bucket  := u64 root page, u64 sequence, [inline page when the root is 0]
 *   meta    := u32 magic, u32 version, u32 page bytes, u32 flags, bucket, u64 freelist, u64 pages, u64 transaction,
 *              u64 FNV-1a of the 56 bytes before
 *
 * Nothing here trusts a number: every count and offset is held against the bytes that are there.
 */
import { DiffKeeperError } from '../core/core.js';

export const PAGE = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
/** Flag of a leaf element whose value is a bucket. */
export const LEAF_BUCKET = 0x01;
export const PAGE_HEADER_BYTES = 16;
export const ELEMENT_BYTES = 16;
export const BUCKET_BYTES = 16;
export const META_BYTES = 64;
const MAGIC = 0xed0cdaed;
const FILE_VERSION = 2;

export const BOLT_LIMITS = {
  /** The library itself refuses longer keys. */
  keyBytes: 32768,
  /** The library itself refuses longer values. */
  valueBytes: 2 ** 31 - 2,
  pageBytesMin: 1024,
  pageBytesMax: 1 << 20,
  /** Pages of a branch hold two children at least: 32 levels are more than a file of any size needs. */
  depth: 32,
} as const;

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  readonly count: number;
  /** Pages that follow this one and belong to it. */
  readonly overflow: number;
}

export interface BoltMeta {
  readonly pageBytes: number;
  /** Root page of the bucket of buckets. */
  readonly root: number;
  /** High-water mark: pages that the file has, by its own account. */
  readonly pages: number;
  readonly transaction: bigint;
}

export interface LeafElement {
  readonly flags: number;
  /** Offsets count from the start of the page. */
  readonly keyOffset: number;
  readonly keyBytes: number;
  readonly valueOffset: number;
  readonly valueBytes: number;
}

export interface BranchElement {
  readonly keyOffset: number;
  readonly keyBytes: number;
  readonly child: number;
}

/** A damaged file, as an error. */
export function boltDamage(message: string, offset?: number): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_BOLT', message, offset === undefined ? {} : { offset });
}

/** A page number; what no file can have becomes -1. */
function pageNumber(bytes: Buffer, offset: number): number {
  const value = bytes.readBigUInt64LE(offset);
  return value > 0xffff_ffff_ffffn ? -1 : Number(value);
}

export function decodeHeader(bytes: Buffer): PageHeader {
  return {
    id: pageNumber(bytes, 0),
    flags: bytes.readUInt16LE(8),
    count: bytes.readUInt16LE(10),
    overflow: bytes.readUInt32LE(12),
  };
}

/** FNV-1a, 64 bits. */
export function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

/** Whether the bytes of a meta page's body begin as a BoltDB file does. */
export function hasMagic(body: Buffer): boolean {
  return body.length >= 4 && body.readUInt32LE(0) === MAGIC;
}

/** A meta page's body (after the page header), or why it is none. */
export function decodeMeta(body: Buffer): BoltMeta | string {
  if (body.length < META_BYTES) return 'it is cut off';
  if (!hasMagic(body)) return 'it does not begin as a BoltDB meta page';
  if (body.readBigUInt64LE(56) !== fnv1a(body.subarray(0, 56))) return 'its checksum is wrong';
  const version = body.readUInt32LE(4);
  if (version !== FILE_VERSION) return `it has file version ${version}; known is ${FILE_VERSION}`;
  const pageBytes = body.readUInt32LE(8);
  const { pageBytesMin, pageBytesMax } = BOLT_LIMITS;
  if (pageBytes < pageBytesMin || pageBytes > pageBytesMax || (pageBytes & (pageBytes - 1)) !== 0) {
    return `it names ${pageBytes} bytes per page`;
  }
  return {
    pageBytes,
    root: pageNumber(body, 16),
    pages: pageNumber(body, 40),
    transaction: body.readBigUInt64LE(48),
  };
}

/** Element `index` of a leaf page. `elements` begins after the page header, `runBytes` is the page with its overflow. */
export function leafElement(elements: Buffer, index: number, runBytes: number): LeafElement {
  const at = index * ELEMENT_BYTES;
  const keyOffset = PAGE_HEADER_BYTES + at + elements.readUInt32LE(at + 4);
  const keyBytes = elements.readUInt32LE(at + 8);
  const valueBytes = elements.readUInt32LE(at + 12);
  checkKey(keyOffset, keyBytes, runBytes);
  if (keyOffset + keyBytes + valueBytes > runBytes) throw boltDamage(`a value leaves its page (${valueBytes} bytes)`);
  return { flags: elements.readUInt32LE(at), keyOffset, keyBytes, valueOffset: keyOffset + keyBytes, valueBytes };
}

export function branchElement(elements: Buffer, index: number, runBytes: number): BranchElement {
  const at = index * ELEMENT_BYTES;
  const keyOffset = PAGE_HEADER_BYTES + at + elements.readUInt32LE(at);
  const keyBytes = elements.readUInt32LE(at + 4);
  checkKey(keyOffset, keyBytes, runBytes);
  return { keyOffset, keyBytes, child: pageNumber(elements, at + 8) };
}

function checkKey(offset: number, bytes: number, runBytes: number): void {
  if (bytes > BOLT_LIMITS.keyBytes || offset + bytes > runBytes) {
    throw boltDamage(`a key leaves its page (${bytes} bytes at ${offset})`);
  }
}

/** Root page and, when it is 0, the inline page of a bucket. */
export function decodeBucket(value: Buffer): { readonly root: number; readonly inline: Buffer | null } {
  if (value.length < BUCKET_BYTES) throw boltDamage(`a bucket of ${value.length} bytes`);
  const root = pageNumber(value, 0);
  return { root, inline: root === 0 ? value.subarray(BUCKET_BYTES) : null };
}

/** Body of a meta page whose list of free pages is page 2. */
export function encodeMeta(meta: BoltMeta): Buffer {
  const body = Buffer.alloc(META_BYTES);
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt32LE(FILE_VERSION, 4);
  body.writeUInt32LE(meta.pageBytes, 8);
  body.writeBigUInt64LE(BigInt(meta.root), 16);
  body.writeBigUInt64LE(2n, 32);
  body.writeBigUInt64LE(BigInt(meta.pages), 40);
  body.writeBigUInt64LE(meta.transaction, 48);
  body.writeBigUInt64LE(fnv1a(body.subarray(0, 56)), 56);
  return body;
}
