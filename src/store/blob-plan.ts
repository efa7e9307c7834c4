/**
 * What has to be decoded for some slices of blobs: the whole closure of contexts, found before anything is decoded.
 * Each blob is decoded once, lowest depth first, and only the slices that something needs are kept: following the
 * chains one by one would decode shared ancestors again and again, doubling with every layer.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import type { BlobFetch, CodedBlob } from './blob-fetch.js';
import type { BlobInfo } from './types.js';

/** Bytes of a blob that are wanted; without a length the whole of it. */
export interface Demand {
  readonly digest: Digest;
  readonly offset: number;
  readonly length?: number;
  /** Where the bytes are wanted in the caller's target; of a blob that nothing else needs they go straight there. */
  readonly at?: number;
}

/** More than the longest slice: offset and length then fit one number. */
const LENGTH_UNIT = 2 * LIMITS.blobBytes;

/** One blob of a plan. */
export class PlanNode {
  readonly key: string;
  readonly info: BlobInfo;
  /** Read ahead for blobs with a context, because it names further blobs. */
  coded: CodedBlob | undefined;
  /** Decoded slices, from `dataAt` on, or why there are none. */
  data: Buffer | Error | undefined;
  dataAt = 0;
  /** Blobs and results that still need the data. */
  uses = 0;
  /** Places in the caller's target, one per slice, when all uses have one; there is no `data` then. */
  places: number[] | undefined = [];
  /** Pairs (offset, length): as demanded first, ascending and apart once settled. */
  #wants: number[] = [];
  /** Where each settled slice begins among the slices. */
  #starts: number[] = [];
  #bytes = 0;

  constructor(key: string, info: BlobInfo) {
    this.key = key;
    this.info = info;
  }

  /** Where the slices begin and how long they are; valid once settled. */
  get slices(): readonly number[] {
    return this.#wants;
  }

  get bytes(): number {
    return this.#bytes;
  }

