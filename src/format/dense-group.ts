/**
 * Dense packs: a pack that stands for a plain one, in groups of records that are compressed together.
 *
 *   dense pack := header with version 3, group*, list
 *   group      := u32 magic "DKG2", u32 frame bytes, u32 folded bytes, u32 records, u64 offset, u64 bytes, u64 check,  (40 bytes)
 *                 frame, u64 check
 *   list       := (u64 place, u64 offset, u32 group bytes, u32 bytes)*, u32 groups, u32 magic "DKL1", u64 check
 *   check      := XXH3-64 of all bytes before it (in the group, or in the list); that of a head and that of the list are also over
 *                 the store's id, the pack's number and where the head or the list begins
 *
 * `offset` and `bytes`: the stretch of the plain pack; `place`: where the group stands in the file. See docs/format.md,
 * section 12.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Checksum, PACK_HEADER_BYTES, RECORD_MIN_BYTES } from './record.js';

export const GROUP_HEAD_BYTES = 40;
/** Of it, what its own check is over. */
const CHECKED_BYTES = 32;
export const GROUP_CHECK_BYTES = 8;
const GROUP_MAGIC = 0x32474b44;
const LIST_MAGIC = 0x314c4b44;
const ROW_BYTES = 24;
/** What stands behind the rows of a list. */
export const LIST_END_BYTES = 16;
/** A frame may be a little longer than what it holds. */
const FRAME_SLACK = 1 << 16;

/** Bytes of the longest group in the file. */
const GROUP_BYTES_MAX = GROUP_HEAD_BYTES + LIMITS.denseGroupBytesMax + 2 * FRAME_SLACK + GROUP_CHECK_BYTES;
/** No group stands for bytes behind this one. */
const OFFSET_MAX = PACK_HEADER_BYTES + LIMITS.denseGroups * LIMITS.denseGroupBytesMax;

/** The first bytes of every group. */
export const GROUP_MAGIC_BYTES = Buffer.from('DKG2', 'latin1');

/** The pack that groups belong to: nothing that was made for another one is taken for them, wherever its bytes may stand. */
export interface GroupHome {
  readonly checksum: Checksum;
  readonly storeId: Uint8Array;
  readonly pack: number;
}

/** What the check of a head or a list is over, before it: where it belongs. */
export function homeBytes({ storeId, pack }: GroupHome, place: number): Buffer {
  const home = Buffer.alloc(28);
  home.set(storeId);
  home.writeUInt32LE(pack, 16);
  home.writeBigUInt64LE(BigInt(place), 20);
  return home;
}

/** Of bytes that stand at a place of the file of this pack. */
function checkAt(home: GroupHome, place: number, bytes: Uint8Array): bigint {
  return home.checksum(Buffer.concat([homeBytes(home, place), bytes]));
}

/** What a group stands for, and where it stands. */
export interface DenseGroup {
  /** First byte of the group in the file. */
  readonly place: number;
  /** Bytes of the whole group in the file. */
  readonly groupBytes: number;
  /** First byte of the plain pack that it stands for. */
  readonly offset: number;
  /** How many bytes of the plain pack. */
  readonly bytes: number;
}

export interface GroupHead {
  readonly frameBytes: number;
  readonly foldedBytes: number;
  readonly records: number;
  readonly offset: number;
  readonly bytes: number;
}

function corrupt(message: string): never {
  throw new DiffKeeperError('DK_CORRUPT_PACK', `dense pack: ${message}`);
}

function whole(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) corrupt(`${what} ${value} is too large`);
  return number;
}

