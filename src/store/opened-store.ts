/** An open store: hands the work to the parts, and keeps what they share in step. */
import { type BytePath, DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { Checkpoint, Digest, Version } from '../format/format.js';
import { decodeNewest, type NewestState } from './blob-index.js';
import { BlobStore } from './blob-store.js';
import { BlobWriter } from './blob-writer.js';
import { Heads } from './heads.js';
import { History } from './history.js';
import { isIndexWhole } from './index-check.js';
import { measureStore } from './measure.js';
import type { Meta } from './meta.js';
import { NEWEST_KEY } from './meta-keys.js';
import type { OpenFacts } from './open-store.js';
import { Packs } from './packs.js';
import { rebuildMetadata } from './rebuild.js';
import { recoverTail, type TailParts } from './tail.js';
import { type CommitOutcome, StoreTransaction } from './transaction.js';
import { TreeCache } from './tree-cache.js';
import type {
  BlobInfo,
  DamageReport,
  Store,
  StoreStats,
  Transaction,
  VerifyOptions,
  VerifyReport,
  VersionReader,
  VersionSummary,
} from './types.js';
import { verifyStore } from './verify.js';
import { RecipeReader } from './version-reader.js';

export class OpenedStore implements Store {
  readonly #facts: OpenFacts;
  readonly #meta: Meta;
  readonly #packs: Packs;
  readonly #heads: Heads;
  readonly #tree: TreeCache;
  readonly #blobs: BlobStore;
  readonly #history: History;
  #newest: Checkpoint | null = null;
  #state: NewestState | null = null;
  #transaction: StoreTransaction | null = null;
  /** The metadata batch failed: what LevelDB kept is unknown until it is opened again. */
  #doubtful = false;
  #closed = false;
  /** Resolved unless a large commit is writing its metadata. */
  #settled: Promise<void> = Promise.resolve();

  constructor(facts: OpenFacts, meta: Meta) {
    const { engine, checksum, marker } = facts;
    this.#facts = facts;
    this.#meta = meta;
    this.#packs = new Packs(facts.paths.packs, Buffer.from(marker.id, 'hex'), checksum);
    this.#heads = new Heads(meta);
    const shared = { engine, algo: marker.hashAlgo, meta, packs: this.#packs, checksum };
    this.#tree = new TreeCache({ ...shared, heads: this.#heads, cachePath: facts.paths.cache, storeId: marker.id });
    this.#blobs = new BlobStore(shared);
    this.#history = new History(shared);
  }

  get path(): string {
    return this.#facts.paths.root;
  }
  get id(): string {
    return this.#facts.marker.id;
  }
  get hashAlgo(): HashAlgo {
    return this.#facts.marker.hashAlgo;
  }
  get engine(): Engine {
    return this.#facts.engine;
  }
  get snapshotInterval(): number {
    return this.#facts.snapshotInterval;
  }
  get seed(): Buffer {
    return Buffer.from(this.#facts.marker.seed, 'hex');
  }
  get needsReopen(): boolean {
    return this.#doubtful;
  }
  get newest(): Checkpoint | null {
    return this.#newest;
  }
  get cachePath(): string {
    return this.#facts.paths.cache;
  }
  get quarantinePath(): string {
    return this.#facts.paths.quarantine;
  }

  get #tailParts(): TailParts {
    const { engine, checksum, logger, marker, paths } = this.#facts;
    const { quarantine } = paths;
    const own = { meta: this.#meta, packs: this.#packs, tree: this.#tree };
    return { engine, algo: marker.hashAlgo, checksum, logger, quarantine, ...own };
  }

  /** Second half of opening. */
  async start(rebuild: boolean): Promise<void> {
    const state = rebuild ? null : await this.#readNewest();
    const packs = await this.#packs.list();
    const whole = state !== null && (await isIndexWhole(this.#meta, state));
    if (!whole && packs.length > 0) {
      if (state) this.#facts.logger.warn({}, 'the metadata lost a commit: rebuilding it');
      await this.rebuildIndex();
      return;
    }
    await this.#settle(await recoverTail(this.#tailParts, state));
  }

  async #readNewest(): Promise<NewestState | null> {
    try {
      const value = await this.#meta.get(NEWEST_KEY);
      return value ? decodeNewest(value) : null;
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
      this.#facts.logger.warn({ reason: error.message }, 'the newest state is damaged: rebuilding the metadata');
      return null;
    }
  }

  async #settle(state: NewestState | null): Promise<void> {
    this.#state = state;
    this.#newest = state ? (await this.#history.stored(state.sequence)).checkpoint : null;
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new DiffKeeperError('DK_STORE_CLOSED', `the store ${this.path} is closed`, { path: this.path });
    }
  }

  begin(): Transaction {
    this.#assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'another transaction is open on this store');
    if (this.#doubtful) {
      throw new DiffKeeperError('DK_IO', 'the last metadata write failed: call `reopen` before writing again');
    }
    const { engine, checksum, marker, clock, level, snapshotInterval } = this.#facts;
    const algo = marker.hashAlgo;
    const shared = { engine, algo, checksum, meta: this.#meta, packs: this.#packs, blobs: this.#blobs };
    const transaction = new StoreTransaction({
      ...shared,
      heads: this.#heads,
      tree: this.#tree,
      writer: new BlobWriter({ ...shared, level, depthMax: snapshotInterval }),
      nowMs: clock.nowMs(),
      newest: this.#newest,
      newestDigest: this.#state?.checkpointDigest ?? Buffer.alloc(32),
      ended: (outcome) => this.#transactionEnded(outcome),
      alone: (work) => this.#runAlone(work),
    });
    this.#transaction = transaction;
    return transaction;
  }

  async #transactionEnded(outcome: CommitOutcome): Promise<void> {
    this.#transaction = null;
    if (outcome.kind === 'committed') {
      this.#newest = outcome.checkpoint;
      this.#state = outcome.state;
      return;
    }
    this.#tree.clear();
    if (outcome.kind === 'metadataUnknown') {
      await this.#tryReopen();
      return;
    }
    await this.#packs.rollBack().catch((error: unknown) => {
      this.#facts.logger.warn({ error: String(error) }, 'what a failed commit left is cut off before the next one');
    });
  }

  /** Readers wait: metadata that takes several batches must not be seen half written. */
  async #runAlone(work: () => Promise<void>): Promise<void> {
    const done = work();
    this.#settled = done.catch(() => {});
    await done;
  }

  /** Before every look at the metadata. */
  async #readable(): Promise<void> {
    this.#assertOpen();
    await this.#settled;
    this.#assertOpen();
  }

  async #tryReopen(): Promise<void> {
    this.#doubtful = true;
    await this.reopen().catch((error: unknown) => {
      this.#facts.logger.error({ error: String(error) }, 'the metadata cannot be opened again');
    });
  }

  async reopen(): Promise<void> {
    this.#assertOpen();
    await this.#meta.reopen();
    this.#tree.clear();
    await this.#settle(await recoverTail(this.#tailParts, await this.#readNewest()));
    this.#doubtful = false;
  }

  async heads(paths: readonly BytePath[]): Promise<(Version | undefined)[]> {
    await this.#readable();
    return this.#heads.get(paths);
  }

  async *entries(
    options: { readonly at?: number; readonly under?: readonly BytePath[] } = {},
  ): AsyncGenerator<Version[]> {
    await this.#readable();
    const under = options.under ?? [''];
    const at = options.at ?? this.#newest?.sequence ?? 0;
    if (at === this.#newest?.sequence) for (const path of under) yield* this.#heads.under(path);
    else if (this.#newest) yield* this.#history.entriesAt(at, under);
  }

  async *versions(path: BytePath): AsyncGenerator<VersionSummary> {
    await this.#readable();
    yield* this.#history.versions(path);
  }

  async changes(sequence: number): Promise<Version[]> {
    await this.#readable();
    return this.#history.changes(sequence);
  }

  async *checkpoints(options: { readonly limit?: number } = {}): AsyncGenerator<Checkpoint> {
    await this.#readable();
    yield* this.#history.checkpoints(options.limit ?? -1);
  }

  async checkpointAt(at: number | Date): Promise<Checkpoint> {
    await this.#readable();
    return this.#history.checkpointAt(at);
  }

  async blobInfos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    this.#assertOpen();
    return this.#blobs.infos(digests);
  }

  async readBlobs(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    this.#assertOpen();
    return this.#blobs.read(digests);
  }

  reader(version: Version): VersionReader {
    this.#assertOpen();
    return new RecipeReader(this.#blobs, version);
  }

  async stats(): Promise<StoreStats> {
    await this.#readable();
    return measureStore(this, { meta: this.#meta, packs: this.#packs, history: this.#history });
  }

  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    await this.#readable();
    const newest = this.#newest;
    return verifyStore({ ...this.#tailParts, blobs: this.#blobs, heads: this.#heads, newest }, options);
  }

  async rebuildIndex(): Promise<{
    readonly checkpoints: number;
    readonly records: number;
    readonly damage: readonly DamageReport[];
  }> {
    this.#assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'a transaction is open on this store');
    const promised = await this.#readNewest();
    const result = await rebuildMetadata(this.#tailParts, this.#heads, promised);
    this.#blobs.clearCache();
    this.#history.clearCache();
    await this.#settle(await recoverTail(this.#tailParts, result.state, { promised }));
    return result;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#transaction?.abort();
    this.#closed = true;
    await this.#tree.save(this.#newest);
    await this.#packs.close();
    await this.#meta.close();
  }
}
