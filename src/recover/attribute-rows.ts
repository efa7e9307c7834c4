/** Turns versions into the stat rows that the engine places, and compares rows found with versions wanted. */
import { ENTRY, STAT, STAT_COLUMNS } from '../engine/engine.js';
import { VERSION_TYPE, type Version } from '../format/format.js';

/** Bits that grant another identity; meaningless (and dangerous) when the owner is not restored. */
const SET_ID_BITS = 0o6000;

/** Permission bits that the target gets: without `owner` never setuid or setgid. */
export function wantedMode(version: Version, owner: boolean): number {
  return owner ? version.mode & 0o7777 : version.mode & 0o7777 & ~SET_ID_BITS;
}

/**
 * Writes the row of `version` at `index` of `rows`. `blocks` carries the wish for
 * holes: fewer blocks than the size needs make the engine leave zero pages out.
 */
export function fillRow(
  rows: BigInt64Array,
  index: number,
  version: Version,
  options: { readonly owner: boolean; readonly extraMode?: number },
): void {
  const at = index * STAT_COLUMNS;
  rows[at + STAT.type] = BigInt(version.type);
  rows[at + STAT.mode] = BigInt(wantedMode(version, options.owner) | (options.extraMode ?? 0));
  rows[at + STAT.uid] = BigInt(version.uid);
  rows[at + STAT.gid] = BigInt(version.gid);
  rows[at + STAT.size] = BigInt(version.size);
  rows[at + STAT.mtimeNs] = version.mtimeNs;
  rows[at + STAT.nlink] = 1n;
  rows[at + STAT.blocks] = version.sparse ? 0n : BigInt(Math.ceil(version.size / 512));
}

/** The row of one version. */
export function rowOf(version: Version, owner: boolean): BigInt64Array {
  const row = new BigInt64Array(STAT_COLUMNS);
  fillRow(row, 0, version, { owner });
  return row;
}

/** What can be set on this machine, and so what can be compared. */
export interface AttributeRules {
  /** Owner and group are restored. */
  readonly owner: boolean;
  /** Times closer than this count as equal, ns: Node sets no nanoseconds, so the twin is off by a little over one microsecond. */
  readonly mtimeStepNs: bigint;
}

/** Whether an entry found in the target has the type and the attributes of the version. Content is not looked at. */
export function attributesEqual(row: BigInt64Array, version: Version, rules: AttributeRules): boolean {
  const { owner, mtimeStepNs } = rules;
  if (Number(row[STAT.type]) !== version.type) return false;
  const apart = (row[STAT.mtimeNs] ?? 0n) - version.mtimeNs;
  if (apart >= mtimeStepNs || -apart >= mtimeStepNs) return false;
  if (owner && (row[STAT.uid] !== BigInt(version.uid) || row[STAT.gid] !== BigInt(version.gid))) return false;
  if (version.type === VERSION_TYPE.directory) return Number(row[STAT.mode]) === wantedMode(version, owner);
  if (row[STAT.size] !== BigInt(version.size)) return false;
  if (version.type === VERSION_TYPE.symlink) return true;
  // A second name that the checkpoint does not know would be written through later on.
  if (version.linkId === 0n && row[STAT.nlink] !== 1n) return false;
  return Number(row[STAT.mode]) === wantedMode(version, owner);
}

/** Whether the row is that of a directory. */
export function isDirectoryRow(row: BigInt64Array): boolean {
  return Number(row[STAT.type]) === ENTRY.directory;
}
