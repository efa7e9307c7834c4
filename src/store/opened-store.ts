/** An open store: hands the work to the parts, and keeps what they share in step. */
import { DiffKeeperError } from '../core/core.js';
import type { Checkpoint } from '../format/format.js';
import { AloneChain } from './alone-chain.js';
import { type NewestState, readNewest } from './blob-index.js';
import { type BringUpHow, type BringUpParts, bringUp, repairAll, repairDoubted } from './bring-up.js';
import { type CodingAids, codingAids } from './coding-aids.js';
import type { CondenseParts } from './condense.js';
import { OpenExchange } from './exchange.js';
import type { StoreExchange } from './exchange-types.js';
import { type Isolated, orIsolate } from './isolate.js';
import { Maintenance } from './maintenance.js';
import { measureStore } from './measure.js';
import { readMended } from './mended.js';
import type { Meta } from './meta.js';
import { openAgain } from './meta-before.js';
import { MetaDoubt } from './meta-doubt.js';
import type { OpenFacts } from './open-store.js';
import { openTransaction } from './open-transaction.js';
import { type OwnerView, OwnerViews } from './owner-views.js';
import { packFacts } from './pack-facts.js';
import { Packs } from './packs.js';
import type { PrunePolicy } from './prune-policy.js';
import { tellLosses } from './repair.js';
import type {
  CondenseOptions,
  CondenseReport,
  PruneOptions,
  PruneReport,
  RebuildOptions,
  RebuildReport,
  VerifyOptions,
  VerifyReport,
} from './report-types.js';
import { StoreReading } from './store-reading.js';
import type { AdoptedCheckpoint, CommitOutcome, StoreTransaction } from './transaction.js';
import { TreeCache } from './tree-cache.js';
import { mendTwins, withTwins } from './twin-check.js';
import type { StatsOptions, Store, StoreStats, Transaction } from './types.js';
import { verifyStore } from './verify.js';
import { WriteGate } from './write-gate.js';

export class OpenedStore extends StoreReading implements Store {
  readonly #meta: Meta;
  readonly #packs: Packs;
  readonly #tree: TreeCache;
  readonly #aids: CodingAids;
  #newest: Checkpoint | null = null;
  #state: NewestState | null = null;
  #transaction: StoreTransaction | null = null;
  readonly #doubt = new MetaDoubt();
  /** How often the metadata was opened again, or made anew. */
  #openings = 0;
  /** Large commits, and the last steps of prunes and the like; cutting packs back; opening the metadata again. */
  readonly #alone = new AloneChain();
  readonly #gate = new WriteGate();
  readonly #maintenance = new Maintenance();
  readonly #views = new OwnerViews();
  readonly #isolated: Isolated[] = [];

  constructor(facts: OpenFacts, meta: Meta) {
    const packs = new Packs(facts.paths.packs, packFacts(facts));
    super(facts, meta, packs);
    this.#meta = meta;
    this.#packs = packs;
    this.#tree = new TreeCache({ ...this.reading, ...this.cacheFacts });
    this.#aids = codingAids({ ...this.reading, ...this.cacheFacts });
  }

  get needsReopen(): boolean {
    return this.#doubt.present;
  }
  get newest(): Checkpoint | null {
    return this.#newest;
  }
  get #upParts(): BringUpParts {
    const { logger, paths } = this.facts;
    const { quarantine, metaBefore } = paths;
    return { ...this.reading, logger, quarantine, metaBefore, guard: this.guard, meta: this.#meta, tree: this.#tree };
  }

