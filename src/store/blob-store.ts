/**
 * Reads blobs back: index, pack, checksum, context, decode, digest. Nothing
 * unverified leaves this file.
 */
import { DiffKeeperError } from '../core/core.js';
import { type Engine, type HashAlgo, IN_DATA, ZERO_BYTES } from '../engine/engine.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import { BlobCache } from './blob-cache.js';
import { BlobFetch, type CodedBlob } from './blob-fetch.js';
import type { IndexedBlob } from './blob-index.js';
import { BlobPlan, checkContext, type Demand, type PlanNode } from './blob-plan.js';
import { BufferPool } from './buffer-pool.js';
import { type Base, chooseBases } from './chain-base.js';
import type { MetaReader } from './meta-reader.js';
import type { Packs } from './packs.js';
import { RawSlices } from './raw-slices.js';
import type { ReadLeases } from './read-leases.js';

const NO_BYTES = Buffer.alloc(0);
/** Decoded bytes handed to one decode call. */
const DECODE_BYTES = 8 << 20;
/** Bytes that one plan may hold; a request that needs more is cut in halves. */
const PLAN_BYTES = 64 << 20;
/** Of longer requests nothing is cached: they read much, once. */
const CACHED_REQUEST_MAX = 16;
/** A single blob may not need more than this, whatever the store says. */
const PLAN_BYTES_MAX = 512 << 20;

export class BlobStore {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #fetch: BlobFetch;
  readonly #cache = new BlobCache();
  readonly #pool = new BufferPool();
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
    this.#fetch = new BlobFetch(parts);
    this.#raw = new RawSlices(parts.packs, this.#fetch);
  }

  async infos(digests: readonly Digest[]): Promise<(IndexedBlob | undefined)[]> {
    return this.#fetch.infos(digests);
  }

  /** Asks the system to read what these extents are made of ahead; a failure is none. */
  async prefetch(extents: readonly Extent[]): Promise<void> {
    await this.#leases.during(async () => this.#fetch.prefetch(await this.#raw.prefetch(extents)));
  }

  /** See `chooseBases`. */
  bases(heads: readonly Digest[], depthMax: number): Promise<(Base | null)[]> {
    const read = (digests: readonly Digest[]) => this.read(digests);
    return this.#leases.during(() => chooseBases({ fetch: this.#fetch, read }, heads, depthMax));
  }

  clearCache(): void {
    this.#cache.clear();
    this.#pool.clear();
  }

  /** Decoded, verified bytes in order; an Error in the place of what cannot be read. */
  async read(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    const demands: Demand[] = [];
    const cached = new Map<string, Buffer>();
    for (const digest of digests) {
      const known = this.#cache.get(digestKey(digest));
      if (known) cached.set(digestKey(digest), known);
      else demands.push({ digest, offset: 0 });
    }
    const plan = await this.#leases.during(() => this.#plan(demands));
    if (plan === 'cut') {
      const middle = digests.length >> 1;
      const front = await this.read(digests.slice(0, middle));
      return [...front, ...(await this.read(digests.slice(middle)))];
    }
    return digests.map((digest) => {
      const key = digestKey(digest);
      const known = cached.get(key);
      if (known) return known;
      const node = plan.find(digest);
      if (node instanceof Error) return node;
      const bytes = (node.data as Buffer).subarray(node.dataAt, node.dataAt + node.info.decodedBytes);
      return digests.length <= CACHED_REQUEST_MAX ? this.#cache.keep(key, bytes) : bytes;
    });
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
   * As `readExtents`, of blobs that are mostly not wanted without checking them: for who compares the digest of the
   * whole afterwards, and asks `readExtents` when it is another one.
   */
  async readLoosely(extents: readonly Extent[], into: Buffer): Promise<Buffer> {
    const total = extents.reduce((sum, extent) => sum + extent.length, 0);
    const left = await this.#leases.during(() => this.#raw.fill(extents, into));
    await this.#readDemands(left, into);
    return into.subarray(0, total);
  }

  async #readInto(extents: readonly Extent[], target: Buffer): Promise<void> {
    await this.#readDemands(placed(extents, target), target);
  }

  /** @param demands each with its place in the target */
  async #readDemands(demands: readonly Demand[], target: Buffer): Promise<void> {
    const plan = await this.#leases.during(() => this.#plan(demands, target));
    if (plan === 'cut') {
      const middle = demands.length >> 1;
      await this.#readDemands(demands.slice(0, middle), target);
      return this.#readDemands(demands.slice(middle), target);
    }
    for (const { digest, offset, length = 0, at = 0 } of demands) {
      const node = plan.find(digest);
      if (node instanceof Error) throw node;
      if (offset + length > node.info.decodedBytes) {
        throw new DiffKeeperError('DK_CORRUPT_RECIPE', `a recipe leaves blob ${digest.toString('hex')}`);
      }
      if (node.places) continue;
      const from = node.place(offset);
      (node.data as Buffer).copy(target, at, from, from + length);
    }
  }

  /** A plan carried out, or 'cut' when it would hold too much and can be divided. */
  async #plan(demands: readonly Demand[], target: Buffer = NO_BYTES): Promise<BlobPlan | 'cut'> {
    const single = demands.length <= 1;
    const plan = new BlobPlan(this.#fetch, single ? PLAN_BYTES_MAX : PLAN_BYTES);
    if (!(await plan.build(demands))) {
      if (!single) return 'cut';
      throw new DiffKeeperError('DK_LIMIT', `a blob needs more than ${PLAN_BYTES_MAX} bytes of others`);
    }
    for (const level of plan.levels()) await this.#decodeLevel(plan, level, target);
    return plan;
  }

  async #decodeLevel(plan: BlobPlan, level: readonly PlanNode[], target: Buffer): Promise<void> {
    const batches: PlanNode[][] = [];
    let bytes = DECODE_BYTES;
    for (const node of level) {
      if (bytes >= DECODE_BYTES) {
        batches.push([]);
        bytes = 0;
      }
      batches.at(-1)?.push(node);
      bytes += node.info.decodedBytes;
    }
    // The next records are read while these are decoded.
    let ahead = this.#load(plan, batches[0] ?? []);
    for (const [index, batch] of batches.entries()) {
      await ahead;
      ahead = this.#load(plan, batches[index + 1] ?? []);
      // When decoding fails nobody awaits what was read ahead any more.
      ahead.catch(() => {});
      await this.#decodeBatch(plan, batch, target);
    }
    await ahead;
  }

  /** Reads the records that planning had no need to look into. */
  async #load(plan: BlobPlan, batch: readonly PlanNode[]): Promise<void> {
    const missing = batch.filter((node) => node.coded === undefined && node.slices.length > 0);
    const coded = await this.#fetch.fetch(
      missing.map((node) => node.info),
      plan.failed,
      this.#pool,
    );
    for (const blob of coded) (plan.nodes.get(blob.key) as PlanNode).coded = blob;
  }

  async #decodeBatch(plan: BlobPlan, batch: readonly PlanNode[], target: Buffer): Promise<void> {
    const call = new SliceCall(target);
    for (const node of batch) {
      const { coded } = node;
      if (!coded) continue;
      const wrong = checkContext(plan, node, coded.context);
      if (wrong) node.data = wrong;
      else call.add(plan, node, coded);
      node.coded = undefined;
    }
    if (call.nodes.length === 0) return;
    const { data, status } = await this.#engine.decodeSlices(call.batch(this.#algo));
    for (const run of call.runs) this.#pool.give(run);
    let at = 0;
    for (const [index, node] of call.nodes.entries()) {
      node.dataAt = at;
      node.data = status[index] === 0 ? data : decodeFailure(node.info.digest, status[index] as number);
      if (!node.places) at += node.bytes;
    }
    for (const below of call.used) {
      below.uses -= 1;
      if (below.uses === 0) below.data = undefined;
    }
  }
}

