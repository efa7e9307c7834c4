/** One decode call: the columns of the blobs of a stage. */
import { DiffKeeperError } from '../core/core.js';
import { FROM_ITEMS, type HashAlgo, IN_DATA, type SliceBatch, type SliceVerify, ZERO_BYTES } from '../engine/engine.js';
import type { Digest, Extent } from '../format/format.js';
import type { CodedBlob } from './blob-fetch.js';
import type { PlanNode } from './plan-node.js';

export class SliceCall {
  readonly nodes: PlanNode[] = [];
  readonly runs = new Set<Buffer>();
  readonly #keeps: boolean;
  readonly #verify: SliceVerify;
  readonly #items = new Map<PlanNode, number>();
  readonly #buffers = new Map<Uint8Array, number>();
  readonly #payloads: number[] = [];
  readonly #contexts: number[] = [];
  readonly #contextCounts: number[] = [];
  readonly #sliceCounts: number[] = [];
  readonly #slices: number[] = [];
  readonly #codecs: number[] = [];
  readonly #places: number[] = [];
  readonly #target: Buffer;

  /** @param how `keeps`: blobs of later calls need what the `needs` of these say; `verify`: see `SliceBatch` */
  constructor(target: Buffer, { keeps, verify }: { readonly keeps: boolean; readonly verify: SliceVerify }) {
    this.#target = target;
    this.#keeps = keeps;
    this.#verify = verify;
  }

  /** What its context comes from must have been added, or decoded and kept. */
  add(node: PlanNode, coded: CodedBlob): void {
    const { run, record } = coded;
    this.#items.set(node, this.nodes.length);
    this.nodes.push(node);
    this.runs.add(run);
    this.#codecs.push(record.head.codec);
    this.#payloads.push(this.#buffer(run), record.payload.byteOffset - run.byteOffset, record.payload.length);
    this.#contextCounts.push(coded.context.length);
    for (let index = 0; index < coded.context.length; index += 1) {
      this.#addContext(coded.context[index] as Extent, (node.below[index] ?? null) as PlanNode | null);
    }
    const needs = this.#keeps ? node.needs : [];
    this.#sliceCounts.push((node.results.length + needs.length) / 2);
    for (let at = 0; at < node.results.length; at += 2) {
      this.#slices.push(node.results[at] as number, node.results[at + 1] as number);
      this.#places.push(node.places[at / 2] as number);
    }
    for (let at = 0; at < needs.length; at += 2) {
      this.#slices.push(needs[at] as number, needs[at + 1] as number);
      this.#places.push(IN_DATA);
    }
  }

  #addContext({ offset, length }: Extent, below: PlanNode | null): void {
    if (below === null) {
      this.#contexts.push(ZERO_BYTES, 0, length);
      return;
    }
    const item = this.#items.get(below);
    if (item !== undefined) this.#contexts.push(FROM_ITEMS + item, offset, length);
    else this.#contexts.push(this.#buffer(below.data as Buffer), below.place(offset), length);
  }

  #buffer(bytes: Uint8Array): number {
    const known = this.#buffers.get(bytes);
    if (known !== undefined) return known;
    this.#buffers.set(bytes, this.#buffers.size);
    return this.#buffers.size - 1;
  }

  batch(algo: HashAlgo): SliceBatch {
    return {
      buffers: [...this.#buffers.keys()],
      payloads: Uint32Array.from(this.#payloads),
      codecs: Uint8Array.from(this.#codecs),
      decodedLengths: Uint32Array.from(this.nodes, (node) => node.info.decodedBytes),
      contextCounts: Uint32Array.from(this.#contextCounts),
      contexts: Uint32Array.from(this.#contexts),
      sliceCounts: Uint32Array.from(this.#sliceCounts),
      slices: Uint32Array.from(this.#slices),
      target: this.#target,
      places: Uint32Array.from(this.#places),
      digests: Buffer.concat(this.nodes.map((node) => node.info.digest)),
      verify: this.#verify,
      algo,
    };
  }

  /** Gives the nodes what has become of them. */
  settle(data: Buffer, status: Uint8Array): void {
    let at = 0;
    for (const [index, node] of this.nodes.entries()) {
      if (status[index] !== 0) node.failure = this.#failure(node, status[index] as number);
      if (!this.#keeps) continue;
      node.data = data;
      node.dataAt = at;
      for (let need = 1; need < node.needs.length; need += 2) at += node.needs[need] as number;
    }
    for (const node of this.nodes) {
      for (const below of node.below as readonly (PlanNode | null)[]) {
        if (below === null) continue;
        below.uses -= 1;
        if (below.uses === 0) below.data = undefined;
      }
    }
  }

  #failure(node: PlanNode, status: number): Error {
    const lost = (node.below as readonly (PlanNode | null)[]).find((below) => below?.failure);
    return lost?.failure ?? decodeFailure(node.info.digest, status);
  }
}

function decodeFailure(digest: Digest, status: number): Error {
  const name = digest.toString('hex');
  return status === 1
    ? new DiffKeeperError('DK_CORRUPT_RECORD', `blob ${name} does not decode`, { name })
    : new DiffKeeperError('DK_DIGEST_MISMATCH', `blob ${name} decodes to other bytes`, { name, expected: name });
}
