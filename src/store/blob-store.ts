/**
 * Reads blobs back: index, pack, checksum, context, decode, digest. Nothing
 * unverified leaves this file but through `readLoosely`, and nothing of that is kept here.
 */
import { DiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo, SliceVerify } from '../engine/engine.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import { BlobCache } from './blob-cache.js';
import { BlobChains } from './blob-chains.js';
import { BlobFetch, NEAR_MAX } from './blob-fetch.js';
import type { IndexedBlob } from './blob-index.js';
import { BlobPlan, checkContext, type Demand, placed } from './blob-plan.js';
import { BufferPool } from './buffer-pool.js';
import { type Base, chooseBases } from './chain-base.js';
import { ContextReader } from './context-reader.js';
import type { ExtentTable } from './extent-table.js';
import type { MetaReader } from './meta-reader.js';
import type { Packs } from './packs.js';
import type { PlanNode } from './plan-node.js';
import type { Stage } from './plan-stages.js';
import { RawSlices, type Stretch } from './raw-slices.js';
import type { ReadLeases } from './read-leases.js';
import { SliceCall } from './slice-call.js';

/** Bytes that one plan may hold; a request that needs more is cut in halves. */
const PLAN_BYTES = 64 << 20;
/** Of longer requests nothing is cached: they read much, once. */
const CACHED_REQUEST_MAX = 16;
/** The same for requests of several blobs with more bytes: to keep each is to copy it. */
const CACHED_REQUEST_BYTES_MAX = 1 << 20;
/** A single blob may not need more than this, whatever the store says. */
const PLAN_BYTES_MAX = 512 << 20;

export class BlobStore {
  /** What captures code new bytes against. */
  readonly contexts: ContextReader;
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #fetch: BlobFetch;
  readonly #chains: BlobChains;
  readonly #cache = new BlobCache();
  readonly #pool: BufferPool;
  readonly #leases: ReadLeases;
  readonly #raw: RawSlices;

  constructor(parts: {
    engine: Engine;
    algo: HashAlgo;
    meta: MetaReader;
    packs: Packs;
    leases: ReadLeases;
  }) {
    this.#leases = parts.leases;
    this.#engine = parts.engine;
    this.#algo = parts.algo;
    // Of memory that suits reads past the page cache.
    this.#pool = new BufferPool((bytes) => parts.engine.alignedBuffer(bytes));
    this.#fetch = new BlobFetch(parts);
    this.#chains = new BlobChains(this.#fetch, parts);
    this.#raw = new RawSlices(parts.packs, this.#fetch);
    this.contexts = new ContextReader({
      infos: (digests) => this.infos(digests),
      read: (digests) => this.read(digests),
      readDemands: (demands, target) => this.#readDemands(demands, target),
    });
  }

  async infos(digests: readonly Digest[]): Promise<(IndexedBlob | undefined)[]> {
    return this.#fetch.infos(digests);
  }

  /** Asks the system to read what these bytes are made of ahead. @param direct they will be read past the page cache */
  async prefetch(stretch: Stretch, direct: boolean): Promise<void> {
    await this.#leases.during(async () => this.#fetch.prefetch(await this.#raw.prefetch(stretch), direct));
  }

  /** Whether `readLoosely` takes most of these extents straight out of the packs. */
  isLoose(table: ExtentTable): Promise<boolean> {
    return this.#leases.during(() => this.#raw.isLoose(table));
  }

  /** See `chooseBases`. */
  bases(heads: readonly Digest[], depthMax: number): Promise<(Base | null)[]> {
    const read = (digests: readonly Digest[]) => this.read(digests);
    return this.#leases.during(() => chooseBases({ fetch: this.#fetch, read }, heads, depthMax));
  }

  clearCache(): void {
    this.#cache.clear();
    this.contexts.clear();
    this.#pool.clear();
  }

