/**
 * What has to be decoded for some slices of blobs: the whole closure of contexts, found before anything is decoded.
 * Each blob is decoded once: following the chains one by one would decode shared ancestors again and again, doubling
 * with every layer.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { NearRecords } from './near-records.js';
import { PlanNode } from './plan-node.js';
import { type Stage, stagesOf } from './plan-stages.js';

/** Bytes of a blob that are asked for. */
export interface Demand {
  readonly digest: Digest;
  readonly offset: number;
  /** Of a demand without length the whole blob is meant; such demands make up a target of their own. */
  readonly length?: number;
  /** Where the bytes go in the caller's target. */
  readonly at?: number;
}

/** A piece of a context. */
interface Need {
  readonly key: string;
  readonly digest: Digest;
  readonly offset: number;
  readonly length: number;
}

export class BlobPlan {
  readonly nodes = new Map<string, PlanNode>();
  /** Blobs whose records cannot be found or read. */
  readonly failed = new Map<string, Error>();
  /** What is to be decoded, in this order. */
  stages: readonly Stage[] = [];
  /** Length of the target for demands without length. */
  wholeBytes = 0;
  /** Bytes that carrying the plan out holds at most, roughly: coded records and slices. */
  #bytes = 0;
  /** Where short records are looked for first. */
  readonly near: NearRecords;
  readonly #fetch: BlobFetch;
  readonly #bytesMax: number;

  constructor(fetch: BlobFetch, bytesMax: number) {
    this.#fetch = fetch;
    this.near = fetch.nearRecords();
    this.#bytesMax = bytesMax;
  }

  /** False when it would hold more than allowed; it cannot be used then. */
  async build(demands: readonly Demand[]): Promise<boolean> {
    const keys = demands.map(({ digest }) => digestKey(digest));
    let fresh = await this.#locate(keys, demands);
    for (let index = 0; index < demands.length; index += 1) this.#ask(keys[index] as string, demands[index] as Demand);
    while (fresh.length > 0 && this.#bytes <= this.#bytesMax) fresh = await this.#follow(fresh);
    if (this.#bytes > this.#bytesMax) return false;
    const { stages, keptBytes } = stagesOf([...this.nodes.values()].filter((node) => !this.failed.has(node.key)));
    this.stages = stages;
    return this.#bytes + keptBytes <= this.#bytesMax;
  }

  #ask(key: string, { offset, length, at }: Demand): void {
    const node = this.nodes.get(key);
    if (!node) return;
    if (length !== undefined) {
      this.#bytes += node.ask(offset, length, at as number);
    } else if (node.places.length === 0) {
      this.#bytes += node.ask(0, node.info.decodedBytes, this.wholeBytes);
      this.wholeBytes += node.info.decodedBytes;
    }
  }

  /** Reads the records of those of the blobs that have a context; gives what these contexts name for the first time. */
  async #follow(nodes: readonly PlanNode[]): Promise<PlanNode[]> {
    const based = nodes.filter((node) => node.info.depth > 0).map((node) => node.info);
    const coded = await this.#fetch.fetch(based, this.failed, { near: this.near });
    const needs: Need[] = [];
    for (const { context } of coded) {
      for (let index = 0; index < context.length; index += 1) {
        const { digest, offset, length } = context[index] as Extent;
        if (digest) needs.push({ key: digestKey(digest), digest, offset, length });
      }
    }
    const fresh = await this.#locate(
      needs.map(({ key }) => key),
      needs,
    );
    let next = 0;
    for (const blob of coded) {
      const node = this.nodes.get(blob.key) as PlanNode;
      node.coded = blob;
      this.#bytes += blob.record.payload.length + blob.record.contextList.length;
      node.below = blob.context.map(({ digest }) => {
        if (digest === null) return null;
        const { key, offset, length } = needs[next] as Need;
        next += 1;
        const below = this.nodes.get(key);
        below?.need(offset, length);
        return below ?? this.failed.get(key) ?? notPlanned();
      });
    }
    return fresh;
  }

  /** Nodes for blobs not met before. */
  async #locate(keys: readonly string[], named: readonly { readonly digest: Digest }[]): Promise<PlanNode[]> {
    const unknown = new Map<string, Digest>();
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as string;
      if (!this.nodes.has(key) && !this.failed.has(key)) unknown.set(key, (named[index] as Need).digest);
    }
    const infos = await this.#fetch.locate([...unknown.values()], this.failed);
    return infos.map((info) => {
      const node = new PlanNode(digestKey(info.digest), info);
      this.nodes.set(node.key, node);
      return node;
    });
  }

  /** The blob, or what keeps it away. */
  find(digest: Digest): PlanNode | Error {
    const key = digestKey(digest);
    const failure = this.failed.get(key);
    if (failure) return failure;
    const node = this.nodes.get(key);
    return node?.failure ?? node ?? notPlanned();
  }

  /** What keeps a blob away that a context was to come from, as far as it is known by now. */
  lost(below: PlanNode | Error): Error | undefined {
    return below instanceof Error ? below : (this.failed.get(below.key) ?? below.failure);
  }
}

function notPlanned(): Error {
  return new DiffKeeperError('DK_CORRUPT_RECORD', 'a blob was not planned');
}

/** Fails unless the context can be put together from blobs below, as far as is known by now. */
export function checkContext(plan: BlobPlan, node: PlanNode, context: readonly Extent[]): Error | undefined {
  let total = 0;
  for (let index = 0; index < context.length; index += 1) {
    const { digest, offset, length } = context[index] as Extent;
    total += length;
    if (total > LIMITS.contextBytes) return new DiffKeeperError('DK_LIMIT', 'a context is too long', { actual: total });
    if (digest === null) continue;
    const below = node.below[index] ?? notPlanned();
    const lost = plan.lost(below);
    if (lost || below instanceof Error) return lost;
    if (below.info.depth >= node.info.depth) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context blob is not below the blob that needs it');
    }
    if (offset + length > below.info.decodedBytes) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context lies outside its blob');
    }
  }
  return undefined;
}

/** Extents as demands, one behind the other in the target; runs of zeros are written at once. */
export function placed(extents: readonly Extent[], target: Buffer): Demand[] {
  const demands: Demand[] = [];
  let at = 0;
  for (const { digest, offset, length } of extents) {
    if (digest !== null) demands.push({ digest, offset, length, at });
    else target.fill(0, at, at + length);
    at += length;
  }
  return demands;
}
