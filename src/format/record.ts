/**
 * Packs: an append-only file of records after a header.
 *
 *   header := "DKPACK" u16 version=1, u32 pack id, u32 flags=0, store id[16], zeros[24], u64 check    (64 bytes)
 *   record := u32 magic "DKR1", u8 kind, u8 codec, u8 depth, u8 flags=0,
 *             u32 context bytes, u32 decoded bytes, u32 payload bytes, digest[32]                    (52 bytes)
 *             context list (see extents-codec), payload, u64 check
 *   check  := XXH3-64 of all bytes before it (in the header, or in the record)
 *
 * In an encrypted store a record stands inside another one:
 *
 *   sealed record := u32 magic "DKS1", u24 sealed bytes, u8 number of the master key, sealed, u64 check
 *   sealed        := nonce, ciphertext, tag of the record without its check; bound to the 8 bytes before it
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Digest, RECORD, type RecordKind } from './types.js';

export const PACK_HEADER_BYTES = 64;
export const PACK_VERSION = 1;
/** Of a pack in groups: see `dense-group.ts`. */
export const DENSE_PACK_VERSION = 3;
/** Dense packs of another layout, which no release wrote. */
const UNRELEASED_VERSION = 2;
export const RECORD_HEAD_BYTES = 52;
export const RECORD_CHECK_BYTES = 8;
export const RECORD_MAGIC = 0x31524b44;
export const SEALED_MAGIC = 0x31534b44;
export const SEALED_HEAD_BYTES = 8;
/** No sealed record is so long that its length would need the fourth byte. */
const SEALED_EPOCH_AT = 7;
/** Bytes of the smallest record. */
export const RECORD_MIN_BYTES = RECORD_HEAD_BYTES + RECORD_CHECK_BYTES;

/** Bytes of the longest record, sealed or not. */
export const RECORD_BYTES_MAX = LIMITS.payloadBytes + LIMITS.contextListBytes + 128;

/** XXH3-64 of bytes; passed in because this room computes nothing. */
export type Checksum = (bytes: Uint8Array) => bigint;

export interface RecordHead {
  readonly kind: RecordKind;
  readonly codec: number;
  readonly depth: number;
  readonly contextListBytes: number;
  readonly decodedBytes: number;
  readonly payloadBytes: number;
  readonly digest: Digest;
  /** Bytes of the whole record. */
  readonly recordBytes: number;
}

export function encodePackHeader(
  packId: number,
  storeId: Uint8Array,
  checksum: Checksum,
  version: number = PACK_VERSION,
): Buffer {
  const header = Buffer.alloc(PACK_HEADER_BYTES);
  header.write('DKPACK', 0, 'latin1');
  header.writeUInt16LE(version, 6);
  header.writeUInt32LE(packId, 8);
  header.set(storeId.subarray(0, 16), 16);
  header.writeBigUInt64LE(checksum(header.subarray(0, 56)), 56);
  return header;
}

/**
 * Null for a good header, and what is wrong with a damaged one: its records check themselves, so they may be read
 * nevertheless. Throws DK_CORRUPT_PACK for the whole header of another pack, DK_STORE_FORMAT_NEWER, and DK_UNSUPPORTED
 * for a format that no release wrote.
 */
export function checkPackHeader(
  header: Buffer,
  packId: number,
  storeId: Uint8Array,
  checksum: Checksum,
): DiffKeeperError | null {
  const error = (message: string): DiffKeeperError =>
    new DiffKeeperError('DK_CORRUPT_PACK', `pack ${packId}: ${message}`, { path: String(packId) });
  if (header.length < PACK_HEADER_BYTES) return error(`header has ${header.length} of ${PACK_HEADER_BYTES} bytes`);
  if (header.toString('latin1', 0, 6) !== 'DKPACK') return error('does not begin with DKPACK');
  if (header.readBigUInt64LE(56) !== checksum(header.subarray(0, 56))) return error('header checksum differs');
  const version = header.readUInt16LE(6);
  if (version > DENSE_PACK_VERSION) {
    const message = `pack ${packId} has format ${version}, this program knows up to ${DENSE_PACK_VERSION}`;
    throw new DiffKeeperError('DK_STORE_FORMAT_NEWER', message, { expected: DENSE_PACK_VERSION, actual: version });
  }
  if (version === UNRELEASED_VERSION) {
    const message = `pack ${packId} has format ${version}, which no release wrote: this program reads 1 and ${DENSE_PACK_VERSION}`;
    throw new DiffKeeperError('DK_UNSUPPORTED', message, { expected: DENSE_PACK_VERSION, actual: version });
  }
  if (header.readUInt32LE(8) !== packId) throw error(`header names pack ${header.readUInt32LE(8)}`);
  if (!header.subarray(16, 32).equals(storeId)) throw error('belongs to another store');
  return null;
}

