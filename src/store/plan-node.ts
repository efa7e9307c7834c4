/** One blob of a plan: what is wanted of it, by whom, and what has become of it. */
import { LIMITS } from '../core/core.js';
import type { CodedBlob } from './blob-fetch.js';
import type { BlobInfo } from './types.js';

/** More than the longest slice: offset and length then fit one number. */
const LENGTH_UNIT = 2 * LIMITS.blobBytes;

export class PlanNode {
  readonly key: string;
  readonly info: BlobInfo;
  /** Read ahead for blobs with a context, because it names further blobs. */
  coded: CodedBlob | undefined;
  /** For each piece of its context the blob that it is of, or why there is none; null for zeros. */
  below: readonly (PlanNode | Error | null)[] = [];
  /** Leads to the one that stands for all blobs that hang together with this one. */
  head: PlanNode = this;
  /** Why the blob cannot be had. */
  failure: Error | undefined;
  /** The slices that blobs of later stages need, from `dataAt` on. */
  data: Buffer | undefined;
  dataAt = 0;
  /** Pieces of contexts that still need it. */
  uses = 0;
  /** Slices that are asked for, as pairs (offset, length), and the place of each in the target. */
  readonly results: number[] = [];
  readonly places: number[] = [];
  resultBytes = 0;
  /** Pairs (offset, length): as contexts need them first, ascending and apart once settled. */
  #needs: number[] = [];
  /** Where each settled slice begins among the slices. */
  #starts: number[] = [];

  constructor(key: string, info: BlobInfo) {
    this.key = key;
    this.info = info;
  }

  /** What blobs of later stages need; valid once settled. */
  get needs(): readonly number[] {
    return this.#needs;
  }

  get wanted(): boolean {
    return this.results.length > 0 || this.#needs.length > 0;
  }

  /** These bytes are asked for. Gives how many they are. */
  ask(offset: number, length: number, at: number): number {
    const bytes = Math.min(offset + length, this.info.decodedBytes) - offset;
    if (bytes <= 0) return 0;
    this.results.push(offset, bytes);
    this.places.push(at);
    this.resultBytes += bytes;
    return bytes;
  }

  /** A context needs these bytes. */
  need(offset: number, length: number): void {
    const end = Math.min(offset + length, this.info.decodedBytes);
    this.uses += 1;
    if (end <= offset) return;
    // A dictionary is needed by each blob that is coded with it, and always the same way.
    const last = this.#needs.length - 2;
    if (this.#needs[last] === offset && this.#needs[last + 1] === end - offset) return;
    this.#needs.push(offset, end - offset);
  }

  /** Sorts and merges what is needed. Gives how many bytes that is. */
  settle(): number {
    // One number per slice: typed arrays are sorted by value, and far faster than objects.
    const order = new Float64Array(this.#needs.length / 2);
    for (let i = 0; i < order.length; i += 1) {
      order[i] = (this.#needs[2 * i] as number) * LENGTH_UNIT + (this.#needs[2 * i + 1] as number);
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
    this.#needs = slices;
    this.#starts = [];
    let bytes = 0;
    for (let i = 0; i < slices.length; i += 2) {
      this.#starts.push(bytes);
      bytes += slices[i + 1] as number;
    }
    return bytes;
  }

  /** Place of these bytes in `data`; they must have been needed. */
  place(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#needs[2 * middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return this.dataAt + (this.#starts[low] as number) + offset - (this.#needs[2 * low] as number);
  }
}
