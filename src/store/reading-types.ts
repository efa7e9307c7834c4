/** What is read of a history, and what becomes of versions that cannot be read. */
import type { BytePath, DiffKeeperError } from '../core/core.js';
import type { Version } from '../format/format.js';

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
