/**
 * Slices of blobs that stand uncoded in their records, taken without looking at the rest of the blob. After a long
 * history a file is made of a little of very many blobs: to check each one whole takes several times as long as to
 * bring the file back.
 *
 * A step of such a file has thousands of slices, walked by a process that has just started: they are numbers in
 * columns, because objects for each cost more than reading the bytes.
 */
import { inGroups } from '../core/core.js';
import { type Digest, type Extent, RECORD_HEAD_BYTES, RECORD_MIN_BYTES } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { Demand } from './blob-plan.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Blobs of which a larger share is wanted are checked as ever: those of a file that was stored but once. */
const SHARE_MAX = 0.98;
const CALL_BYTES = 5 << 20;
const CALLS_AT_ONCE = 2;

/** Pieces of one pack for one crossing. */
interface Call {
  readonly pack: number;
  /** Numbers of the extents, ascending by where they stand in the pack. */
  readonly slices: number[];
  /** Pairs (offset, length), one per slice. */
  readonly runs: number[];
  bytes: number;
}

/** What is read loosely of a list of extents, and the digests and numbers of the extents that are not. */
interface Choice {
  readonly calls: readonly Call[];
  readonly left: number[];
  readonly whole: readonly Digest[];
}

export class RawSlices {
  readonly #packs: Packs;
  readonly #fetch: BlobFetch;
  /**
   * Where blobs were found, by the very digest of the list that names them: it is asked for twice, ahead and to read.
   * What a prune has moved since reads as other bytes, which the caller finds as it finds any damage.
   */
  readonly #found = new WeakMap<Digest, BlobInfo>();

  constructor(packs: Packs, fetch: BlobFetch) {
    this.#packs = packs;
    this.#fetch = fetch;
  }

  /**
   * Copies what it can to the target, where the extents stand one behind the other; gives the demands that are left.
   * Zeros are written. What it copies is not verified in any way.
   */
  async fill(extents: readonly Extent[], target: Buffer): Promise<Demand[]> {
    const places = placesOf(extents, target);
    const { calls, left } = await this.#choose(extents);
    const failed = await inGroups(calls, CALLS_AT_ONCE, (call) => this.#read(call, places, target));
    for (const numbers of failed) left.push(...numbers);
    return left.map((number) => {
      const { digest, offset, length } = extents[number] as Extent;
      return { digest: digest as Digest, offset, length, at: places[number] as number };
    });
  }

  /** Asks the system to read ahead what `fill` will read of these extents; gives the blobs that it will not. */
  async prefetch(extents: readonly Extent[]): Promise<readonly Digest[]> {
    const { calls, whole } = await this.#choose(extents);
    await Promise.all(calls.map(({ pack, runs }) => this.#packs.prefetch(pack, Float64Array.from(runs))));
    return whole;
  }

  async #choose(extents: readonly Extent[]): Promise<Choice> {
    const { digests, blobs, wanted } = countWanted(extents);
    const infos = this.#packs.records.sealed ? [] : await this.#infos(digests);
    const loose = digests.map((_, blob) => {
      const info = infos[blob];
      return info && isRaw(info) && (wanted[blob] as number) <= info.decodedBytes * SHARE_MAX ? info : undefined;
    });
    const { packs, left } = standing(extents, blobs, loose);
    return { calls: planCalls(packs, extents), left, whole: digests.filter((_, blob) => !loose[blob]) };
  }

  async #infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    const unknown = digests.filter((digest) => !this.#found.has(digest));
    for (const info of await this.#fetch.infos(unknown)) if (info) this.#found.set(info.digest, info);
    return digests.map((digest) => this.#found.get(digest));
  }

  /** Gives the numbers of the extents that could not be read. */
  async #read(call: Call, places: Float64Array, target: Buffer): Promise<number[]> {
    const { pack, slices } = call;
    const runs = Float64Array.from(call.runs);
    const pieces = { runs, places: Float64Array.from(slices, (slice) => places[slice] as number) };
    const done = await this.#packs.readPieces(pack, pieces, target).catch(() => null);
    return slices.filter((_, index) => done === null || done[index] !== runs[2 * index + 1]);
  }
}

/** Where each extent begins in the target; zeros are written at once. */
function placesOf(extents: readonly Extent[], target: Buffer): Float64Array {
  const places = new Float64Array(extents.length);
  let at = 0;
  for (let index = 0; index < extents.length; index += 1) {
    const { digest, length } = extents[index] as Extent;
    places[index] = at;
    if (digest === null) target.fill(0, at, at + length);
    at += length;
  }
  return places;
}

/** The blobs that extents name: the number of each extent's (-1 for zeros), and how many bytes are wanted of each. */
function countWanted(extents: readonly Extent[]): {
  readonly digests: readonly Digest[];
  readonly blobs: Int32Array;
  readonly wanted: readonly number[];
} {
  // A list names each blob by one object: comparing these is far faster than comparing digests.
  const numbers = new Map<Digest, number>();
  const wanted: number[] = [];
  const blobs = new Int32Array(extents.length).fill(-1);
  for (let index = 0; index < extents.length; index += 1) {
    const { digest, length } = extents[index] as Extent;
    if (digest === null) continue;
    let blob = numbers.get(digest);
    if (blob === undefined) {
      blob = wanted.push(0) - 1;
      numbers.set(digest, blob);
    }
    wanted[blob] = (wanted[blob] as number) + length;
    blobs[index] = blob;
  }
  return { digests: [...numbers.keys()], blobs, wanted };
}

/** Per pack, where each slice stands and its number, as one number that sorts; and the numbers of all other extents. */
function standing(
  extents: readonly Extent[],
  blobs: Int32Array,
  loose: readonly (BlobInfo | undefined)[],
): { readonly packs: ReadonlyMap<number, number[]>; readonly left: number[] } {
  const packs = new Map<number, number[]>();
  const left: number[] = [];
  for (let index = 0; index < blobs.length; index += 1) {
    const blob = blobs[index] as number;
    if (blob < 0) continue;
    const info = loose[blob];
    const { offset, length } = extents[index] as Extent;
    if (info === undefined || offset + length > info.decodedBytes) {
      left.push(index);
      continue;
    }
    let slices = packs.get(info.pack);
    if (slices === undefined) {
      slices = [];
      packs.set(info.pack, slices);
    }
    slices.push((info.offset + RECORD_HEAD_BYTES + offset) * extents.length + index);
  }
  return { packs, left };
}

/** Its record is a head, the bytes, and a check: only where nothing was gained by coding is a record so long. */
function isRaw({ depth, decodedBytes, recordBytes }: BlobInfo): boolean {
  return depth === 0 && recordBytes === decodedBytes + RECORD_MIN_BYTES;
}

function planCalls(packs: ReadonlyMap<number, number[]>, extents: readonly Extent[]): Call[] {
  const calls: Call[] = [];
  for (const [pack, unsorted] of packs) {
    let call: Call | undefined;
    const sorted = Float64Array.from(unsorted).sort();
    for (let index = 0; index < sorted.length; index += 1) {
      const packed = sorted[index] as number;
      const from = Math.floor(packed / extents.length);
      const number = packed - from * extents.length;
      const { length } = extents[number] as Extent;
      if (!call || call.bytes + length > CALL_BYTES) {
        call = { pack, slices: [], runs: [], bytes: 0 };
        calls.push(call);
      }
      call.slices.push(number);
      call.runs.push(from, length);
      call.bytes += length;
    }
  }
  return calls;
}