/** One group to append. @param place where it will stand in the file */
export function encodeGroup(
  { foldedBytes, records, offset, bytes }: Omit<GroupHead, 'frameBytes'>,
  frame: Uint8Array,
  { home, place }: { readonly home: GroupHome; readonly place: number },
): Buffer {
  const group = Buffer.allocUnsafe(GROUP_HEAD_BYTES + frame.length + GROUP_CHECK_BYTES);
  const end = group.length - GROUP_CHECK_BYTES;
  group.set(GROUP_MAGIC_BYTES);
  group.writeUInt32LE(frame.length, 4);
  group.writeUInt32LE(foldedBytes, 8);
  group.writeUInt32LE(records, 12);
  group.writeBigUInt64LE(BigInt(offset), 16);
  group.writeBigUInt64LE(BigInt(bytes), 24);
  group.writeBigUInt64LE(checkAt(home, place, group.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
  group.set(frame, GROUP_HEAD_BYTES);
  group.writeBigUInt64LE(home.checksum(group.subarray(0, end)), end);
  return group;
}

/** Checks and bounds the head that stands at `place`; says nothing about the rest. Throws DK_CORRUPT_PACK. */
export function decodeGroupHead(head: Buffer, home: GroupHome, place: number): GroupHead {
  if (head.length < GROUP_HEAD_BYTES) corrupt(`the head of a group has ${head.length} of ${GROUP_HEAD_BYTES} bytes`);
  if (head.readUInt32LE(0) !== GROUP_MAGIC) corrupt('a group does not begin with DKG2');
  if (head.readBigUInt64LE(CHECKED_BYTES) !== checkAt(home, place, head.subarray(0, CHECKED_BYTES))) {
    corrupt('the checksum of the head of a group differs');
  }
  const frameBytes = head.readUInt32LE(4);
  const foldedBytes = head.readUInt32LE(8);
  const records = head.readUInt32LE(12);
  const offset = whole(head.readBigUInt64LE(16), 'an offset of');
  const bytes = whole(head.readBigUInt64LE(24), 'a stretch of');
  if (bytes > LIMITS.denseGroupBytesMax) corrupt(`a group for ${bytes} bytes`);
  if (offset < PACK_HEADER_BYTES || offset > OFFSET_MAX) corrupt(`a group for bytes from ${offset} on`);
  // Folding takes bytes away; what it adds for each record is less than a record has besides its payload.
  if (foldedBytes > bytes + FRAME_SLACK) corrupt(`${foldedBytes} folded bytes for ${bytes}`);
  if (frameBytes > foldedBytes + FRAME_SLACK) corrupt(`a frame of ${frameBytes} bytes for ${foldedBytes}`);
  if (records < 1 || records > bytes / RECORD_MIN_BYTES) corrupt(`${records} records in ${bytes} bytes`);
  return { frameBytes, foldedBytes, records, offset, bytes };
}

/** The head and the frame of a whole group, `group` being exactly its bytes, which stand at `place`. Throws DK_CORRUPT_PACK. */
export function decodeGroup(
  group: Buffer,
  home: GroupHome,
  place: number,
): { readonly head: GroupHead; readonly frame: Buffer } {
  const head = decodeGroupHead(group, home, place);
  const end = GROUP_HEAD_BYTES + head.frameBytes;
  if (group.length !== end + GROUP_CHECK_BYTES) corrupt(`a group has ${group.length} bytes`);
  if (group.readBigUInt64LE(end) !== home.checksum(group.subarray(0, end))) {
    corrupt('the checksum of a group differs');
  }
  return { head, frame: group.subarray(GROUP_HEAD_BYTES, end) };
}

/** Bytes of a whole group, from its head. */
export function groupBytesOf({ frameBytes }: GroupHead): number {
  return GROUP_HEAD_BYTES + frameBytes + GROUP_CHECK_BYTES;
}

/** @param place where it will stand in the file */
export function encodeGroupList(groups: readonly DenseGroup[], home: GroupHome, place: number): Buffer {
  const list = Buffer.allocUnsafe(listBytesFor(groups.length));
  for (const [index, { place, offset, groupBytes, bytes }] of groups.entries()) {
    const at = index * ROW_BYTES;
    list.writeBigUInt64LE(BigInt(place), at);
    list.writeBigUInt64LE(BigInt(offset), at + 8);
    list.writeUInt32LE(groupBytes, at + 16);
    list.writeUInt32LE(bytes, at + 20);
  }
  const end = list.length - LIST_END_BYTES;
  list.writeUInt32LE(groups.length, end);
  list.writeUInt32LE(LIST_MAGIC, end + 4);
  list.writeBigUInt64LE(checkAt(home, place, list.subarray(0, end + 8)), end + 8);
  return list;
}

/** Bytes of the whole list of so many groups. */
export function listBytesFor(groups: number): number {
  return groups * ROW_BYTES + LIST_END_BYTES;
}

/** Bytes of the whole list, from its last `LIST_END_BYTES`; null when these are not the end of one. */
export function listBytesOf(end: Buffer): number | null {
  if (end.length !== LIST_END_BYTES || end.readUInt32LE(4) !== LIST_MAGIC) return null;
  const groups = end.readUInt32LE(0);
  return groups >= 1 && groups <= LIMITS.denseGroups ? listBytesFor(groups) : null;
}

/**
 * The groups of a pack in which the list begins at `place`; null when the list is damaged. They follow one another, in the
 * file as in the plain pack.
 */
export function decodeGroupList(list: Buffer, home: GroupHome, place: number): DenseGroup[] | null {
  const end = list.length - LIST_END_BYTES;
  if (end < 0 || listBytesOf(list.subarray(end)) !== list.length) return null;
  if (list.readBigUInt64LE(end + 8) !== checkAt(home, place, list.subarray(0, end + 8))) return null;
  const groups: DenseGroup[] = [];
  let next = PACK_HEADER_BYTES;
  let offset = PACK_HEADER_BYTES;
  for (let at = 0; at < end; at += ROW_BYTES) {
    const groupBytes = list.readUInt32LE(at + 16);
    const bytes = list.readUInt32LE(at + 20);
    const follows = list.readBigUInt64LE(at) === BigInt(next) && list.readBigUInt64LE(at + 8) === BigInt(offset);
    if (!follows || bytes > LIMITS.denseGroupBytesMax) return null;
    if (groupBytes <= GROUP_HEAD_BYTES || groupBytes > GROUP_BYTES_MAX) return null;
    groups.push({ place: next, groupBytes, offset, bytes });
    next += groupBytes;
    offset += bytes;
  }
  return next === place ? groups : null;
}