  want(offset: number, length: number, at?: number): number {
    const end = Math.min(offset + length, this.info.decodedBytes);
    this.uses += 1;
    if (at === undefined) this.places = undefined;
    if (end <= offset) return 0;
    // A dictionary is wanted by each blob that is coded with it, and always the same way.
    const last = this.#wants.length - 2;
    if (at === undefined && this.#wants[last] === offset && this.#wants[last + 1] === end - offset) return 0;
    this.#wants.push(offset, end - offset);
    if (at !== undefined) this.places?.push(at);
    return end - offset;
  }

  /** Sorts and merges what is wanted, unless each slice has its own place. */
  settle(): void {
    if (this.places) return;
    // One number per slice: typed arrays are sorted by value, and far faster than objects.
    const order = new Float64Array(this.#wants.length / 2);
    for (let i = 0; i < order.length; i += 1) {
      order[i] = (this.#wants[2 * i] as number) * LENGTH_UNIT + (this.#wants[2 * i + 1] as number);
    }
    order.sort();
    const slices: number[] = [];
    let end = -1;
    for (let index = 0; index < order.length; index += 1) {
      const packed = order[index] as number;
      const offset = Math.floor(packed / LENGTH_UNIT);
      const sliceEnd = offset + (packed - offset * LENGTH_UNIT);
      if (offset > end) slices.push(offset, sliceEnd - offset);
      else if (sliceEnd > end) slices[slices.length - 1] = sliceEnd - (slices[slices.length - 2] as number);
      end = Math.max(end, sliceEnd);
    }
    this.#wants = slices;
    this.#bytes = 0;
    this.#starts = [];
    for (let i = 0; i < slices.length; i += 2) {
      this.#starts.push(this.#bytes);
      this.#bytes += slices[i + 1] as number;
    }
  }

  /** Place of these bytes in `data`; they must have been wanted. */
  place(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#wants[2 * middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return this.dataAt + (this.#starts[low] as number) + offset - (this.#wants[2 * low] as number);
  }
}

export class BlobPlan {
  readonly nodes = new Map<string, PlanNode>();
  /** Blobs whose records cannot be found or read. */
  readonly failed = new Map<string, Error>();
  /** Bytes that carrying the plan out holds at most, roughly: coded records and slices. */
  bytes = 0;
  readonly #fetch: BlobFetch;
  readonly #bytesMax: number;

  constructor(fetch: BlobFetch, bytesMax: number) {
    this.#fetch = fetch;
    this.#bytesMax = bytesMax;
  }

  /** False when it would hold more than allowed; it cannot be used then. */
  async build(demands: readonly Demand[]): Promise<boolean> {
    let next: readonly Demand[] = demands;
    while (next.length > 0) {
      const fresh = await this.#locate(next);
      for (let index = 0; index < next.length; index += 1) {
        const { digest, offset, length, at } = next[index] as Demand;
        const node = this.nodes.get(digestKey(digest));
        if (node) this.bytes += node.want(offset, length ?? node.info.decodedBytes, at);
      }
      if (this.bytes > this.#bytesMax) return false;
      const based = fresh.filter((node) => node.info.depth > 0);
      const coded = await this.#fetch.fetch(
        based.map((node) => node.info),
        this.failed,
      );
      const needed: Demand[] = [];
      for (const blob of coded) {
        (this.nodes.get(blob.key) as PlanNode).coded = blob;
        this.bytes += blob.record.payload.length;
        for (let index = 0; index < blob.context.length; index += 1) {
          const { digest, offset, length } = blob.context[index] as Extent;
          if (digest) needed.push({ digest, offset, length });
        }
      }
      next = needed;
    }
    for (const node of this.nodes.values()) node.settle();
    return true;
  }

  /** Nodes for blobs not met before. */
  async #locate(demands: readonly Demand[]): Promise<PlanNode[]> {
    const unknown = new Map<string, Digest>();
    for (let index = 0; index < demands.length; index += 1) {
      const { digest } = demands[index] as Demand;
      const key = digestKey(digest);
      if (!this.nodes.has(key) && !this.failed.has(key)) unknown.set(key, digest);
    }
    const infos = await this.#fetch.locate([...unknown.values()], this.failed);
    return infos.map((info) => {
      const node = new PlanNode(digestKey(info.digest), info);
      this.nodes.set(node.key, node);
      return node;
    });
  }

  /** Nodes by depth, lowest first, in pack order within a depth. */
  levels(): PlanNode[][] {
    const levels: PlanNode[][] = [];
    for (const node of this.nodes.values()) {
      if (this.failed.has(node.key)) continue;
      const level = levels[node.info.depth];
      if (level) level.push(node);
      else levels[node.info.depth] = [node];
    }
    return levels.filter((level) => level !== undefined).map((level) => level.sort(inPackOrder));
  }

  /** The blob with its data, or what keeps it away. */
  find(digest: Digest): PlanNode | Error {
    const key = digestKey(digest);
    const failure = this.failed.get(key);
    if (failure) return failure;
    const node = this.nodes.get(key);
    if (node?.data instanceof Error) return node.data;
    return node ?? new DiffKeeperError('DK_CORRUPT_RECORD', 'a blob was not planned');
  }
}

function inPackOrder(one: PlanNode, other: PlanNode): number {
  return one.info.pack - other.info.pack || one.info.offset - other.info.offset;
}

/** Fails unless the context can be put together from what the plan has decoded so far. */
export function checkContext(plan: BlobPlan, node: PlanNode, context: readonly Extent[]): Error | undefined {
  let total = 0;
  for (let index = 0; index < context.length; index += 1) {
    const { digest, offset, length } = context[index] as Extent;
    total += length;
    if (total > LIMITS.contextBytes) return new DiffKeeperError('DK_LIMIT', 'a context is too long', { actual: total });
    if (digest === null) continue;
    const below = plan.find(digest);
    if (below instanceof Error) return below;
    if (below.info.depth >= node.info.depth) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context blob is not below the blob that needs it');
    }
    if (offset + length > below.info.decodedBytes) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context lies outside its blob');
    }
  }
  return undefined;
}
