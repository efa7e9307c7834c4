/** Which packs a prune rewrites: those that are mostly dead, and more of them where the store would grow otherwise. */
import { LIMITS } from '../core/core.js';
import { PACK_HEADER_BYTES } from '../format/format.js';
import { isCompacted } from './pack-names.js';
import type { Packs } from './packs.js';

/** Packs of earlier prunes that are smaller are put together. */
const SMALL_PACK_BYTES = LIMITS.packBytes / 4;
/** The pack that commits append to is closed for no less than this, bytes: a block of most file systems. */
const LAST_PACK_GAIN_MIN = 4096;
/** So that a store does not grow, packs are rewritten of which at least this share is dead, and shorter ones for less. */
const REWRITTEN_SHARE_MIN = 1 / 8;
const SHORT_PACK_BYTES = LIMITS.packBytes / 64;
/** What stays of dense packs stands plainly on the disk until it is dense again: no more than this at once. */
const UNFOLDED_BYTES_MAX = 4 * LIMITS.packBytes;
/** A history without the blobs that it names takes this share of its bytes when it is dense, about. */
const DENSE_HISTORY_SHARE = 0.25;

/** What a prune writes besides the blobs that it moves. */
export interface PruneCosts {
  readonly history: {
    readonly bytes: number;
    /** How many of its versions stand in each pack now; asked for when packs were condensed. */
    readonly versionsOf: ReadonlyMap<number, number>;
  };
  readonly fixedBytes: number;
  readonly last: {
    /** The one that commits append to. */
    readonly pack: number;
    /** What has to be written when it goes; null when it cannot go. */
    readonly record: () => Promise<Buffer | null>;
  };
}

export interface CandidatePack {
  readonly pack: number;
  readonly fileBytes: number;
  /** Of a dense pack those of the plain one that it stands for. */
  readonly length: number;
  /** Its blobs are dense afterwards, as they are now. */
  readonly dense: boolean;
}

export interface ChoiceOptions {
  readonly compactBelow: number;
  /** Packs were condensed: what is written will be. */
  readonly dense: boolean;
}

export class PackChoice {
  readonly #packs: Packs;
  readonly #costs: PruneCosts;
  readonly #options: ChoiceOptions;
  readonly #retired = new Map<number, CandidatePack>();
  readonly #versions: number;
  #unfolded = 0;
  #lastBytes = 0;

  constructor(packs: Packs, costs: PruneCosts, options: ChoiceOptions) {
    this.#packs = packs;
    this.#costs = costs;
    this.#options = options;
    let versions = 0;
    for (const count of costs.history.versionsOf.values()) versions += count;
    this.#versions = versions;
  }

  /** @param used bytes of records of each pack that stay */
  async choose(candidates: readonly number[], used: ReadonlyMap<number, number>): Promise<Set<number>> {
    const { compactBelow } = this.#options;
    const rest: CandidatePack[] = [];
    const small: CandidatePack[] = [];
    for (const pack of candidates) {
      const bytes = used.get(pack) ?? 0;
      const found = await this.#candidate(pack, bytes);
      if (!found || !(await this.#mayGo(found, bytes))) continue;
      const cost = costOf(found, bytes);
      if (bytes === 0 || cost < found.fileBytes * compactBelow) this.#take(found, bytes);
      else if (isCompacted(pack) && !found.dense && found.fileBytes < SMALL_PACK_BYTES) small.push(found);
      else rest.push(found);
    }
    if (small.length > 1) for (const found of small) this.#take(found, used.get(found.pack) ?? 0);
    else rest.push(...small);
    if (compactBelow > 0) this.#takeMore(rest, used);
    return new Set(this.#retired.keys());
  }

  async #candidate(pack: number, used: number): Promise<CandidatePack | null> {
    const fileBytes = await this.#packs.fileBytes(pack);
    // What stays of a dense pack is copied into a plain one, which becomes dense again only where that was asked for.
    const dense = this.#options.dense && used <= UNFOLDED_BYTES_MAX && (await this.#packs.isDense(pack));
    return { pack, fileBytes, length: await this.#packs.length(pack), dense };
  }

  async #mayGo(found: CandidatePack, used: number): Promise<boolean> {
    const { last } = this.#costs;
    if (found.pack !== last.pack) return true;
    // Nothing is appended to a dense one.
    if (!found.dense && found.fileBytes - costOf(found, used) < LAST_PACK_GAIN_MIN) return false;
    const record = await last.record();
    this.#lastBytes = PACK_HEADER_BYTES + (record?.length ?? 0);
    return record !== null;
  }

  #take(found: CandidatePack, used: number): void {
    const unfolds = found.dense && used > 0;
    if (unfolds && this.#unfolded + used > UNFOLDED_BYTES_MAX) return;
    if (unfolds) this.#unfolded += used;
    this.#retired.set(found.pack, found);
  }

  /** Those that give back the most for what is moved, until the store does not grow any more. */
  #takeMore(rest: readonly CandidatePack[], used: ReadonlyMap<number, number>): void {
    const gain = (found: CandidatePack) =>
      found.fileBytes - costOf(found, used.get(found.pack) ?? 0) + (found.dense ? this.#historyOf(found.pack) : 0);
    const share = (found: CandidatePack) => gain(found) / found.fileBytes;
    const worth = rest.filter(
      (found) => gain(found) > 0 && (share(found) >= REWRITTEN_SHARE_MIN || found.fileBytes < SHORT_PACK_BYTES),
    );
    for (const found of worth.sort((one, other) => share(other) - share(one))) {
      if (this.change(used) <= 0) return;
      this.#take(found, used.get(found.pack) ?? 0);
    }
  }

  /** What the versions of a pack take in a dense history that is apart from their blobs. */
  #historyOf(pack: number): number {
    const { bytes, versionsOf } = this.#costs.history;
    const share = (versionsOf.get(pack) ?? 0) / Math.max(1, this.#versions);
    return DENSE_HISTORY_SHARE * bytes * share;
  }

  /** Of the bytes of all packs. */
  change(used: ReadonlyMap<number, number>): number {
    const { history, fixedBytes, last } = this.#costs;
    let change = fixedBytes + (this.#options.dense ? DENSE_HISTORY_SHARE : 1) * history.bytes;
    let moved = 0;
    for (const found of this.#retired.values()) {
      const bytes = used.get(found.pack) ?? 0;
      moved += bytes;
      change += costOf(found, bytes) - found.fileBytes;
      // What a dense pack stays with includes its history.
      if (found.dense) change -= this.#historyOf(found.pack);
      if (found.pack === last.pack) change += this.#lastBytes;
    }
    if (moved > 0 && !this.#options.dense) change += PACK_HEADER_BYTES * Math.ceil(moved / LIMITS.packBytes);
    return Math.round(change);
  }
}

/** What stays of it takes so many bytes afterwards. */
function costOf({ dense, fileBytes, length }: CandidatePack, used: number): number {
  return dense ? (fileBytes * used) / Math.max(1, length) : used;
}