  /**
   * Decoded, verified bytes in order; an Error in the place of what cannot be read.
   * @param how `byIndex`: whatever a blob stands on is looked up in the index too, for who asks whether the index is right
   */
  async read(digests: readonly Digest[], how: { readonly byIndex?: boolean } = {}): Promise<(Buffer | Error)[]> {
    const cached = new Map<string, Buffer>();
    for (const digest of digests) {
      const known = this.#cache.get(digestKey(digest));
      if (known) cached.set(digestKey(digest), known);
    }
    if (!how.byIndex) {
      if (digests.length <= NEAR_MAX) await this.#readShort(digests, cached);
      else await this.#readTogether(digests, cached);
    }
    const unknown = digests.filter((digest) => !cached.has(digestKey(digest)));
    if (unknown.length === 0) return digests.map((digest) => cached.get(digestKey(digest)) as Buffer);
    const demands = unknown.map((digest): Demand => ({ digest, offset: 0 }));
    const done = await this.#leases.during(() => this.#plan(demands));
    if (done === 'cut') {
      const middle = digests.length >> 1;
      const front = await this.read(digests.slice(0, middle), how);
      return [...front, ...(await this.read(digests.slice(middle), how))];
    }
    const { plan, target } = done;
    const kept = digests.length === 1 || isCached(digests.length, plan.wholeBytes);
    return digests.map((digest) => {
      const key = digestKey(digest);
      const known = cached.get(key);
      if (known) return known;
      const node = plan.find(digest);
      if (node instanceof Error) return node;
      const from = node.places[0] ?? 0;
      const bytes = target.subarray(from, from + node.info.decodedBytes);
      return kept ? this.#cache.keep(key, bytes) : bytes;
    });
  }

  /** Those of the blobs that take no more than one crossing each go into `found`. */
  async #readShort(digests: readonly Digest[], found: Map<string, Buffer>): Promise<void> {
    const read = async (digest: Digest): Promise<void> => {
      const key = digestKey(digest);
      const bytes = found.has(key) ? undefined : await this.#fetch.readShort(digest, this.#algo);
      if (bytes !== undefined) found.set(key, this.#cache.keep(key, bytes));
    };
    const done = await this.#leases.during(() => Promise.allSettled(digests.map(read)));
    for (const result of done) if (result.status === 'rejected') throw result.reason;
  }

  /** Those of the blobs whose chains the engine follows by itself go into `found`. */
  async #readTogether(digests: readonly Digest[], found: Map<string, Buffer>): Promise<void> {
    const unknown = digests.filter((digest) => !found.has(digestKey(digest)));
    if (unknown.length === 0) return;
    const together = await this.#leases.during(() => this.#chains.read(unknown));
    const kept = isCached(digests.length, totalBytes(together));
    for (const [key, bytes] of together) found.set(key, kept ? this.#cache.keep(key, bytes) : bytes);
  }

  /** The bytes of the extents, joined, in `into` when it is given. Throws what keeps any of them away. */
  async readExtents(extents: readonly Extent[], into?: Buffer): Promise<Buffer> {
    const total = extents.reduce((sum, extent) => sum + extent.length, 0);
    if (into && into.length < total) throw new RangeError(`into must have ${total} bytes, it has ${into.length}`);
    const target = into ? into.subarray(0, total) : Buffer.allocUnsafe(total);
    await this.#readInto(extents, target);
    return target;
  }

  /**
   * The bytes of a stretch, to the beginning of `into`; no digest is compared: for who compares that of the whole
   * afterwards, and asks `readExtents` when it is another one.
   *
   * @param direct past the page cache, for who reads much more than would stay there
   */
  async readLoosely(stretch: Stretch, into: Buffer, direct: boolean): Promise<void> {
    const left = await this.#leases.during(() => this.#raw.fill(stretch, into));
    if (left.length > 0) await this.#readDemands(left, into, { verify: 'none', direct });
  }