/** Store that a whole header names, 32 hex digits; null for one that is damaged. */
export function storeOfPackHeader(header: Buffer, checksum: Checksum): string | null {
  if (header.length < PACK_HEADER_BYTES || header.toString('latin1', 0, 6) !== 'DKPACK') return null;
  if (header.readBigUInt64LE(56) !== checksum(header.subarray(0, 56))) return null;
  return header.toString('hex', 16, 32);
}

/** What a record is made of. */
export interface RecordParts {
  readonly kind: RecordKind;
  readonly codec: number;
  readonly depth: number;
  readonly digest: Uint8Array;
  readonly decodedBytes: number;
  readonly contextList: Uint8Array;
  readonly payload: Uint8Array;
}

/** One record to append (head and context list, payload, check). */
export function encodeRecord(record: RecordParts, checksum: Checksum): Buffer {
  const bytes = RECORD_MIN_BYTES + record.contextList.byteLength + record.payload.byteLength;
  const buffer = Buffer.allocUnsafe(bytes);
  writeRecordHead(buffer, record);
  buffer.set(record.contextList, RECORD_HEAD_BYTES);
  buffer.set(record.payload, RECORD_HEAD_BYTES + record.contextList.byteLength);
  buffer.writeBigUInt64LE(checksum(buffer.subarray(0, bytes - 8)), bytes - 8);
  return buffer;
}

function writeRecordHead(buffer: Buffer, record: RecordParts): void {
  buffer.writeUInt32LE(RECORD_MAGIC, 0);
  buffer[4] = record.kind;
  buffer[5] = record.codec;
  buffer[6] = record.depth;
  buffer[7] = 0;
  buffer.writeUInt32LE(record.contextList.byteLength, 8);
  buffer.writeUInt32LE(record.decodedBytes, 12);
  buffer.writeUInt32LE(record.payload.byteLength, 16);
  buffer.set(record.digest, 20);
}

function corrupt(message: string, offset: number): never {
  throw new DiffKeeperError('DK_CORRUPT_RECORD', `record at byte ${offset}: ${message}`, { offset });
}

/** Reads and bounds the head; says nothing about the rest. Throws DK_CORRUPT_RECORD. */
export function decodeRecordHead(bytes: Buffer, offset: number): RecordHead {
  if (bytes.length < RECORD_HEAD_BYTES) corrupt(`head has ${bytes.length} of ${RECORD_HEAD_BYTES} bytes`, offset);
  if (bytes.readUInt32LE(0) !== RECORD_MAGIC) corrupt('does not begin with DKR1', offset);
  const kind = bytes[4] as number;
  if (kind < RECORD.blob || kind > RECORD.prune) corrupt(`unknown kind ${kind}`, offset);
  if (bytes[7] !== 0) corrupt(`unknown flags ${bytes[7]}`, offset);
  const depth = bytes[6] as number;
  if (depth > LIMITS.chainDepthMax) corrupt(`depth ${depth}, at most ${LIMITS.chainDepthMax}`, offset);
  const contextListBytes = bytes.readUInt32LE(8);
  const decodedBytes = bytes.readUInt32LE(12);
  const payloadBytes = bytes.readUInt32LE(16);
  if (contextListBytes > LIMITS.contextListBytes) corrupt(`context list of ${contextListBytes} bytes`, offset);
  if (decodedBytes > LIMITS.blobBytes) corrupt(`${decodedBytes} decoded bytes, at most ${LIMITS.blobBytes}`, offset);
  if (payloadBytes > LIMITS.payloadBytes) corrupt(`${payloadBytes} payload bytes`, offset);
  return {
    kind: kind as RecordKind,
    codec: bytes[5] as number,
    depth,
    contextListBytes,
    decodedBytes,
    payloadBytes,
    digest: Buffer.from(bytes.subarray(20, 52)),
    recordBytes: RECORD_MIN_BYTES + contextListBytes + payloadBytes,
  };
}

export interface DecodedRecord {
  readonly head: RecordHead;
  readonly contextList: Buffer;
  readonly payload: Buffer;
  /** What context list and payload are views of, when it is not the pack's bytes. */
  readonly plain?: Buffer;
}

/** Checks the whole record, `bytes` being exactly its bytes. Throws DK_CORRUPT_RECORD. */
export function decodeRecord(bytes: Buffer, offset: number, checksum: Checksum): DecodedRecord {
  const head = decodeRecordHead(bytes, offset);
  if (bytes.length !== head.recordBytes) corrupt(`${bytes.length} of ${head.recordBytes} bytes`, offset);
  assertChecked(bytes, offset, checksum);
  return { head, ...recordBody(bytes, head) };
}