/** Extents as demands, one behind the other in the target; runs of zeros are written at once. */
function placed(extents: readonly Extent[], target: Buffer): Demand[] {
  const demands: Demand[] = [];
  let at = 0;
  for (const { digest, offset, length } of extents) {
    if (digest !== null) demands.push({ digest, offset, length, at });
    else target.fill(0, at, at + length);
    at += length;
  }
  return demands;
}

/** Columns of one decode call. */
class SliceCall {
  readonly nodes: PlanNode[] = [];
  /** Nodes whose data was used, once per use. */
  readonly used: PlanNode[] = [];
  readonly runs = new Set<Buffer>();
  readonly #buffers = new Map<Uint8Array, number>();
  readonly #payloads: number[] = [];
  readonly #contexts: number[] = [];
  readonly #contextCounts: number[] = [];
  readonly #slices: number[] = [];
  readonly #codecs: number[] = [];
  readonly #places: number[] = [];
  readonly #target: Buffer;

  constructor(target: Buffer) {
    this.#target = target;
  }

  add(plan: BlobPlan, node: PlanNode, coded: CodedBlob): void {
    const { run, record } = coded;
    this.nodes.push(node);
    this.runs.add(run);
    this.#codecs.push(record.head.codec);
    this.#payloads.push(this.#buffer(run), record.payload.byteOffset - run.byteOffset, record.payload.length);
    this.#contextCounts.push(coded.context.length);
    for (let index = 0; index < coded.context.length; index += 1) {
      const { digest, offset, length } = coded.context[index] as Extent;
      if (digest === null) {
        this.#contexts.push(ZERO_BYTES, 0, length);
        continue;
      }
      const below = plan.find(digest) as PlanNode;
      this.#contexts.push(this.#buffer(below.data as Buffer), below.place(offset), length);
      this.used.push(below);
    }
    for (let slice = 0; slice < node.slices.length; slice += 2) {
      this.#slices.push(node.slices[slice] as number, node.slices[slice + 1] as number);
      this.#places.push(node.places?.[slice / 2] ?? IN_DATA);
    }
  }

  #buffer(bytes: Uint8Array): number {
    const known = this.#buffers.get(bytes);
    if (known !== undefined) return known;
    this.#buffers.set(bytes, this.#buffers.size);
    return this.#buffers.size - 1;
  }

  batch(algo: HashAlgo) {
    return {
      buffers: [...this.#buffers.keys()],
      payloads: Uint32Array.from(this.#payloads),
      codecs: Uint8Array.from(this.#codecs),
      decodedLengths: Uint32Array.from(this.nodes, (node) => node.info.decodedBytes),
      contextCounts: Uint32Array.from(this.#contextCounts),
      contexts: Uint32Array.from(this.#contexts),
      sliceCounts: Uint32Array.from(this.nodes, (node) => node.slices.length / 2),
      slices: Uint32Array.from(this.#slices),
      target: this.#target,
      places: Uint32Array.from(this.#places),
      digests: Buffer.concat(this.nodes.map((node) => node.info.digest)),
      algo,
    };
  }
}

function decodeFailure(digest: Digest, status: number): Error {
  const name = digest.toString('hex');
  return status === 1
    ? new DiffKeeperError('DK_CORRUPT_RECORD', `blob ${name} does not decode`, { name })
    : new DiffKeeperError('DK_DIGEST_MISMATCH', `blob ${name} decodes to other bytes`, { name, expected: name });
}
