/** A store that another process owns, for reading: its metadata through the owner's socket, its packs as they lie. */
import { existsSync } from 'node:fs';
import { DiffKeeperError } from '../core/core.js';
import type { StoreKeys } from '../crypt/crypt.js';
import type { Checkpoint } from '../format/format.js';
import { type NewestState, readNewest } from './blob-index.js';
import { findMarker } from './marker-files.js';
import { measureStore } from './measure.js';
import { readMended } from './mended.js';
import { ciphersOf } from './meta-ciphers.js';
import { type AskedOptions, keysOf, type OpenFacts, openTools } from './open-store.js';
import { checkOwnPlaces } from './own-places.js';
import { OwnerConnection } from './owner-connection.js';
import { packFacts } from './pack-facts.js';
import { estimatePrune } from './prune-decision.js';
import { checkPolicy, type PrunePolicy } from './prune-policy.js';
import { lastUnsealed, readPrune } from './prune-state.js';
import { lockedError, storePaths } from './store-files.js';
import { StoreReading } from './store-reading.js';
import { withTwins } from './twin-check.js';
import type {
  CondenseReport,
  PruneOptions,
  PruneReport,
  RebuildReport,
  StatsOptions,
  Store,
  StoreOptions,
  StoreStats,
  Transaction,
  VerifyOptions,
  VerifyReport,
} from './types.js';
import { verifyStore } from './verify.js';
import { ViewPacks } from './view-packs.js';

/**
 * The store as it is now, read through the process that owns it; null when no process shares it. What would write
 * throws DK_STORE_LOCKED. When the owner ends, everything throws DK_STORE_CLOSED from then on.
 *
 * @throws as `openStore` for a marker or a database that cannot be read
 */
export async function openSharedStore(root: string, options: StoreOptions = {}): Promise<Store | null> {
  return openShared(root, options);
}

/** @param known keys of the store, when they need not be asked for again */
async function openShared(root: string, options: AskedOptions, known?: StoreKeys | null): Promise<Store | null> {
  const facts = await sharedFacts(root, options, known);
  const owner = facts && (await connect(facts));
  if (!owner) return null;
  const { marker, paths, checksum, engine, keys } = facts;
  const packs = new ViewPacks(paths.packs, packFacts({ engine, checksum, marker, keys }), owner);
  const store = new SharedStore(facts, owner, packs);
  try {
    await store.start();
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Whether a process keeps the store and watches over a directory with it (a sidecar, a watch), as far as it lets itself
 * be asked. Commands that have the store for a while do not.
 *
 * @param withinMs an owner that does not answer for so long says nothing
 */
export async function isStoreKept(root: string, withinMs: number): Promise<boolean> {
  const paths = storePaths(root);
  if (!existsSync(paths.socket)) return false;
  await checkOwnPlaces(paths.root);
  const found = await findMarker(paths);
  if (!found) return false;
  const { checksum } = openTools({});
  const owner = await OwnerConnection.open(paths.socket, {
    path: paths.root,
    id: found.marker.id,
    checksum,
    ciphers: [],
    silenceMs: withinMs,
  });
  return owner ? owner.takesTags().finally(() => owner.close()) : false;
}

/**
 * Has the newest state named by the process that owns the store: it captures what has changed, and the checkpoint
 * carries the text. Null for a store that this process owns.
 *
 * @param store as `openStoreToRead` gave it; it stays at its moment, before the new checkpoint
 * @throws DK_STORE_LOCKED when the owner takes no tags; DK_STORE_CLOSED; what its capture throws
 */
export async function tagSharedStore(store: Store, text: string): Promise<Checkpoint | null> {
  return store instanceof SharedStore ? store.tag(text) : null;
}

async function sharedFacts(
  root: string,
  options: AskedOptions,
  known: StoreKeys | null | undefined,
): Promise<OpenFacts | null> {
  const paths = storePaths(root);
  if (!existsSync(paths.socket)) return null;
  await checkOwnPlaces(paths.root);
  const tools = openTools(options);
  const marker = (await findMarker(paths, tools))?.marker;
  if (!marker) return null;
  const keys = known === undefined ? await keysOf(paths, marker, options) : known;
  return { paths, marker, keys, ...tools };
}

function connect({ paths, marker, checksum, keys }: OpenFacts): Promise<OwnerConnection | null> {
  const ciphers = keys ? ciphersOf(keys) : [];
  return OwnerConnection.open(paths.socket, { path: paths.root, id: marker.id, checksum, ciphers });
}

class SharedStore extends StoreReading implements Store {
  readonly needsReopen = false;
  readonly #owner: OwnerConnection;
  readonly #packs: ViewPacks;
  #newest: Checkpoint | null = null;
  #state: NewestState | null = null;
  #locked = new DiffKeeperError('DK_STORE_LOCKED', 'another process owns the store');

  constructor(facts: OpenFacts, owner: OwnerConnection, packs: ViewPacks) {
    super(facts, owner, packs);
    this.#owner = owner;
    this.#packs = packs;
  }

  async start(): Promise<void> {
    const { meta, history } = this.reading;
    const state = await readNewest(meta);
    this.#packs.endAt({ state, prune: await readPrune(meta), unsealed: await lastUnsealed(meta) });
    this.known = await readMended(meta);
    this.#state = state;
    this.#newest = state?.sequence ? (await history.stored(state.sequence)).checkpoint : null;
    this.#locked = await lockedError(this.facts.paths, undefined);
  }

  get newest(): Checkpoint | null {
    return this.#newest;
  }

  protected async readable(): Promise<void> {
    this.assertOpen();
    this.#owner.assertAlive();
  }

  /** What was found wrong because the owner has gone is no damage. */
  async #whileOwned<T>(work: () => Promise<T>): Promise<T> {
    await this.readable();
    const result = await work();
    await this.#owner.ping();
    return result;
  }

  async tag(text: string): Promise<Checkpoint> {
    await this.readable();
    const sequence = await this.#owner.tag(text);
    const after = await openShared(this.path, this.facts, this.facts.keys);
    if (!after) return this.#owner.ping().then(() => this.checkpointAt(sequence));
    return after.checkpointAt(sequence).finally(() => after.close());
  }

  stats(options: StatsOptions = {}): Promise<StoreStats> {
    return this.#whileOwned(() => measureStore(this, this.reading, options));
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return this.#whileOwned(async () =>
      withTwins(await verifyStore({ ...this.reading, newest: this.newest }, options), this.facts),
    );
  }

  begin(): Transaction {
    throw this.#onlyReading();
  }

  async reopen(): Promise<void> {
    throw this.#onlyReading();
  }

  async retag(): Promise<Checkpoint> {
    throw this.#onlyReading();
  }

  async prune(policy: PrunePolicy, options: PruneOptions = {}): Promise<PruneReport> {
    if (!options.dryRun) throw this.#onlyReading();
    checkPolicy(policy);
    const { logger } = this.facts;
    return this.#whileOwned(() =>
      estimatePrune({ ...this.reading, logger, state: () => (this.#newest ? this.#state : null) }, policy, options),
    );
  }

  async condense(): Promise<CondenseReport> {
    throw this.#onlyReading();
  }

  async rebuildIndex(): Promise<RebuildReport> {
    throw this.#onlyReading();
  }

  #onlyReading(): DiffKeeperError {
    this.assertOpen();
    const { message, facts } = this.#locked;
    return new DiffKeeperError('DK_STORE_LOCKED', `${message}: it can be read, not written`, facts);
  }

  async quiet(): Promise<void> {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.#owner.close();
    await this.#packs.close();
  }
}
