/**
 * Slices of blobs that stand uncoded in their records, taken without looking at the rest of the blob. After a long
 * history a file is made of a little of very many blobs: to check each one whole takes several times as long as to
 * bring the file back.
 */
import { inGroups } from '../core/core.js';
import { type Digest, digestKey, RECORD_HEAD_BYTES, RECORD_MIN_BYTES } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { Demand } from './blob-plan.js';
import type { BufferPool } from './buffer-pool.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Blobs of which a larger share is wanted are checked as ever. */
const SHARE_MAX = 0.75;
/** Bytes between two slices that are read along rather than jumped over. */
const GAP_BYTES = 8 << 10;
const CALL_BYTES = 5 << 20;
const CALLS_AT_ONCE = 2;

/** A slice with its place in a pack, and in the target. */
interface Slice {
  readonly demand: Demand;
  readonly from: number;
  readonly length: number;
}

/** Pieces of one pack for one crossing. */
interface Call {
  readonly pack: number;
  readonly slices: Slice[];
  /** Pairs (offset, length). */
  readonly runs: number[];
  bytes: number;
}

export class RawSlices {
  readonly #packs: Packs;
  readonly #fetch: BlobFetch;
  readonly #pool: BufferPool;

  constructor(packs: Packs, fetch: BlobFetch, pool: BufferPool) {
    this.#packs = packs;
    this.#fetch = fetch;
    this.#pool = pool;
  }

  /**
   * Copies what it can to the places of the demands, each of which must have one; gives the demands that are left.
   * What it copies is not verified in any way.
   */
  async fill(demands: readonly Demand[], target: Buffer): Promise<readonly Demand[]> {
    if (this.#packs.records.sealed) return demands;
    const { slices, left } = await this.#choose(demands);
    const done = await inGroups(planCalls(slices), CALLS_AT_ONCE, (call) => this.#read(call, target));
    for (const failed of done) left.push(...failed);
    return left;
  }

  async #choose(demands: readonly Demand[]): Promise<{ slices: Map<number, Slice[]>; left: Demand[] }> {
    const wanted = new Map<string, { readonly digest: Digest; bytes: number; info?: BlobInfo }>();
    for (const { digest, length = 0 } of demands) {
      const key = digestKey(digest);
      const one = wanted.get(key) ?? { digest, bytes: 0 };
      one.bytes += length;
      wanted.set(key, one);
    }
    const blobs = [...wanted.values()];
    const infos = await this.#fetch.infos(blobs.map(({ digest }) => digest));
    for (const [index, blob] of blobs.entries()) {
      const info = infos[index];
      if (info && isRaw(info) && blob.bytes <= info.decodedBytes * SHARE_MAX) blob.info = info;
    }
    const slices = new Map<number, Slice[]>();
    const left: Demand[] = [];
    for (let index = 0; index < demands.length; index += 1) {
      const demand = demands[index] as Demand;
      const { offset, length = 0 } = demand;
      const info = wanted.get(digestKey(demand.digest))?.info;
      if (!info || demand.at === undefined || offset + length > info.decodedBytes) {
        left.push(demand);
        continue;
      }
      const ofPack = slices.get(info.pack) ?? [];
      if (ofPack.length === 0) slices.set(info.pack, ofPack);
      ofPack.push({ demand, from: info.offset + RECORD_HEAD_BYTES + offset, length });
    }
    return { slices, left };
  }

  /** Gives the demands that could not be read. */
  async #read({ pack, slices, runs, bytes }: Call, target: Buffer): Promise<Demand[]> {
    const room = this.#pool.take(bytes);
    const done = await this.#packs.readRuns(pack, Float64Array.from(runs), room).catch(() => null);
    const failed: Demand[] = [];
    let run = 0;
    let runAt = 0;
    for (const { demand, from, length } of slices) {
      while (from >= (runs[2 * run] as number) + (runs[2 * run + 1] as number)) {
        runAt += runs[2 * run + 1] as number;
        run += 1;
      }
      const inRun = from - (runs[2 * run] as number);
      if (done === null || (done[run] as number) < inRun + length) failed.push(demand);
      else room.copy(target, demand.at as number, runAt + inRun, runAt + inRun + length);
    }
    this.#pool.give(room);
    return failed;
  }
}

/** Its record is a head, the bytes, and a check: only where nothing was gained by coding is a record so long. */
function isRaw({ depth, decodedBytes, recordBytes }: BlobInfo): boolean {
  return depth === 0 && recordBytes === decodedBytes + RECORD_MIN_BYTES;
}

function planCalls(packs: ReadonlyMap<number, Slice[]>): Call[] {
  const calls: Call[] = [];
  for (const [pack, slices] of packs) {
    slices.sort((one, other) => one.from - other.from);
    let call: Call | undefined;
    let end = 0;
    for (const slice of slices) {
      const { from, length } = slice;
      const gap = from - end;
      // Slices may overlap: equal bytes of a file are one slice, wanted several times.
      const adds = Math.max(0, from + length - end);
      if (call && gap <= GAP_BYTES && call.bytes + adds <= CALL_BYTES) {
        call.runs[call.runs.length - 1] = (call.runs[call.runs.length - 1] as number) + adds;
        call.bytes += adds;
      } else {
        if (!call || call.bytes + length > CALL_BYTES || gap < 0) {
          call = { pack, slices: [], runs: [], bytes: 0 };
          calls.push(call);
        }
        call.runs.push(from, length);
        call.bytes += length;
      }
      call.slices.push(slice);
      end = Math.max(end, from + length);
    }
  }
  return calls;
}
