/** Values that the formats carry. Layouts are normative in `docs/format.md`. */
import type { BytePath } from '../core/core.js';

/** 32 bytes: the digest of decoded bytes, with the store's algorithm. */
export type Digest = Buffer;

/** A slice of a blob, or (`digest` null) a run of zero bytes. */
export interface Extent {
  readonly digest: Digest | null;
  /** First byte inside the decoded blob; 0 for zeros. */
  readonly offset: number;
  readonly length: number;
}

/** How the bytes of a version are found. */
export type Recipe =
  /** No bytes. */
  | { readonly kind: 'empty' }
  /** One blob whose digest is the version's digest. */
  | { readonly kind: 'whole' }
  /** Few extents, kept in the version record; they add up to the size. */
  | { readonly kind: 'inline'; readonly extents: readonly Extent[] }
  /** One recipe blob per `LIMITS.regionBytes` of content, in order. */
  | { readonly kind: 'regions'; readonly regions: readonly Digest[] };

/** Entry types (the numbers are stored). */
export const VERSION_TYPE = { removed: 0, file: 1, directory: 2, symlink: 3 } as const;
export type VersionType = (typeof VERSION_TYPE)[keyof typeof VERSION_TYPE];

/** One entry of the tree at one checkpoint. A removal is a version too. */
export interface Version {
  readonly path: BytePath;
  /** Checkpoint that wrote it. */
  readonly sequence: number;
  readonly type: VersionType;
  /** Permission bits, 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Content bytes; link text bytes for a symlink; 0 otherwise. */
  readonly size: number;
  /** Equal and non-zero for entries that are hard links of one another. */
  readonly linkId: bigint;
  /** Runs of zeros are to be restored as holes. */
  readonly sparse: boolean;
  /** Digest of the content or link text; null for directories and removals. */
  readonly digest: Digest | null;
  /** Symbolic link's text; empty otherwise. */
  readonly linkText: Buffer;
  /** Encoded attribute list; empty for none. */
  readonly xattrs: Buffer;
  readonly recipe: Recipe;
}

export interface Checkpoint {
  readonly sequence: number;
  readonly timeMs: number;
  /** Merkle root of the whole tree at this checkpoint. */
  readonly root: Digest;
  /** Live entries in the tree (all types). */
  readonly entries: number;
  /** Content bytes of the tree. */
  readonly treeBytes: number;
  /** Versions and removals written by this checkpoint. */
  readonly changed: number;
  readonly removed: number;
  /** Bytes this checkpoint appended to packs. */
  readonly storedBytes: number;
  /** Content bytes of the changed files. */
  readonly changedBytes: number;
  /** The application was stopped while the bytes were taken: all files are of one instant. */
  readonly frozen: boolean;
  /** Milliseconds the application stood still; 0 when not frozen. */
  readonly pauseMs: number;
  /** Free text given by the user; empty for none. */
  readonly tag: string;
}

/** Record kinds in a pack (the numbers are stored). */
export const RECORD = { blob: 1, recipe: 2, versions: 3, checkpoint: 4, prune: 5 } as const;
export type RecordKind = (typeof RECORD)[keyof typeof RECORD];
