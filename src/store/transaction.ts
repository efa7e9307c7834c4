/**
 * One checkpoint in the making. Order of a commit: blobs, versions and the
 * checkpoint record go to the pack; fdatasync; then the metadata, the newest
 * state last; only then is it acknowledged.
 *
 * After the fdatasync the checkpoint is complete and will be rolled forward
 * whatever happens, so that the metadata may follow in several batches when it
 * is large. Readers of this process wait until all of them are written.
 */
import { type BytePath, DiffKeeperError, LIMITS } from '../core/core.js';
import {
  type Checkpoint,
  type Digest,
  type Extent,
  type Recipe,
  removedVersion,
  VERSION_TYPE,
  type Version,
} from '../format/format.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { appendCheckpoint, type CommitParts, type CommitPlan } from './commit-plan.js';
import { CHANGES_PER_BATCH, type Meta } from './meta.js';
import { NEWEST_KEY } from './meta-keys.js';
import { checkPutPath, checkPutVersion } from './put-check.js';
import { writeRecipe } from './recipe-writer.js';
import { checkRecords } from './record-check.js';
import { StagedVersions } from './staged-versions.js';
import type { BlobInput, CommitFacts, Transaction } from './types.js';

/** A checkpoint that another store made. */
export interface AdoptedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly versions: StagedVersions;
}

export interface TransactionParts extends CommitParts {
  readonly meta: Meta;
  readonly blobs: BlobStore;
  /** Told exactly once how it ended; `metadataUnknown` when the metadata batch itself failed. */
  readonly ended: (outcome: CommitOutcome) => Promise<void>;
  /** Resolves when nobody else writes (the last step of a prune). Throws DK_IO when that left the metadata unknown. */
  readonly ready: () => Promise<void>;
  /** Runs while nobody reads the metadata. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** Where the log ends; null for an empty store. */
  readonly state: NewestState | null;
  /** What is to be committed; by default whatever is put. */
  readonly adopted: AdoptedCheckpoint | undefined;
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly checkpoint: Checkpoint; readonly state: NewestState }
  /** Blobs are durable and named; there is no new checkpoint. */
  | { readonly kind: 'kept'; readonly state: NewestState }
  | { readonly kind: 'aborted' }
  /** `alone`: it was written while nobody read the metadata, and still nobody does. */
  | { readonly kind: 'metadataUnknown'; readonly alone: boolean };

export class StoreTransaction implements Transaction {
  readonly #parts: TransactionParts;
  readonly #versions: StagedVersions;
  #open = true;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
    this.#versions = parts.adopted?.versions ?? new StagedVersions((parts.newest?.sequence ?? 0) + 1);
  }

  get changes(): number {
    return this.#versions.size;
  }

  #assertOpen(): void {
    if (!this.#open) throw new DiffKeeperError('DK_ARGUMENT', 'this transaction has ended');
  }

  async storeBlobs(inputs: readonly BlobInput[]): Promise<Digest[]> {
    this.#assertOpen();
    await this.#parts.ready();
    return this.#parts.writer.store(inputs);
  }

  /**
   * Appends records of blobs as another store has them. Each is checked and decoded first.
   *
   * @throws DK_CORRUPT_RECORD, DK_CORRUPT_RECIPE, DK_DIGEST_MISMATCH: nothing of them is appended
   */
  async storeRecords(records: readonly Buffer[]): Promise<void> {
    this.#assertOpen();
    await this.#parts.ready();
    for (const { bytes, head } of await checkRecords(this.#parts, records)) await this.#parts.writer.adopt(bytes, head);
  }

  async hasBlobs(digests: readonly Digest[]): Promise<boolean[]> {
    await this.#parts.ready();
    return this.#parts.writer.has(digests);
  }

  async storeRecipe(options: {
    readonly extents: readonly Extent[];
    readonly size: number;
    readonly digest: Digest;
    readonly source?: Version;
  }): Promise<Recipe> {
    this.#assertOpen();
    await this.#parts.ready();
    return writeRecipe(this.#parts.writer, this.#parts.blobs, options);
  }

  put(version: Version): boolean {
    this.#assertOpen();
    checkPutVersion(version);
    this.#versions.put(version);
    return true;
  }

  remove(path: BytePath): boolean {
    this.#assertOpen();
    checkPutPath(path, VERSION_TYPE.removed);
    this.#versions.put(removedVersion(path, 0));
    return true;
  }

  async commit(facts: CommitFacts = {}): Promise<Checkpoint | null> {
    this.#assertOpen();
    const { tag = '', frozen = false, pauseMs = 0 } = facts;
    if (Buffer.byteLength(tag) > LIMITS.tagBytes)
      throw new RangeError(`tag must have at most ${LIMITS.tagBytes} bytes`);
    if (this.#versions.size === 0 && facts.force !== true && tag === '') {
      await this.abort();
      return null;
    }
    this.#open = false;
    const { packs } = this.#parts;
    let plan: CommitPlan;
    try {
      await this.#parts.ready();
      const storedBytes = this.#parts.adopted?.checkpoint.storedBytes;
      const given = storedBytes === undefined ? {} : { storedBytes };
      plan = await appendCheckpoint(this.#parts, this.#versions, { frozen, pauseMs, tag, ...given });
      this.#checkRoot(plan.checkpoint);
      await packs.sync();
    } catch (error) {
      await this.#parts.ended({ kind: 'aborted' });
      throw error;
    }
    if (plan.changeCount <= CHANGES_PER_BATCH) await this.#name(plan, false);
    else await this.#parts.alone(() => this.#name(plan, true));
    return plan.checkpoint;
  }

  /**
   * Ends without a checkpoint, but the blobs stay: durable, named, and not cut off at the next opening. A prune may drop
   * them, as nothing uses them yet.
   */
  async keepBlobs(): Promise<void> {
    this.#assertOpen();
    this.#open = false;
    const { packs, writer, meta, ended, state: before } = this.#parts;
    // All of them were here.
    if (!packs.appended) return ended({ kind: 'aborted' });
    let state: NewestState;
    try {
      await this.#parts.ready();
      await packs.sync();
      state = { ...(before ?? { sequence: 0, checkpointDigest: Buffer.alloc(32) }), ...packs.position };
    } catch (error) {
      await ended({ kind: 'aborted' });
      throw error;
    }
    try {
      await meta.writeInBatches([...writer.changes(), { key: NEWEST_KEY, value: encodeNewest(state) }]);
    } catch (error) {
      await ended({ kind: 'metadataUnknown', alone: false });
      throw error;
    }
    packs.markCommitted();
    await ended({ kind: 'kept', state });
  }

  async #name(plan: CommitPlan, alone: boolean): Promise<void> {
    const { meta, packs, ended } = this.#parts;
    try {
      await meta.writeInBatches(plan.changes());
    } catch (error) {
      await ended({ kind: 'metadataUnknown', alone });
      throw error;
    }
    packs.markCommitted();
    await ended({ kind: 'committed', checkpoint: plan.checkpoint, state: plan.state });
  }

  /** The tree that the versions make must be the one that the other store had. */
  #checkRoot({ root, sequence }: Checkpoint): void {
    const expected = this.#parts.adopted?.checkpoint.root;
    if (!expected || root.equals(expected)) return;
    throw new DiffKeeperError(
      'DK_DIGEST_MISMATCH',
      `checkpoint ${sequence} makes another tree here than at its source`,
      {
        expected: expected.toString('hex'),
        actual: root.toString('hex'),
      },
    );
  }

  async abort(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#parts.ended({ kind: 'aborted' });
  }
}
