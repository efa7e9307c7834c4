/** From what the kernel says about an entry to the version that the store keeps, and back to "is it the same". */
import type { BytePath } from '../core/core.js';
import { STAT, STAT_COLUMNS } from '../engine/engine.js';
import type { Digest, Recipe, Version, VersionType } from '../format/format.js';

/** One entry that a capture looks at: its path and its stat row. */
export interface Entry {
  readonly path: BytePath;
  readonly row: BigInt64Array;
}

export const NO_BYTES = Buffer.alloc(0);
export const EMPTY_RECIPE: Recipe = { kind: 'empty' };

/** One value of a stat row; 0 when the row is short. */
export function rowValue(row: BigInt64Array, column: number): bigint {
  return row[column] ?? 0n;
}

/** Stat row number `index` of a batch; shares the batch's memory. */
export function rowAt(rows: BigInt64Array, index: number): BigInt64Array {
  return rows.subarray(index * STAT_COLUMNS, (index + 1) * STAT_COLUMNS);
}

/** Whether two stat rows are equal in every column. */
export function sameRow(one: BigInt64Array, other: BigInt64Array): boolean {
  for (let column = 0; column < STAT_COLUMNS; column += 1) if (one[column] !== other[column]) return false;
  return true;
}

/** Whether two stat rows are of one file or directory, whatever became of it. */
export function sameInode(one: BigInt64Array, other: BigInt64Array): boolean {
  return one[STAT.ino] === other[STAT.ino] && one[STAT.dev] === other[STAT.dev];
}

/** ENTRY type of a row, or a negative errno. */
export function rowType(row: BigInt64Array): number {
  return Number(rowValue(row, STAT.type));
}

export function rowSize(row: BigInt64Array): number {
  return Number(rowValue(row, STAT.size));
}

/** When the entry changed last, as the kernel stamped it, ms since 1970. */
export function changedMsOf(row: BigInt64Array): number {
  return Number(rowValue(row, STAT.ctimeNs)) / 1e6;
}

/**
 * Group of a hard link, from device and inode number; never 0. Mixed so that the numbers themselves, which mean
 * nothing elsewhere, do not look as if they did.
 */
export function linkIdOf(row: BigInt64Array): bigint {
  const ino = BigInt.asUintN(64, rowValue(row, STAT.ino) * 0x9e3779b97f4a7c15n);
  const dev = BigInt.asUintN(64, rowValue(row, STAT.dev) * 0xc2b2ae3d27d4eb4fn);
  const mixed = ino ^ (dev >> 7n) ^ BigInt.asUintN(64, dev << 31n);
  return mixed === 0n ? 1n : mixed;
}

/** What a version says beyond the stat row. */
export interface EntryContent {
  readonly type: VersionType;
  readonly size: number;
  readonly digest: Digest | null;
  readonly linkText: Buffer;
  readonly xattrs: Buffer;
  readonly sparse: boolean;
  readonly recipe: Recipe;
}

/** The version of an entry; `sequence` is filled in by the commit. */
export function versionOf(entry: Entry, content: EntryContent): Version {
  const linked = content.type === 1 && rowValue(entry.row, STAT.nlink) > 1n;
  // Field by field: spreading makes an object of four times the size, and there is one per name.
  return {
    path: entry.path,
    sequence: 0,
    type: content.type,
    mode: Number(rowValue(entry.row, STAT.mode)),
    uid: Number(rowValue(entry.row, STAT.uid)),
    gid: Number(rowValue(entry.row, STAT.gid)),
    mtimeNs: rowValue(entry.row, STAT.mtimeNs),
    size: content.size,
    linkId: linked ? linkIdOf(entry.row) : 0n,
    sparse: content.sparse,
    digest: content.digest,
    linkText: content.linkText,
    xattrs: content.xattrs,
    recipe: content.recipe,
  };
}

/** Whether two versions have the same bytes. */
export function sameContent(head: Version | undefined, version: Version): boolean {
  if (!head || head.type !== version.type || head.size !== version.size) return false;
  if (head.digest === null || version.digest === null) return head.digest === version.digest;
  return head.digest.equals(version.digest);
}

/**
 * Whether writing `version` would add nothing to `head`. `sparse` is left out on purpose: some file systems
 * change the number of blocks of a file without any write.
 */
export function sameVersion(head: Version | undefined, version: Version): boolean {
  return (
    head !== undefined &&
    sameContent(head, version) &&
    head.mode === version.mode &&
    head.uid === version.uid &&
    head.gid === version.gid &&
    head.mtimeNs === version.mtimeNs &&
    head.linkId === version.linkId &&
    head.xattrs.equals(version.xattrs)
  );
}
