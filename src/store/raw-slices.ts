/**
 * Slices of blobs that stand uncoded in their records, taken without looking at the rest of the blob. After a long
 * history a file is made of a little of very many blobs: to check each one whole takes several times as long as to
 * bring the file back.
 *
 * A step of such a file has thousands of slices, read by a process that has just started: the engine walks them, because
 * V8 takes longer to compile the loops well than these take to run.
 */
import type { SliceRange } from '../engine/engine.js';
import type { Digest } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { Demand } from './blob-plan.js';
import type { ExtentTable } from './extent-table.js';
import { LooseBlobs } from './loose-blobs.js';
import type { Packs } from './packs.js';

/** Extents that are looked at to tell what a file is made of. */
const SAMPLE = 64;
/** Of these, the share that has to be read loosely. */
const MOSTLY = 0.9;
/** Blobs of a table that are looked up all at once. */
const LOOKED_UP_MAX = 4096;

/** Bytes of a table. */
export interface Stretch {
  readonly table: ExtentTable;
  readonly offset: number;
  readonly length: number;
}

export class RawSlices {
  readonly #packs: Packs;
  readonly #fetch: BlobFetch;
  /**
   * A table is asked for twice, ahead and to read. What a prune has moved since reads as other bytes, which the caller
   * finds as it finds any damage.
   */
  readonly #known = new WeakMap<ExtentTable, LooseBlobs>();

  constructor(packs: Packs, fetch: BlobFetch) {
    this.#packs = packs;
    this.#fetch = fetch;
  }

  /**
   * Copies what it can to the beginning of the target; gives the demands that are left. Zeros are written. What it copies
   * is not verified in any way.
   */
  async fill(stretch: Stretch, target: Buffer): Promise<Demand[]> {
    const { table, offset } = stretch;
    const range = rangeOf(stretch);
    const loose = await this.#learn(table, within(table, range));
    const left = loose.left(range.first, range.last);
    for (const packs of loose.calls(range.first, range.last)) {
      const what = { slices: loose.slices, range, into: target };
      const failed = await this.#packs.readSlices(packs, what).catch(() => null);
      if (failed === null) return carefully(stretch, range, target);
      for (const index of failed) left.push(index);
    }
    return left.map((index) => demand(stretch, index, Math.max(0, (table.starts[index] as number) - offset)));
  }

  /** Asks the system to read ahead what `fill` will read of these bytes; gives the blobs that it will not. */
  async prefetch(stretch: Stretch): Promise<readonly Digest[]> {
    const { digests, blobs } = stretch.table.columns;
    const range = rangeOf(stretch);
    const loose = await this.#learn(stretch.table, within(stretch.table, range));
    for (const packs of loose.calls(range.first, range.last))
      await this.#packs.readSlices(packs, { slices: loose.slices, range });
    const left = new Set(loose.left(range.first, range.last).map((index) => blobs[index] as number));
    return Array.from(left, (blob) => digests[blob - 1] as Digest);
  }

  /** Whether most of a table is read loosely, as far as some of its extents tell. Then all of it is that can be. */
  async isLoose(table: ExtentTable): Promise<boolean> {
    const { blobs, digests } = table.columns;
    const sample = sampleOf(blobs);
    // Each step asks for some more of the blobs, and waits for them: to have them all at once costs little more.
    const loose = await this.#learn(table, digests.length <= LOOKED_UP_MAX ? blobs : sample);
    let sampled = 0;
    let found = 0;
    for (let index = 0; index < sample.length; index += 1) {
      const blob = sample[index] as number;
      if (blob === 0) continue;
      sampled += 1;
      if (loose.isLoose(blob)) found += 1;
    }
    if (found === 0 || found < sampled * MOSTLY) return false;
    loose.takeWhole();
    return true;
  }

  /** @param wanted numbers of blobs of the table; 0 is none */
  async #learn(table: ExtentTable, wanted: Uint32Array): Promise<LooseBlobs> {
    let loose = this.#known.get(table);
    if (!loose) {
      loose = new LooseBlobs(table);
      this.#known.set(table, loose);
    }
    const blobs = loose.unknown(wanted);
    if (blobs.length > 0) {
      loose.ready = Promise.all([loose.ready, this.#look(table, loose, blobs)]);
      // Who asks later is told, too.
      loose.ready.catch(() => {});
    }
    await loose.ready;
    return loose;
  }

  async #look(table: ExtentTable, loose: LooseBlobs, blobs: readonly number[]): Promise<void> {
    // Of a sealed record no part can be read.
    if (this.#packs.records.sealed) return;
    const infos = await this.#fetch.infos(blobs.map((blob) => table.columns.digests[blob - 1] as Digest));
    for (let index = 0; index < blobs.length; index += 1) loose.note(blobs[index] as number, infos[index]);
  }
}

/** Numbers of the blobs that some of the extents are of. */
function sampleOf(blobs: Uint32Array): Uint32Array {
  const step = Math.max(1, Math.ceil(blobs.length / SAMPLE));
  return Uint32Array.from({ length: Math.ceil(blobs.length / step) }, (_, index) => blobs[index * step] as number);
}

/** Numbers of the blobs of these extents. */
function within({ columns }: ExtentTable, { first, last }: SliceRange): Uint32Array {
  return columns.blobs.subarray(first, last + 1);
}

function rangeOf({ table, offset, length }: Stretch): SliceRange {
  return { ...table.covering(offset, length), offset, length };
}

function demand(stretch: Stretch, index: number, at: number): Demand {
  const { digest, offset, length } = stretch.table.cut(index, stretch);
  return { digest: digest as Digest, offset, length, at };
}

/** Everything is left; zeros are written. */
function carefully(stretch: Stretch, { first, last }: SliceRange, target: Buffer): Demand[] {
  const demands: Demand[] = [];
  let at = 0;
  for (let index = first; index <= last; index += 1) {
    const { digest, length } = stretch.table.cut(index, stretch);
    if (digest === null) target.fill(0, at, at + length);
    else demands.push(demand(stretch, index, at));
    at += length;
  }
  return demands;
}
