/**
 * The windowed container `DKDW`, pure bytes <-> facts. Normative text: `docs/format-delta.md`.
 *
 *     header  magic 'DKDW' | version u8 | hash algo u8 | flags u8 (1: target length known) | 0
 *             source length varint | target length varint (0 unless known) | source digest 32 B | XXH3-64 u64
 *     record  kind u8 | body length u32 | body | XXH3-64 of all before in the record, u64
 *     body    1 window  target length varint | engine u8 | ranges varint | (gap varint, length varint)* | payload
 *             2 copy    source offset varint | length varint
 *             0 end     target length varint | records varint | target digest 32 B
 */
import { DiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { corrupt, HASH_ALGOS, readVarint, writeVarint } from './container-parts.js';

export const WINDOWS_MAGIC = Buffer.from('DKDW', 'latin1');
const VERSION = 1;
const TARGET_KNOWN = 1;
const DIGEST_BYTES = 32;
const CHECKSUM_BYTES = 8;
const FIXED_BYTES = 8;
/** Kind and length of a record. */
export const RECORD_HEAD_BYTES = 5;
/** Longest header: two varints of 8 bytes. */
export const HEADER_BYTES_MAX = FIXED_BYTES + 16 + DIGEST_BYTES + CHECKSUM_BYTES;

/** What a reader accepts, so that no delta makes it take more memory than this. */
export const WINDOW_LIMITS = {
  /** Target bytes of one window. */
  targetBytes: 32 << 20,
  /** All source ranges of one window. */
  rangeBytes: 64 << 20,
  /** Source ranges of one window. */
  ranges: 1 << 15,
  /** Body of a record: the target as it is, and its ranges. */
  bodyBytes: 34 << 20,
} as const;

const KIND = { end: 0, window: 1, copy: 2 } as const;

export interface WindowsHeader {
  readonly hashAlgo: HashAlgo;
  readonly sourceBytes: number;
  /** Absent when the target came from a stream. */
  readonly targetBytes?: number;
  readonly sourceDigest: Buffer;
}

export interface SourceRange {
  readonly offset: number;
  readonly length: number;
}

export type WindowRecord =
  | {
      readonly kind: 'window';
      readonly targetBytes: number;
      readonly engineNumber: number;
      readonly ranges: readonly SourceRange[];
      readonly payload: Uint8Array;
    }
  | ({ readonly kind: 'copy' } & SourceRange)
  | { readonly kind: 'end'; readonly targetBytes: number; readonly records: number; readonly targetDigest: Buffer };

/** Whether a delta is in windows, by its first bytes. */
export function isWindows(start: Uint8Array): boolean {
  return start.length >= 4 && WINDOWS_MAGIC.equals(start.subarray(0, 4));
}

function sealed(engine: Engine, parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat([...parts, Buffer.alloc(CHECKSUM_BYTES)]);
  const end = bytes.length - CHECKSUM_BYTES;
  bytes.writeBigUInt64LE(engine.xxh3(bytes.subarray(0, end)), end);
  return bytes;
}

function checkSeal(engine: Engine, bytes: Buffer, at: number): void {
  const end = bytes.length - CHECKSUM_BYTES;
  if (engine.xxh3(bytes.subarray(0, end)) !== bytes.readBigUInt64LE(end))
    throw corrupt('a checksum does not match', at);
}

export function encodeHeader(engine: Engine, header: WindowsHeader): Buffer {
  const flags = header.targetBytes === undefined ? 0 : TARGET_KNOWN;
  const fixed = Buffer.from([...WINDOWS_MAGIC, VERSION, HASH_ALGOS.indexOf(header.hashAlgo), flags, 0]);
  const lengths = [writeVarint(header.sourceBytes), writeVarint(header.targetBytes ?? 0)];
  return sealed(engine, [fixed, ...lengths, header.sourceDigest]);
}

/** Reads the header from the first bytes of a delta. Throws DK_CORRUPT_DELTA, or DK_UNSUPPORTED for a newer version. */
export function decodeHeader(
  engine: Engine,
  start: Buffer,
): { readonly header: WindowsHeader; readonly bytes: number } {
  if (start.length < FIXED_BYTES) throw corrupt('the header is cut off', start.length);
  const source = readVarint(start, FIXED_BYTES, start.length);
  const target = readVarint(start, source.next, start.length);
  const digestEnd = target.next + DIGEST_BYTES;
  const bytes = digestEnd + CHECKSUM_BYTES;
  if (bytes > start.length) throw corrupt('the header is cut off', start.length);
  checkSeal(engine, start.subarray(0, bytes), digestEnd);
  const version = start.readUInt8(4);
  if (version !== VERSION) {
    const message = `the delta has window format version ${version}; this release reads version ${VERSION}`;
    throw new DiffKeeperError('DK_UNSUPPORTED', message, { expected: VERSION, actual: version });
  }
  const hashAlgo = HASH_ALGOS[start.readUInt8(5)];
  if (hashAlgo === undefined) throw corrupt('the hash algorithm is unknown', 5);
  const flags = start.readUInt8(6);
  if (flags > TARGET_KNOWN || start.readUInt8(7) !== 0) throw corrupt('reserved flags are set', 6);
  if (flags === 0 && target.value !== 0) throw corrupt('a target length that is not known', source.next);
  const header = {
    hashAlgo,
    sourceBytes: source.value,
    sourceDigest: Buffer.from(start.subarray(target.next, digestEnd)),
    ...(flags === TARGET_KNOWN ? { targetBytes: target.value } : {}),
  };
  return { header, bytes };
}

function bodyOf(record: WindowRecord): Uint8Array[] {
  if (record.kind === 'copy') return [writeVarint(record.offset), writeVarint(record.length)];
  if (record.kind === 'end') return [writeVarint(record.targetBytes), writeVarint(record.records), record.targetDigest];
  const head = [writeVarint(record.targetBytes), Buffer.from([record.engineNumber]), writeVarint(record.ranges.length)];
  let end = 0;
  for (const { offset, length } of record.ranges) {
    head.push(writeVarint(offset - end), writeVarint(length));
    end = offset + length;
  }
  return [...head, record.payload];
}

/** Bytes of one record. */
export function encodeRecord(engine: Engine, record: WindowRecord): Buffer {
  const body = bodyOf(record);
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  head.writeUInt8(KIND[record.kind], 0);
  head.writeUInt32LE(
    body.reduce((sum, part) => sum + part.length, 0),
    1,
  );
  return sealed(engine, [head, ...body]);
}

/** Bytes that follow the head of a record. Throws DK_CORRUPT_DELTA when they are more than a reader takes. */
export function recordRest(head: Buffer, at: number): number {
  const body = head.readUInt32LE(1);
  if (body > WINDOW_LIMITS.bodyBytes) throw corrupt('a record is too long', at);
  return body + CHECKSUM_BYTES;
}

function decodeWindow(bytes: Buffer, start: number, sourceBytes: number): WindowRecord {
  const end = bytes.length - CHECKSUM_BYTES;
  const target = readVarint(bytes, start, end);
  if (target.value < 1 || target.value > WINDOW_LIMITS.targetBytes) throw corrupt('a window has a wrong length', start);
  if (target.next >= end) throw corrupt('a window is cut off', end);
  const count = readVarint(bytes, target.next + 1, end);
  if (count.value > WINDOW_LIMITS.ranges) throw corrupt('a window has too many ranges', target.next);
  const ranges: SourceRange[] = [];
  let next = count.next;
  let behind = 0;
  let sum = 0;
  while (ranges.length < count.value) {
    const gap = readVarint(bytes, next, end);
    const length = readVarint(bytes, gap.next, end);
    next = length.next;
    const offset = behind + gap.value;
    behind = offset + length.value;
    sum += length.value;
    if (length.value < 1 || behind > sourceBytes) throw corrupt('a range leaves the source', next);
    if (sum > WINDOW_LIMITS.rangeBytes) throw corrupt('the ranges of a window are too long', next);
    ranges.push({ offset, length: length.value });
  }
  const engineNumber = bytes.readUInt8(target.next);
  return { kind: 'window', targetBytes: target.value, engineNumber, ranges, payload: bytes.subarray(next, end) };
}

/** Parses a whole record (head, body, checksum) and checks it. Throws DK_CORRUPT_DELTA. */
export function decodeRecord(engine: Engine, bytes: Buffer, at: number, sourceBytes: number): WindowRecord {
  checkSeal(engine, bytes, at);
  const end = bytes.length - CHECKSUM_BYTES;
  const kind = bytes.readUInt8(0);
  if (kind === KIND.window) return decodeWindow(bytes, RECORD_HEAD_BYTES, sourceBytes);
  if (kind !== KIND.copy && kind !== KIND.end) throw corrupt('a record of an unknown kind', at);
  const first = readVarint(bytes, RECORD_HEAD_BYTES, end);
  const second = readVarint(bytes, first.next, end);
  if (kind === KIND.end) {
    if (second.next + DIGEST_BYTES !== end) throw corrupt('the last record has a wrong length', at);
    const targetDigest = Buffer.from(bytes.subarray(second.next, end));
    return { kind: 'end', targetBytes: first.value, records: second.value, targetDigest };
  }
  if (second.next !== end) throw corrupt('a copy has a wrong length', at);
  if (second.value < 1 || first.value + second.value > sourceBytes) throw corrupt('a copy leaves the source', at);
  return { kind: 'copy', offset: first.value, length: second.value };
}