function assertChecked(bytes: Buffer, offset: number, checksum: Checksum): void {
  const end = bytes.length - RECORD_CHECK_BYTES;
  if (bytes.readBigUInt64LE(end) !== checksum(bytes.subarray(0, end))) corrupt('checksum differs', offset);
}

function recordBody(
  bytes: Buffer,
  { contextListBytes, payloadBytes }: RecordHead,
): { readonly contextList: Buffer; readonly payload: Buffer } {
  const payloadAt = RECORD_HEAD_BYTES + contextListBytes;
  return {
    contextList: bytes.subarray(RECORD_HEAD_BYTES, payloadAt),
    payload: bytes.subarray(payloadAt, payloadAt + payloadBytes),
  };
}

/** The pieces of a record without its check, as they are sealed. */
export function bareRecordPieces(record: RecordParts): Uint8Array[] {
  const { contextList, payload } = record;
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  writeRecordHead(head, record);
  return [head, contextList, payload];
}

/** Head of a sealed record, which the bytes in it are bound to. */
function sealedHead(sealedBytes: number, epoch: number): Buffer {
  const head = Buffer.allocUnsafe(SEALED_HEAD_BYTES);
  head.writeUInt32LE(SEALED_MAGIC, 0);
  head.writeUIntLE(sealedBytes, 4, 3);
  head[SEALED_EPOCH_AT] = epoch;
  return head;
}

/** Number of the master key that a sealed record, or its head, says it was sealed under. */
export function sealedEpoch(bytes: Uint8Array): number {
  return bytes[SEALED_EPOCH_AT] as number;
}

/**
 * @param epoch number of the master key, one byte
 * @param seal writes so many sealed bytes into the room, bound to the head
 */
export function encodeSealedRecord(
  { sealedBytes, epoch }: { readonly sealedBytes: number; readonly epoch: number },
  checksum: Checksum,
  seal: (room: Buffer, head: Buffer) => void,
): Buffer {
  const bytes = Buffer.allocUnsafe(SEALED_HEAD_BYTES + sealedBytes + RECORD_CHECK_BYTES);
  const end = bytes.length - RECORD_CHECK_BYTES;
  const head = sealedHead(sealedBytes, epoch);
  bytes.set(head);
  seal(bytes.subarray(SEALED_HEAD_BYTES, end), head);
  bytes.writeBigUInt64LE(checksum(bytes.subarray(0, end)), end);
  return bytes;
}

/** Length of a whole sealed record, from its first bytes. Throws DK_CORRUPT_RECORD. */
export function sealedRecordBytes(bytes: Buffer, offset: number): number {
  if (bytes.length < SEALED_HEAD_BYTES) corrupt(`head has ${bytes.length} of ${SEALED_HEAD_BYTES} bytes`, offset);
  if (bytes.readUInt32LE(0) !== SEALED_MAGIC) corrupt('does not begin with DKS1', offset);
  const whole = bytes.readUIntLE(4, 3) + SEALED_HEAD_BYTES + RECORD_CHECK_BYTES;
  if (whole > RECORD_BYTES_MAX) corrupt(`${whole} sealed bytes`, offset);
  return whole;
}

/** Checks that a sealed record is whole, without its key. Throws DK_CORRUPT_RECORD. */
export function checkSealedRecord(bytes: Buffer, offset: number, checksum: Checksum): void {
  const recordBytes = sealedRecordBytes(bytes, offset);
  if (bytes.length !== recordBytes) corrupt(`${bytes.length} of ${recordBytes} bytes`, offset);
  assertChecked(bytes, offset, checksum);
}

/** Checks a whole sealed record and opens it. Throws DK_CORRUPT_RECORD. */
export function decodeSealedRecord(
  bytes: Buffer,
  offset: number,
  checksum: Checksum,
  open: (sealed: Buffer, bound: Buffer) => Buffer | null,
): DecodedRecord {
  checkSealedRecord(bytes, offset, checksum);
  const recordBytes = bytes.length;
  const sealed = bytes.subarray(SEALED_HEAD_BYTES, recordBytes - RECORD_CHECK_BYTES);
  const plain = open(sealed, bytes.subarray(0, SEALED_HEAD_BYTES));
  if (plain === null) return corrupt('it was not sealed with the key of this store', offset);
  const head = decodeRecordHead(plain, offset);
  if (plain.length !== head.recordBytes - RECORD_CHECK_BYTES) corrupt(`${plain.length} bytes inside`, offset);
  return { head: { ...head, recordBytes }, ...recordBody(plain, head), plain };
}
