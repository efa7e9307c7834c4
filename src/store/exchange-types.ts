/**
 * What the room `replicate` sees of a store: records as they are stored, and taking them from elsewhere. Records of an
 * encrypted store come and go in their plain form: whoever carries them has to keep them secret.
 */
import type { BytePath } from '../core/core.js';
import type { Checkpoint, Digest, Version } from '../format/format.js';

/** A checkpoint of the history, and how much its versions are. */
export interface HistoryItem {
  readonly checkpoint: Checkpoint;
  /** Bytes of its records of versions, one after the other. */
  readonly versionsBytes: number;
}

/** A blob as it is stored. */
export interface BlobDescription {
  readonly digest: Digest;
  readonly kind: 'blob' | 'recipe';
  readonly depth: number;
  readonly recordBytes: number;
  /** Blobs that it is coded against, each once. */
  readonly contexts: readonly Digest[];
}

/** What versions name and this store does not have; each digest once. */
export interface MissingBlobs {
  readonly recipes: readonly Digest[];
  readonly blobs: readonly Digest[];
}

/** A checkpoint of another store in the making. Nothing is written before `commit`. */
export interface CheckpointDraft {
  /** @throws DK_UNSAFE_PATH, DK_LIMIT, DK_CORRUPT_RECORD for versions that no store would have */
  put(versions: readonly Version[]): void;
  remove(path: BytePath): void;
  /**
   * Commits it under its own sequence, time, tag and root. False: a prune has run since `mark`, so that blobs may be gone
   * that were there; nothing was written.
   *
   * @param mark what `pruneMark` was before the blobs were looked for
   * @throws DK_DIGEST_MISMATCH when the tree has another root
   */
  commit(mark: number): Promise<boolean>;
}

/** Records of versions kept from one run to the next; see `StoreExchange.spool`. */
export interface VersionSpool {
  /** What is there, whole and checked. To be read to its end before anything is appended. */
  read(): AsyncIterable<Buffer>;
  append(record: Buffer): Promise<void>;
  close(): Promise<void>;
  /** Its checkpoint is committed, or what it holds is no good. */
  remove(): Promise<void>;
}

export interface StoreExchange {
  /** Records are sealed on this disk; here they pass in their plain form. */
  readonly encrypted: boolean;
  /** Changes with each prune: places and history that were told before are void. */
  pruneMark(): Promise<number>;
  /** Checkpoints newer than a sequence, oldest first. */
  history(after: number): AsyncIterable<HistoryItem>;
  /**
   * A piece of a checkpoint's records of versions, as they stand in the packs, at most `bytes` long.
   *
   * @throws DK_NOT_FOUND when there is no such checkpoint
   */
  readVersions(sequence: number, offset: number, bytes: number): Promise<Buffer>;
  /** The versions in one whole record. @throws DK_CORRUPT_RECORD */
  parseVersions(record: Buffer): Promise<{ readonly sequence: number; readonly versions: readonly Version[] }>;
  /**
   * A place for the versions of a checkpoint that is being taken over; only one is kept.
   *
   * @param mark prune mark of the store that they come from
   */
  spool(checkpoint: Checkpoint, mark: number): Promise<VersionSpool>;
  /** Undefined for what is not stored. @throws DK_CORRUPT_* for a damaged one */
  describe(digests: readonly Digest[]): Promise<(BlobDescription | undefined)[]>;
  /**
   * Whole records, in order, their checksums checked.
   *
   * @throws DK_LIMIT before anything is read when they are more than `bytesMax` (default: no limit); DK_CORRUPT_* for a
   * damaged or missing one
   */
  records(digests: readonly Digest[], bytesMax?: number): Promise<Buffer[]>;
  has(digests: readonly Digest[]): Promise<boolean[]>;
  /**
   * What these versions need and is not here, or the first tens of thousands of it. Recipes that are here are looked into; those that need nothing more are
   * added to `complete` and left alone when they are in it.
   *
   * @throws DK_CORRUPT_RECIPE for a recipe that does not fit its file or leaves its blobs
   */
  missing(versions: readonly Version[], complete: Set<string>): Promise<MissingBlobs>;
  /**
   * Takes records of blobs from elsewhere: checked, decoded, and durable when it resolves.
   *
   * @throws DK_CORRUPT_RECORD, DK_CORRUPT_RECIPE, DK_DIGEST_MISMATCH; nothing of them is kept then
   */
  keepBlobs(records: readonly Buffer[]): Promise<void>;
  /** Begins to take a checkpoint over. @throws DK_ARGUMENT unless it is newer than the newest one here */
  draft(checkpoint: Checkpoint): CheckpointDraft;
}
