/**
 * Which versions a pruned history has. Each kept checkpoint takes over what happened since the kept one before it: of
 * each path the last version. Versions are kept as numbers, 36 bytes each, and read later in the order of their places.
 */
import { type BytePath, DiffKeeperError, throwIfAborted } from '../core/core.js';
import { decodeVersionPlace } from './index-changes.js';
import { lowerBound } from './lower-bound.js';
import { KEY_LETTER, prefixRange, versionKeyFacts } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { sortRows } from './sort-rows.js';

/** A version but for its offset: pack (as its number in a list) 18 bits, index in the record 18, first of its path 1. */
const INDEX_MAX = 2 ** 18;
const PACKS_MAX = 2 ** 18;
const FIRST_ROWS = 4096;

/** Where a version of the new history stands now. */
export interface PlannedVersion {
  readonly pack: number;
  readonly offset: number;
  readonly index: number;
  /** What the version has to be: a place that is older than its pack may be that of another one. */
  readonly sequence: number;
  readonly pathHash: number;
  /** Nothing older of its path is kept: a removal has nothing to hide. */
  readonly first: boolean;
}

export class HistoryPlan {
  /** Sequences that stay, ascending. */
  readonly kept: readonly number[];
  readonly #packs: number[] = [];
  readonly #packNumbers = new Map<number, number>();
  #count = 0;
  #facts = new Float64Array(FIRST_ROWS);
  /** A dense pack stands for more bytes than 32 bits count. */
  #offsets = new Float64Array(FIRST_ROWS);
  #sequences = new Float64Array(FIRST_ROWS);
  #paths = new Uint32Array(FIRST_ROWS);
  #groups = new Uint32Array(FIRST_ROWS);
  /** Once planned: rows by checkpoint and place, and where those of each kept checkpoint begin. */
  #order = new Uint32Array(0);
  #starts = new Uint32Array(0);

  private constructor(kept: readonly number[]) {
    this.kept = kept;
  }

  /** Plans for all versions up to the last kept checkpoint. */
  static async make(meta: MetaReader, kept: readonly number[], signal?: AbortSignal): Promise<HistoryPlan> {
    const plan = new HistoryPlan(kept);
    let path: BytePath | null = null;
    let candidate: Candidate | null = null;
    let first = true;
    const settle = (): void => {
      if (candidate) plan.#add(candidate, first);
      first = false;
      candidate = null;
    };
    for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.version])))) {
      throwIfAborted(signal);
      for (const [key, value] of entries) {
        const facts = versionKeyFacts(key);
        const group = keptFor(kept, facts.sequence);
        if (group === kept.length) continue;
        if (candidate && (facts.path !== path || (candidate as Candidate).group !== group)) settle();
        if (facts.path !== path) first = true;
        path = facts.path;
        candidate = { ...facts, group, value };
      }
    }
    settle();
    await plan.#arrange();
    return plan;
  }

  get count(): number {
    return this.#count;
  }

  #add({ group, value, path, sequence }: Candidate, first: boolean): void {
    const { place, index } = decodeVersionPlace(value);
    let pack = this.#packNumbers.get(place.pack);
    if (pack === undefined) {
      pack = this.#packs.length;
      this.#packs.push(place.pack);
      this.#packNumbers.set(place.pack, pack);
    }
    if (index >= INDEX_MAX || pack >= PACKS_MAX) {
      throw new DiffKeeperError(
        'DK_LIMIT',
        'there are too many packs, or a record of versions is too long, to be pruned',
      );
    }
    if (this.#count === this.#facts.length) this.#grow();
    this.#facts[this.#count] = (pack * INDEX_MAX + index) * 2 + Number(first);
    this.#offsets[this.#count] = place.offset;
    this.#sequences[this.#count] = sequence;
    this.#paths[this.#count] = pathHash(path);
    this.#groups[this.#count] = group;
    this.#count += 1;
  }

  #grow(): void {
    const rows = Math.ceil(this.#facts.length * 1.5);
    const longer = <T extends Float64Array | Uint32Array>(column: T, grown: T): T => {
      grown.set(column);
      return grown;
    };
    this.#facts = longer(this.#facts, new Float64Array(rows));
    this.#offsets = longer(this.#offsets, new Float64Array(rows));
    this.#sequences = longer(this.#sequences, new Float64Array(rows));
    this.#paths = longer(this.#paths, new Uint32Array(rows));
    this.#groups = longer(this.#groups, new Uint32Array(rows));
  }

  /** Sorts by checkpoint, then by place. */
  async #arrange(): Promise<void> {
    const starts = new Uint32Array(this.kept.length + 1);
    for (let row = 0; row < this.#count; row += 1) {
      const group = (this.#groups[row] as number) + 1;
      starts[group] = (starts[group] as number) + 1;
    }
    for (let group = 1; group < starts.length; group += 1) {
      starts[group] = (starts[group] as number) + (starts[group - 1] as number);
    }
    const next = starts.slice();
    const order = new Uint32Array(this.#count);
    for (let row = 0; row < this.#count; row += 1) {
      const group = this.#groups[row] as number;
      order[next[group] as number] = row;
      next[group] = (next[group] as number) + 1;
    }
    const [facts, offsets] = [this.#facts, this.#offsets];
    const byPlace = (one: number, other: number): number =>
      packOf(facts[one] as number) - packOf(facts[other] as number) ||
      (offsets[one] as number) - (offsets[other] as number) ||
      (facts[one] as number) - (facts[other] as number);
    for (let group = 0; group < this.kept.length; group += 1) {
      await sortRows(order.subarray(starts[group], starts[group + 1]), byPlace);
    }
    this.#groups = new Uint32Array(0);
    this.#order = order;
    this.#starts = starts;
  }

  /** What the kept checkpoint of this index has, in the order of places. */
  *versions(group: number): Generator<PlannedVersion> {
    for (const row of this.#order.subarray(this.#starts[group], this.#starts[group + 1])) {
      const value = this.#facts[row] as number;
      yield {
        pack: this.#packs[packOf(value)] as number,
        offset: this.#offsets[row] as number,
        index: Math.floor(value / 2) % INDEX_MAX,
        sequence: this.#sequences[row] as number,
        pathHash: this.#paths[row] as number,
        first: value % 2 === 1,
      };
    }
  }
}

/** The last version of a path for a kept checkpoint, as far as the walk has come. */
interface Candidate {
  readonly group: number;
  readonly value: Buffer;
  readonly path: BytePath;
  readonly sequence: number;
}

/** FNV-1a, 32 bits: tells one path from another that stands where it should, not from one that was made to be taken for it. */
export function pathHash(path: BytePath): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < path.length; at += 1) hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function packOf(facts: number): number {
  return Math.floor(facts / (2 * INDEX_MAX));
}

/** Index of the kept checkpoint that takes over this sequence; `kept.length` when it is newer than all of them. */
export function keptFor(kept: readonly number[], sequence: number): number {
  return lowerBound(kept, sequence, (one) => one);
}