  /** @param repair `orIsolate` may be used; what it did is told by the next rebuild that checks */
  async start(how: Pick<BringUpHow, 'rebuild' | 'anew'>, repair: boolean): Promise<void> {
    const work = () => bringUp(this.#upParts, { ...how, pruning: false });
    await this.#settle(await (repair ? orIsolate(work, this.#upParts, this.#isolated) : work()));
  }

  async #settle(state: NewestState | null): Promise<void> {
    this.#state = state;
    this.known = await readMended(this.#meta);
    this.#newest = state?.sequence ? (await this.reading.history.stored(state.sequence)).checkpoint : null;
  }

  begin(): Transaction {
    return this.#begin();
  }

  #begin(adopted?: AdoptedCheckpoint): StoreTransaction {
    this.assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'another transaction is open on this store');
    this.#doubt.assertNone();
    const transaction = openTransaction(
      this.facts,
      { ...this.#allParts, ...this.#aids },
      {
        state: this.#state,
        adopted,
        forgetLost: this.known.lost,
        ended: (outcome) => this.#transactionEnded(outcome),
        alone: (work) => this.#alone.run(work),
        ready: () => this.#gate.pass().then(() => this.#doubt.assertNone()),
      },
    );
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
    if (outcome.kind === 'metadataUnknown')
      return outcome.alone ? this.#tryReopen() : this.#alone.run(() => this.#tryReopen());
    // Nobody else may be at the packs, and what the metadata names must be known: otherwise opening it again cuts them.
    await this.#alone
      .run(async () => {
        if (!this.#doubt.present) await this.#packs.rollBack();
      })
      .catch((error: unknown) => {
        this.facts.logger.warn({ error: String(error) }, 'what a failed commit left is cut off before the next one');
      });
  }

  protected async readable(): Promise<void> {
    this.assertOpen();
    await this.#alone.settled();
    this.assertOpen();
    this.#doubt.assertReadable();
  }

  /** Within `#alone`. */
  async #tryReopen(): Promise<void> {
    await this.#reopen().catch((error: unknown) => {
      this.facts.logger.error({ error: String(error) }, 'the metadata cannot be opened again');
    });
  }

  reopen(): Promise<void> {
    return this.#alone.run(() => this.#reopen());
  }

  async #reopen(): Promise<void> {
    this.assertOpen();
    const work = async (): Promise<void> => {
      await openAgain(this.#upParts);
      this.#forget();
      await this.#settle(await bringUp(this.#upParts, { rebuild: false, pruning: this.#maintenance.pruning }));
    };
    // When it ends early it is to be done again.
    await this.#views.without(work).finally(() => {
      this.#doubt.present = true;
    });
    this.#doubt.clear();
  }

  /** What was read before may stand elsewhere now. */
  #forget(): void {
    this.#openings += 1;
    this.#tree.clear();
    this.reading.blobs.clearCache();
    this.reading.history.clearCache();
  }

  /** For replication. */
  exchange(): StoreExchange {
    this.assertOpen();
    const hooks = { readable: () => this.readable(), begin: (given?: AdoptedCheckpoint) => this.#begin(given) };
    const { incoming } = this.facts.paths;
    return new OpenExchange({ ...this.#allParts, ...hooks, incoming, newest: () => this.#newest });
  }
  stats(options: StatsOptions = {}): Promise<StoreStats> {
    const measure = () => this.readable().then(() => measureStore(this, this.#allParts, options));
    return options.liveness ? this.#maintenance.inTurn(measure) : measure();
  }
  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return this.#maintenance.inTurn(() =>
      this.readable().then(async () => withTwins(await verifyStore(this.#allParts, options), this.facts)),
    );
  }

  /** What looking at the whole store takes. */
  get #allParts() {
    return { ...this.reading, ...this.#upParts, newest: this.#newest };
  }

  async rebuildIndex(options: RebuildOptions = {}): Promise<RebuildReport> {
    this.assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'a transaction is open on this store');
    const rebuild = async (): Promise<RebuildReport> => {
      await this.#alone.settled();
      this.assertOpen();
      const make = this.#doubt.present ? repairDoubted : repairAll;
      if (this.#doubt.present) await openAgain(this.#upParts).then(() => this.#forget());
      // Should it end early, half of the metadata is no ground to go on from.
      this.#doubt.present = true;
      const work = () => make(this.#upParts);
      const result = await (options.check ? orIsolate(work, this.#upParts, this.#isolated) : work());
      this.#forget();
      await this.#settle(result.state);
      if (options.check) await mendTwins(this.facts).finally(() => this.#doubt.clear());
      const report = await tellLosses(this.#allParts, result, { ...options, isolated: this.#isolated.splice(0) });
      this.known = await readMended(this.#meta);
      this.#doubt.clear();
      return report;
    };
    return this.#maintenance.inTurn(() => this.#views.without(rebuild));
  }

  prune(policy: PrunePolicy, options: PruneOptions = {}): Promise<PruneReport> {
    return this.#maintenance.prune(() => this.#readyParts(), policy, options);
  }
  condense(options: CondenseOptions = {}): Promise<CondenseReport> {
    return this.#maintenance.condense(() => this.#readyParts(), options);
  }

  retag(sequence: number, tag: string): Promise<Checkpoint> {
    return this.#maintenance.retag(() => this.#readyParts(), sequence, tag);
  }

  async #readyParts(): Promise<CondenseParts> {
    await this.readable();
    this.#doubt.assertNone();
    return {
      ...this.#allParts,
      ...this.cacheFacts,
      state: () => (this.#newest ? this.#state : null),
      alone: (work) =>
        this.#gate.alone(() =>
          this.#alone.run(async () => {
            // A commit may have failed since the work began.
            this.#doubt.assertNone();
            await work();
            this.reading.history.clearCache();
            await this.#settle(await readNewest(this.#meta));
          }),
        ),
      failed: async ({ misplaced } = { misplaced: false }) => {
        this.#maintenance.pruneFailed();
        this.#doubt.misplaced = misplaced;
        await this.#tryReopen();
      },
      openings: () => this.#openings,
      readersOver: (timeoutMs, signal) => this.reading.leases.over(timeoutMs, signal),
    };
  }

  /** The store as it is now, for a reader in another process; `stopped` is called when it cannot go on. */
  async view(stopped: () => void): Promise<OwnerView> {
    do {
      await this.#views.ready();
      await this.readable();
    } while (this.#views.replacing);
    return this.#views.add(this.#meta.view(), this.reading.leases.take(), stopped);
  }

  /** See `OwnerViews.attach`. */
  attach(close: () => Promise<void>): Promise<void> {
    this.assertOpen();
    return this.#views.attach(close);
  }

  quiet(): Promise<void> {
    return this.#gate.pass();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    await this.#views.close();
    await this.#transaction?.abort();
    await this.#maintenance.stop();
    await this.#alone.settled();
    this.closed = true;
    await this.#alone.settled();
    await Promise.all([this.#tree.save(this.#newest), this.#aids.similar.save()]);
    this.reading.blobs.clearCache();
    await this.#packs.close();
    await this.#meta.close();
  }
}
