/** An open store: hands the work to the parts, and keeps what they share in step. */
import { type BytePath, DiffKeeperError } from '../core/core.js';
import type { Checkpoint, Digest, Version } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import { BlobStore } from './blob-store.js';
import { type BringUpParts, bringUp, rebuildAll } from './bring-up.js';
import { OpenExchange } from './exchange.js';
import type { StoreExchange } from './exchange-types.js';
import { Heads } from './heads.js';
import { History } from './history.js';
import { Maintenance } from './maintenance.js';
import { measureStore } from './measure.js';
import type { Meta } from './meta.js';
import type { OpenFacts } from './open-store.js';
import { openTransaction } from './open-transaction.js';
import { Packs } from './packs.js';
import type { PrunePolicy } from './prune-policy.js';
import type { PruneParts } from './prune-run.js';
import { ReadLeases } from './read-leases.js';
import { repairStore } from './repair.js';
import { StoreIdentity } from './store-identity.js';
import type { AdoptedCheckpoint, CommitOutcome, StoreTransaction } from './transaction.js';
import { TreeCache } from './tree-cache.js';
import type {
  BlobInfo,
  PruneOptions,
  PruneReport,
  RebuildOptions,
  RebuildReport,
  StatsOptions,
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
import { WriteGate } from './write-gate.js';

export class OpenedStore extends StoreIdentity implements Store {
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
  /** Resolved unless a large commit or a prune is writing its metadata. */
  #settled: Promise<void> = Promise.resolve();
  readonly #gate = new WriteGate();
  readonly #leases = new ReadLeases();
  readonly #maintenance = new Maintenance();

  constructor(facts: OpenFacts, meta: Meta) {
    super(facts);
    const { engine, checksum, marker } = facts;
    this.#meta = meta;
    this.#packs = new Packs(facts.paths.packs, { engine, checksum, storeId: Buffer.from(marker.id, 'hex') });
    this.#heads = new Heads(meta);
    const shared = { engine, algo: marker.hashAlgo, meta, packs: this.#packs, checksum, leases: this.#leases };
    this.#tree = new TreeCache({ ...shared, heads: this.#heads, cachePath: facts.paths.cache, storeId: marker.id });
    this.#blobs = new BlobStore(shared);
    this.#history = new History(shared);
  }

  get needsReopen(): boolean {
    return this.#doubtful;
  }
  get newest(): Checkpoint | null {
    return this.#newest;
  }
  get #upParts(): BringUpParts {
    const { engine, checksum, logger, marker, paths } = this.facts;
    const { quarantine } = paths;
    const own = { meta: this.#meta, packs: this.#packs, tree: this.#tree, heads: this.#heads };
    return { engine, algo: marker.hashAlgo, checksum, logger, quarantine, ...own };
  }

  async start(rebuild: boolean): Promise<void> {
    await this.#settle(await bringUp(this.#upParts, { rebuild, pruning: false }));
  }

  async #settle(state: NewestState | null): Promise<void> {
    this.#state = state;
    this.#newest = state?.sequence ? (await this.#history.stored(state.sequence)).checkpoint : null;
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new DiffKeeperError('DK_STORE_CLOSED', `the store ${this.path} is closed`, { path: this.path });
    }
  }

  begin(): Transaction {
    return this.#begin();
  }

  #begin(adopted?: AdoptedCheckpoint): StoreTransaction {
    this.#assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'another transaction is open on this store');
    if (this.#doubtful) {
      throw new DiffKeeperError('DK_IO', 'the last metadata write failed: call `reopen` before writing again');
    }
    const transaction = openTransaction(this.facts, this.#allParts, {
      state: this.#state,
      adopted,
      ended: (outcome) => this.#transactionEnded(outcome),
      alone: (work) => this.#runAlone(work),
      ready: () => this.#gate.pass(),
    });
    this.#gate.enter();
    this.#transaction = transaction;
    return transaction;
  }

  #transactionEnded(outcome: CommitOutcome): Promise<void> {
    return this.#takeOutcome(outcome).finally(() => {
      this.#transaction = null;
      this.#gate.leave();
    });
  }

  async #takeOutcome(outcome: CommitOutcome): Promise<void> {
    if (outcome.kind === 'committed') this.#newest = outcome.checkpoint;
    if (outcome.kind === 'committed' || outcome.kind === 'kept') {
      this.#state = outcome.state;
      return;
    }
    this.#tree.clear();
    if (outcome.kind === 'metadataUnknown') return this.#tryReopen();
    await this.#packs.rollBack().catch((error: unknown) => {
      this.facts.logger.warn({ error: String(error) }, 'what a failed commit left is cut off before the next one');
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
      this.facts.logger.error({ error: String(error) }, 'the metadata cannot be opened again');
    });
  }

  async reopen(): Promise<void> {
    this.#assertOpen();
    await this.#meta.reopen();
    this.#forget();
    await this.#settle(await bringUp(this.#upParts, { rebuild: false, pruning: this.#maintenance.pruning }));
    this.#doubtful = false;
  }

  /** What was read before may stand elsewhere now. */
  #forget(): void {
    this.#tree.clear();
    this.#blobs.clearCache();
    this.#history.clearCache();
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
    else if (this.#newest) yield* this.#leases.while(this.#history.entriesAt(at, under));
  }

  async *versions(path: BytePath): AsyncGenerator<VersionSummary> {
    await this.#readable();
    yield* this.#leases.while(this.#history.versions(path));
  }

  async changes(sequence: number): Promise<Version[]> {
    await this.#readable();
    return this.#leases.during(() => this.#history.changes(sequence));
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

  /** For replication. */
  exchange(): StoreExchange {
    this.#assertOpen();
    const hooks = { readable: () => this.#readable(), begin: (given?: AdoptedCheckpoint) => this.#begin(given) };
    return new OpenExchange({ ...this.#allParts, ...hooks, leases: this.#leases, newest: () => this.#newest });
  }

  stats(options: StatsOptions = {}): Promise<StoreStats> {
    const measure = () => this.#readable().then(() => measureStore(this, this.#allParts, options));
    return options.liveness ? this.#maintenance.inTurn(measure) : measure();
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return this.#maintenance.inTurn(() => this.#readable().then(() => verifyStore(this.#allParts, options)));
  }

  /** What looking at the whole store takes. */
  get #allParts() {
    return { ...this.#upParts, blobs: this.#blobs, history: this.#history, newest: this.#newest };
  }

  async rebuildIndex(options: RebuildOptions = {}): Promise<RebuildReport> {
    this.#assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'a transaction is open on this store');
    return this.#maintenance.inTurn(async () => {
      await this.#readable();
      const result = await rebuildAll(this.#upParts);
      this.#forget();
      await this.#settle(result.state);
      return options.check ? repairStore(this.#allParts, result, options) : result;
    });
  }

  prune(policy: PrunePolicy, options: PruneOptions = {}): Promise<PruneReport> {
    const ready = () => this.#readable().then(() => this.#pruneParts);
    return this.#maintenance.prune(ready, policy, options);
  }

  get #pruneParts(): PruneParts {
    return {
      ...this.#allParts,
      state: () => (this.#newest ? this.#state : null),
      alone: (work) =>
        this.#gate.alone(async () => {
          await this.#runAlone(work);
          this.#history.clearCache();
          await this.#settle(this.#state);
        }),
      failed: async () => {
        this.#maintenance.pruneFailed();
        await this.#tryReopen();
      },
      readersOver: (timeoutMs) => this.#leases.over(timeoutMs),
    };
  }

  quiet(): Promise<void> {
    return this.#gate.pass();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#transaction?.abort();
    await this.#maintenance.stop();
    this.#closed = true;
    await this.#tree.save(this.#newest);
    await this.#packs.close();
    await this.#meta.close();
  }
}
