/** What is read of a history, and what becomes of versions that cannot be read. */
import type { BytePath, DiffKeeperError } from '../core/core.js';
import type { Extent, Version } from '../format/format.js';

export interface VersionSummary {
  readonly sequence: number;
  readonly timeMs: number;
  readonly version: Version;
}

/** A version that is known to be there and cannot be read, because the record that tells what it is is damaged. */
export interface UnreadableVersion {
  readonly path: BytePath;
  readonly sequence: number;
  /** DK_CORRUPT_* or DK_IO. */
  readonly error: DiffKeeperError;
}

/** Told of a version in the place of which nothing comes. What it throws ends the reading. */
export type OnUnreadable = (version: UnreadableVersion) => void;

export interface EntriesOptions {
  /** Sequence; default the newest. */
  readonly at?: number;
  /** These paths and what lies below them; default all. */
  readonly under?: readonly BytePath[];
  readonly onUnreadable?: OnUnreadable;
}

/** Random access to one version's bytes; every blob's digest is verified, but by `readLoosely`. */
export interface VersionReader {
  readonly version: Version;
  /** Extents that cover exactly these bytes, in order. */
  extents(offset: number, length: number): Promise<Extent[]>;
  /** The bytes; in `into`, of at least `length`, when given. Throws DK_CORRUPT_* for what is damaged or missing. */
  read(offset: number, length: number, into?: Buffer): Promise<Buffer>;
  /**
   * As `read`, but no digest is compared: compare the file's, `read` again when it differs. Of files from 128 MiB on most is
   * read past the page cache, where it is not in there already.
   */
  readLoosely(offset: number, length: number, into: Buffer): Promise<Buffer>;
  /** Whether it is up to 64 MiB of small pieces that `readLoosely` takes as they stand: short reads cost no more per byte. */
  isScattered(): Promise<boolean>;
  /** Asks the system to fetch what a coming `read` of these bytes will need; a failure is none. */
  prefetch(offset: number, length: number): Promise<void>;
  /** As `read`, for several ranges (offset, length pairs), concatenated; decodes each blob once. */
  readRanges(ranges: Float64Array): Promise<Buffer>;
}
