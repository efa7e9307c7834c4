/**
 * Whether a pack is a dense one, and which groups it has: by its header and its list, or by looking for groups where these
 * are damaged. See docs/format.md, section 12.
 */
import type { FileHandle } from 'node:fs/promises';
import { isDiffKeeperError, LIMITS, readFully } from '../core/core.js';
import {
  DENSE_PACK_VERSION,
  type DenseGroup,
  decodeGroup,
  decodeGroupHead,
  decodeGroupList,
  GROUP_HEAD_BYTES,
  GROUP_MAGIC_BYTES,
  type GroupHome,
  groupBytesOf,
  LIST_END_BYTES,
  listBytesFor,
  listBytesOf,
  PACK_HEADER_BYTES,
} from '../format/format.js';
import { askAgain, isUnreadable, UnreadableBlocks } from './unreadable-blocks.js';

/** Bytes that are searched for groups at a time. */
const SEARCH_BYTES = 1 << 20;
/** So many times the length of the file is read at most in search of groups. */
const SEARCH_TIMES = 4;
/** What looking at a head that is none counts for. */
const HEAD_COST_BYTES = 4096;

export interface FoundGroups {
  /** In the order of what they stand for, without those that are damaged; null: it is a plain pack. */
  readonly groups: readonly DenseGroup[] | null;
  /** The file has more behind the last of them than their list: what that stood for is not known, only that it is lost. */
  readonly short: boolean;
  /** The disk did not give all that this hangs on: another time it may be otherwise. */
  readonly partial: boolean;
}

interface PackFile {
  readonly size: number;
  readonly home: GroupHome;
  /** Fewer bytes at the end of the file only. Throws system errors. */
  readonly read: (offset: number, bytes: number) => Promise<Buffer>;
}

/**
 * Throws system errors, but not for blocks that the disk does not give.
 *
 * @param header what the file begins with; null when it is damaged, or cannot be read
 */
export async function findGroups(
  { handle, header }: { readonly handle: FileHandle; readonly header: Buffer | null },
  home: GroupHome,
): Promise<FoundGroups> {
  // A whole header says what follows: what somebody had stored in a plain pack is never taken for groups.
  if (header && header.readUInt16LE(6) !== DENSE_PACK_VERSION) return { groups: null, short: false, partial: false };
  const read = async (offset: number, bytes: number): Promise<Buffer> => {
    const room = Buffer.allocUnsafe(bytes);
    return room.subarray(0, await readFully(handle, room, offset));
  };
  const { size } = await handle.stat();
  const file = { size, home, read };
  const list = await readList(file);
  if (list) return { groups: list, short: false, partial: false };
  const { groups, partial } = await searchGroups(file);
  // One that was made for this very place of this very pack says enough.
  const isDense = header !== null || groups.length > 0;
  return { groups: isDense ? groups : null, short: isDense && !partial && isShort(groups, size), partial };
}

/** Of groups without a list. A hole between two of them tells of itself. */
function isShort(groups: readonly DenseGroup[], size: number): boolean {
  let [place, offset] = [PACK_HEADER_BYTES, PACK_HEADER_BYTES];
  for (const group of groups) {
    if (group.offset !== offset) return false;
    place = group.place + group.groupBytes;
    offset = group.offset + group.bytes;
  }
  return size - place !== listBytesFor(groups.length);
}

/** Null when it is damaged, or not there: its rows fill the file, so that nothing else is taken for it. */
async function readList({ size, home, read }: PackFile): Promise<DenseGroup[] | null> {
  if (size < PACK_HEADER_BYTES + LIST_END_BYTES) return null;
  try {
    const bytes = listBytesOf(await askAgain(() => read(size - LIST_END_BYTES, LIST_END_BYTES)));
    if (bytes === null || bytes > size - PACK_HEADER_BYTES) return null;
    return decodeGroupList(await askAgain(() => read(size - bytes, bytes)), home, size - bytes);
  } catch (error) {
    // It only saves the search.
    if (isUnreadable(error)) return null;
    throw error;
  }
}

/** Every group whose head and checksum are right, found by what it begins with. */
async function searchGroups(file: PackFile): Promise<{ readonly groups: DenseGroup[]; readonly partial: boolean }> {
  const { size } = file;
  const blocks = new UnreadableBlocks(file.read);
  const groups: DenseGroup[] = [];
  let end = PACK_HEADER_BYTES;
  // Heads that are right with groups that are not: few, unless somebody wants us to read the file again and again.
  let budget = SEARCH_TIMES * size;
  let from = PACK_HEADER_BYTES;
  let window: Buffer = Buffer.alloc(0);
  for (let place = PACK_HEADER_BYTES; budget > 0 && place + GROUP_HEAD_BYTES <= size; ) {
    if (groups.length === LIMITS.denseGroups) break;
    if (place < from || place + GROUP_HEAD_BYTES > from + window.length) {
      from = place;
      window = await blocks.read(from, Math.min(SEARCH_BYTES, size - from));
      // The file has become shorter.
      if (window.length < GROUP_HEAD_BYTES) break;
    }
    const hit = window.indexOf(GROUP_MAGIC_BYTES, place - from);
    if (hit < 0 || hit + GROUP_HEAD_BYTES > window.length) {
      // What begins at its end is looked at together with what follows.
      place = hit < 0 ? from + window.length - GROUP_MAGIC_BYTES.length + 1 : from + hit;
      if (place + GROUP_HEAD_BYTES > from + window.length && from + window.length >= size) break;
      continue;
    }
    place = from + hit;
    const { group, readBytes } = await groupAt(file, blocks, { place, known: window.subarray(hit) });
    // Groups that overlap were not written by us.
    if (group && group.offset >= end) {
      groups.push(group);
      end = group.offset + group.bytes;
      place += group.groupBytes;
      continue;
    }
    budget -= readBytes + HEAD_COST_BYTES;
    place += 1;
  }
  return { groups, partial: blocks.holes.length > 0 };
}

async function groupAt(
  { size, home }: PackFile,
  blocks: UnreadableBlocks,
  { place, known }: { readonly place: number; readonly known: Buffer },
): Promise<{ readonly group: DenseGroup | null; readonly readBytes: number }> {
  let readBytes = 0;
  try {
    const groupBytes = groupBytesOf(decodeGroupHead(known.subarray(0, GROUP_HEAD_BYTES), home, place));
    if (groupBytes > size - place) return { group: null, readBytes };
    readBytes = groupBytes;
    const bytes = groupBytes <= known.length ? known.subarray(0, groupBytes) : await blocks.read(place, groupBytes);
    const { head } = decodeGroup(bytes, home, place);
    return { group: { place, groupBytes, offset: head.offset, bytes: head.bytes }, readBytes };
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_PACK')) return { group: null, readBytes };
    throw error;
  }
}