  async #readInto(extents: readonly Extent[], target: Buffer): Promise<void> {
    await this.#readDemands(placed(extents, target), target);
  }

  /** @param demands each with its place in the target */
  async #readDemands(demands: readonly Demand[], target: Buffer, how: Reading = AS_USUAL): Promise<void> {
    const done = await this.#leases.during(() => this.#plan(demands, target, how));
    if (done === 'cut') {
      const middle = demands.length >> 1;
      await this.#readDemands(demands.slice(0, middle), target, how);
      return this.#readDemands(demands.slice(middle), target, how);
    }
    for (const { digest, offset, length = 0 } of demands) {
      const node = done.plan.find(digest);
      if (node instanceof Error) throw node;
      if (offset + length > node.info.decodedBytes) {
        throw new DiffKeeperError('DK_CORRUPT_RECIPE', `a recipe leaves blob ${digest.toString('hex')}`);
      }
    }
  }

  /**
   * A plan carried out, or 'cut' when it would hold too much and can be divided. Links between the ends of chains are not
   * verified for themselves, as the ends are, unless the caller does that; when anything turns out to be wrong everything is
   * decoded again, and each link verified, which tells which of them is damaged.
   * @param given where the demands have their places; without it one is made for demands of whole blobs
   */
  async #plan(demands: readonly Demand[], given?: Buffer, how: Reading = AS_USUAL): Promise<Done | 'cut'> {
    const done = await this.#carryOut(demands, given, how);
    return done !== 'cut' && done.wrong ? this.#carryOut(demands, given, { verify: 'all', direct: false }) : done;
  }

  async #carryOut(
    demands: readonly Demand[],
    given: Buffer | undefined,
    { verify, direct }: Reading,
  ): Promise<(Done & { readonly wrong: boolean }) | 'cut'> {
    const single = demands.length <= 1;
    const plan = new BlobPlan(this.#fetch, single ? PLAN_BYTES_MAX : PLAN_BYTES);
    if (!(await plan.build(demands))) {
      if (!single) return 'cut';
      throw new DiffKeeperError('DK_LIMIT', `a blob needs more than ${PLAN_BYTES_MAX} bytes of others`);
    }
    const target = given ?? Buffer.allocUnsafeSlow(plan.wholeBytes);
    // The next records are read while these are decoded.
    let ahead = this.#load(plan, plan.stages[0], direct);
    let wrong = false;
    for (const [index, stage] of plan.stages.entries()) {
      await ahead;
      ahead = this.#load(plan, plan.stages[index + 1], direct);
      // When decoding fails nobody awaits what was read ahead any more.
      ahead.catch(() => {});
      if (!(await this.#decode(plan, stage, { target, verify }))) wrong = true;
    }
    await ahead;
    return { plan, target, wrong };
  }

  /** Reads the records that planning had no need to look into. */
  async #load(plan: BlobPlan, stage: Stage | undefined, direct: boolean): Promise<void> {
    const missing = (stage?.nodes ?? []).filter((node) => node.coded === undefined && node.wanted);
    const infos = missing.map((node) => node.info);
    const coded = await this.#fetch.fetch(infos, plan.failed, { pool: this.#pool, near: plan.near, direct });
    for (const blob of coded) (plan.nodes.get(blob.key) as PlanNode).coded = blob;
  }

  /** False when something did not come out as its digest says. */
  async #decode(
    plan: BlobPlan,
    { nodes, keeps }: Stage,
    { target, verify }: { readonly target: Buffer; readonly verify: SliceVerify },
  ): Promise<boolean> {
    const call = new SliceCall(target, { keeps, verify });
    for (const node of nodes) {
      const { coded } = node;
      if (!coded) continue;
      node.coded = undefined;
      node.failure = checkContext(plan, node, coded.context);
      if (!node.failure) call.add(node, coded);
    }
    if (call.nodes.length === 0) return true;
    const { data, status } = await this.#engine.decodeSlices(call.batch(this.#algo));
    for (const run of call.runs) this.#pool.give(run);
    call.settle(data, status);
    return status.every((one) => one === 0);
  }
}

/** Whether what a request of so many blobs reads is kept. */
function isCached(count: number, bytes: number): boolean {
  return count <= CACHED_REQUEST_MAX && bytes <= CACHED_REQUEST_BYTES_MAX;
}

function totalBytes(blobs: ReadonlyMap<string, Buffer>): number {
  let total = 0;
  for (const { length } of blobs.values()) total += length;
  return total;
}

/** How a plan is carried out. */
interface Reading {
  readonly verify: SliceVerify;
  /** Whether records are read past the page cache. */
  readonly direct: boolean;
}

const AS_USUAL: Reading = { verify: 'ends', direct: false };

/** What came of a plan. */
interface Done {
  readonly plan: BlobPlan;
  readonly target: Buffer;
}
