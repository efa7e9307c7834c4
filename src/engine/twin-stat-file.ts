/**
 * The saved form of a stat index, the same bytes as the native engine writes, so
 * that a store may change hands between the two. Integers are little-endian.
 *
 *   file  := magic "DKSI", u16 version = 1, u16 flags = 0, u64 count, entry*, u64 xxh3
 *   entry := varint shared, varint rest, bytes[rest], row
 *   row   := u8 type, u8 trusted, u16 mode, u32 uid, u32 gid, u32 nlink,
 *            i64 size, i64 mtimeNs, i64 ctimeNs, i64 ino, i64 dev, i64 blocks
 *
 * Entries ascend by path, component by component; `shared` is how many bytes a
 * path has in common with the one before it. The checksum is XXH3-64 of all
 * bytes before it. A cache: a damaged file costs a rescan, nothing else.
 */
import { type BytePath, isSafePath, LIMITS, pathBytes, pathFromBytes } from '../core/core.js';
import { ENTRY, STAT, STAT_COLUMNS } from './engine.js';
import { xxh3 } from './twin-xxh3.js';

/** What is remembered of one entry. */
export interface Remembered {
  readonly row: BigInt64Array;
  readonly trusted: boolean;
}

const MAGIC = Buffer.from([0x44, 0x4b, 0x53, 0x49, 1, 0, 0, 0]);
const HEAD_BYTES = 16;
const SUM_BYTES = 8;
const ROW_BYTES = 64;
const WIDE_COLUMNS = [STAT.size, STAT.mtimeNs, STAT.ctimeNs, STAT.ino, STAT.dev, STAT.blocks];

/** Orders paths as a walk meets them: the separator sorts below every other byte. */
export function walkOrder(a: BytePath, b: BytePath): number {
  const left = a.replaceAll('/', '\0');
  const right = b.replaceAll('/', '\0');
  return left < right ? -1 : left > right ? 1 : 0;
}

function sharedBytes(a: BytePath, b: BytePath): number {
  const most = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < most && a[shared] === b[shared]) shared += 1;
  return shared;
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.of((value & 127) | 128, value >> 7);
}

function rowBytes(entry: Remembered): Buffer {
  const bytes = Buffer.alloc(ROW_BYTES);
  const column = (index: number): bigint => entry.row[index] ?? 0n;
  bytes.writeUInt8(Number(column(STAT.type)), 0);
  bytes.writeUInt8(entry.trusted ? 1 : 0, 1);
  bytes.writeUInt16LE(Number(column(STAT.mode) & 0xffffn), 2);
  bytes.writeUInt32LE(Number(BigInt.asUintN(32, column(STAT.uid))), 4);
  bytes.writeUInt32LE(Number(BigInt.asUintN(32, column(STAT.gid))), 8);
  bytes.writeUInt32LE(Number(BigInt.asUintN(32, column(STAT.nlink))), 12);
  for (const [i, index] of WIDE_COLUMNS.entries()) bytes.writeBigInt64LE(column(index), 16 + i * 8);
  return bytes;
}

/** The saved form of the entries. */
export function encodeStatFile(entries: ReadonlyMap<BytePath, Remembered>): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeBigUInt64LE(BigInt(entries.size), MAGIC.length);
  const parts: Buffer[] = [head];
  let previous = '';
  for (const path of [...entries.keys()].sort(walkOrder)) {
    const shared = sharedBytes(previous, path);
    const entry = entries.get(path);
    if (entry === undefined) continue;
    parts.push(varint(shared), varint(path.length - shared), pathBytes(path.slice(shared)), rowBytes(entry));
    previous = path;
  }
  const body = Buffer.concat(parts);
  const sum = Buffer.alloc(SUM_BYTES);
  sum.writeBigUInt64LE(xxh3(body));
  return Buffer.concat([body, sum]);
}

function readRow(bytes: Buffer, at: number): Remembered {
  const row = new BigInt64Array(STAT_COLUMNS);
  row[STAT.type] = BigInt(bytes.readUInt8(at));
  row[STAT.mode] = BigInt(bytes.readUInt16LE(at + 2));
  row[STAT.uid] = BigInt(bytes.readUInt32LE(at + 4));
  row[STAT.gid] = BigInt(bytes.readUInt32LE(at + 8));
  row[STAT.nlink] = BigInt(bytes.readUInt32LE(at + 12));
  for (const [i, index] of WIDE_COLUMNS.entries()) row[index] = bytes.readBigInt64LE(at + 16 + i * 8);
  return { row, trusted: bytes.readUInt8(at + 1) === 1 };
}

/** A varint below 2^14 and where it ends; undefined when it is cut off, longer than needed or too large. */
function readVarint(bytes: Buffer, at: number, end: number): { value: number; next: number } | undefined {
  if (at >= end) return undefined;
  const first = bytes.readUInt8(at);
  if (first < 128) return { value: first, next: at + 1 };
  if (at + 1 >= end) return undefined;
  const second = bytes.readUInt8(at + 1);
  if (second === 0 || second > 127) return undefined;
  return { value: (first & 127) | (second << 7), next: at + 2 };
}

/** The entries of a saved index, or undefined when the bytes are damaged. */
export function parseStatFile(data: Uint8Array): [BytePath, Remembered][] | undefined {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < HEAD_BYTES + SUM_BYTES) return undefined;
  const end = bytes.length - SUM_BYTES;
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (xxh3(bytes.subarray(0, end)) !== bytes.readBigUInt64LE(end)) return undefined;
  const count = bytes.readBigUInt64LE(MAGIC.length);
  if (count > BigInt(Math.floor((end - HEAD_BYTES) / (ROW_BYTES + 2)))) return undefined;
  const entries: [BytePath, Remembered][] = [];
  let at = HEAD_BYTES;
  let path = '';
  for (let i = 0; i < Number(count); i += 1) {
    const shared = readVarint(bytes, at, end);
    const rest = shared && readVarint(bytes, shared.next, end);
    if (shared === undefined || rest === undefined) return undefined;
    if (shared.value > path.length || rest.value > LIMITS.pathBytes) return undefined;
    if (end - rest.next < rest.value + ROW_BYTES) return undefined;
    const rowAt = rest.next + rest.value;
    const next = path.slice(0, shared.value) + pathFromBytes(bytes.subarray(rest.next, rowAt));
    if (next !== '' && !isSafePath(next)) return undefined;
    if (i > 0 && walkOrder(path, next) >= 0) return undefined;
    const type = bytes.readUInt8(rowAt);
    if (type < ENTRY.file || type > ENTRY.special || bytes.readUInt8(rowAt + 1) > 1) return undefined;
    entries.push([next, readRow(bytes, rowAt)]);
    path = next;
    at = rowAt + ROW_BYTES;
  }
  return at === end ? entries : undefined;
}
