/** The packs as a checkpoint of another process's store left them: what its owner appends meanwhile is not there. */
import type { PruneRecord } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { PackFacts } from './pack-facts.js';
import { isCompacted } from './pack-names.js';
import { Packs } from './packs.js';

export interface ViewEnd {
  readonly state: NewestState | null;
  readonly prune: PruneRecord | null;
  /** Packs up to this number are kept though no prune names them. */
  readonly unsealed: number;
}

/** Who holds the packs for us. */
export interface PackOwner {
  assertAlive(): void;
  ping(): Promise<void>;
}

export class ViewPacks extends Packs {
  readonly #owner: PackOwner;
  #end: ViewEnd = { state: null, prune: null, unsealed: 0 };

  constructor(directory: string, facts: PackFacts, owner: PackOwner) {
    super(directory, facts);
    this.#owner = owner;
  }

  /** From now on. */
  endAt(end: ViewEnd): void {
    this.#end = end;
  }

  override async list(): Promise<number[]> {
    const { state, prune, unsealed } = this.#end;
    const compacted = Math.max(prune?.lastPack ?? 0, unsealed);
    return (await super.list()).filter((pack) => pack <= (isCompacted(pack) ? compacted : (state?.pack ?? 0)));
  }

  override async length(pack: number): Promise<number> {
    return this.#within(pack, await super.length(pack));
  }

  override async fileBytes(pack: number): Promise<number> {
    return this.#within(pack, await super.fileBytes(pack));
  }

  #within(pack: number, bytes: number): number {
    const { state } = this.#end;
    return pack === state?.pack ? Math.min(bytes, state.length) : bytes;
  }

  override headerDamage(...what: Parameters<Packs['headerDamage']>): ReturnType<Packs['headerDamage']> {
    return this.#held(() => super.headerDamage(...what));
  }

  override read(pack: number, offset: number, bytes: number, into?: Buffer): Promise<Buffer> {
    return this.#held(() => super.read(pack, offset, bytes, into));
  }

  override soundFrom(...what: Parameters<Packs['soundFrom']>): Promise<number> {
    return this.#held(() => super.soundFrom(...what));
  }

  override fileStretches(...what: Parameters<Packs['fileStretches']>): ReturnType<Packs['fileStretches']> {
    return this.#held(() => super.fileStretches(...what));
  }

  override readPast(...what: Parameters<Packs['readPast']>): Promise<Buffer> {
    return this.#held(() => super.readPast(...what));
  }

  override readFile(pack: number, offset: number, bytes: number): Promise<Buffer> {
    return this.#held(() => super.readFile(pack, offset, bytes));
  }

  override readRuns(pack: number, runs: Float64Array, into: Buffer, direct = false): Promise<Float64Array> {
    return this.#held(() => super.readRuns(pack, runs, into, direct));
  }

  override readChain(...what: Parameters<Packs['readChain']>): Promise<Buffer | null> {
    return this.#held(() => super.readChain(...what));
  }

  override withDescriptors<T>(packs: readonly number[], work: (fds: Int32Array) => Promise<T>): Promise<T> {
    return this.#held(() => super.withDescriptors(packs, work));
  }

  override readSlices(...what: Parameters<Packs['readSlices']>): Promise<Uint32Array> {
    return this.#held(() => super.readSlices(...what));
  }

  override prefetch(pack: number, runs: Float64Array): Promise<void> {
    return this.#held(() => super.prefetch(pack, runs));
  }

  /** A pack that is missing because its owner has gone must not be taken for damage. */
  async #held<T>(work: () => Promise<T>): Promise<T> {
    this.#owner.assertAlive();
    try {
      return await work();
    } catch (error) {
      await this.#owner.ping();
      throw error;
    }
  }
}
