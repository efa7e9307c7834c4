/** What a prune would do: which blobs stay, which packs go, and what that writes and gives back. Only reads. */
import type { Logger } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checkpoint, encodePrune, PACK_HEADER_BYTES, RECORD, type Version } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { BlobSweep } from './blob-sweep.js';
import { BlobTable } from './blob-table.js';
import type { History } from './history.js';
import { HistoryPlan, keptFor } from './history-plan.js';
import { writeHistory } from './history-writer.js';
import { LiveBlobs } from './live-blobs.js';
import { newestRecord } from './log-end.js';
import type { MetaReader } from './meta-reader.js';
import { encodeMetaRecord } from './meta-record.js';
import { isCompacted } from './pack-names.js';
import { PackWindow } from './pack-window.js';
import type { PackWriter } from './pack-writer.js';
import type { Packs } from './packs.js';
import type { PruneOptions } from './types.js';

const COMPACT_BELOW = 0.5;

export interface PlanParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly meta: MetaReader;
  readonly packs: Packs;
  readonly logger: Logger;
  readonly blobs: BlobStore;
  readonly history: History;
}

/** Facts of a checkpoint that the choice needs; there may be a million. */
export type CheckpointFacts = Pick<Checkpoint, 'sequence' | 'timeMs' | 'tag' | 'storedBytes'>;

export interface PlanFacts {
  /** Where the log of commits ended when the prune began. */
  readonly began: NewestState;
  /** Sequences, ascending. */
  readonly kept: readonly number[];
  readonly checkpoints: readonly CheckpointFacts[];
  /** Packs were condensed: what is written will be. */
  readonly dense: boolean;
}

/** Told of each version that stays, and before each record of versions. */
export interface HistoryHooks {
  readonly onVersion: (version: Version) => void;
  readonly beforeRecord?: () => Promise<void>;
}

export class PrunePlan {
  readonly table: BlobTable;
  readonly live: LiveBlobs;
  readonly sweep: BlobSweep;
  readonly #parts: PlanParts;
  readonly #facts: PlanFacts;
  readonly #signal: AbortSignal | undefined;
  readonly #history: HistoryPlan;
  /** The newest checkpoint's record, once it was asked for; null when something stands behind it. */
  #newest: Buffer | null | undefined;
  #versions = 0;
  #change = 0;

  private constructor(
    parts: PlanParts,
    options: PruneOptions,
    known: { readonly facts: PlanFacts; readonly table: BlobTable; readonly history: HistoryPlan },
  ) {
    const { packs, blobs, logger } = parts;
    const { allowDamaged = false, signal, onProgress, compactBelow = COMPACT_BELOW } = options;
    const { facts, table, history } = known;
    const window = new PackWindow(packs);
    this.#parts = parts;
    this.#facts = facts;
    this.#signal = signal;
    this.#history = history;
    this.table = table;
    this.live = new LiveBlobs({ table, blobs, window, logger, allowDamaged, signal });
    const { dense } = facts;
    this.sweep = new BlobSweep({ table, live: this.live, window, packs, compactBelow, dense, signal, onProgress });
  }

  /** Throws DK_CORRUPT_*, DK_ABORTED, DK_IO, DK_LIMIT. */
  static async make(parts: PlanParts, options: PruneOptions, facts: PlanFacts): Promise<PrunePlan> {
    const { began, kept } = facts;
    const { signal } = options;
    // What commits append from now on is not ours to move.
    const table = await BlobTable.load(
      parts.meta,
      ({ pack, offset }) => isCompacted(pack) || pack < began.pack || (pack === began.pack && offset < began.length),
      signal,
    );
    const history = await HistoryPlan.make(parts.meta, kept, signal);
    const plan = new PrunePlan(parts, options, { facts, table, history });
    await plan.#choose();
    return plan;
  }

  /** Versions, removals included, that the kept checkpoints will have. */
  get versions(): number {
    return this.#versions;
  }

  /** Of the bytes of all packs; below 0 when space is given back. */
  get change(): number {
    return this.#change;
  }

  /** Whether the pack that commits append to is to go: it must be closed before. */
  get closesLast(): boolean {
    return this.sweep.isRetired(this.#facts.began.pack);
  }

  /** The record that closes the log when its last pack goes. */
  get newestRecord(): Buffer | null {
    return this.#newest ?? null;
  }

  async #choose(): Promise<void> {
    const { packs } = this.#parts;
    const { began, dense } = this.#facts;
    let historyBytes = PACK_HEADER_BYTES;
    const append = async (record: Buffer): Promise<void> => {
      historyBytes += record.length;
    };
    this.#versions = await this.write(append, { onVersion: (version) => this.live.markVersion(version) });
    await this.live.closeRecipes();
    const there = (await packs.list()).filter((pack) => isCompacted(pack) || pack <= began.pack);
    const fixedBytes = 2 * (PACK_HEADER_BYTES + (await this.#sealBytes(there)));
    const versionsOf = dense ? this.#versionsByPack() : new Map<number, number>();
    this.#change = await this.sweep.choose(there, {
      history: { bytes: historyBytes, versionsOf },
      fixedBytes,
      last: { pack: began.pack, record: () => this.#findNewest() },
    });
  }

  /** Which packs the versions stand in now, and how many. */
  #versionsByPack(): Map<number, number> {
    const counts = new Map<number, number>();
    for (let group = 0; group < this.#facts.kept.length; group += 1) {
      for (const { pack } of this.#history.versions(group)) counts.set(pack, (counts.get(pack) ?? 0) + 1);
    }
    return counts;
  }

  async #findNewest(): Promise<Buffer | null> {
    if (this.#newest === undefined) this.#newest = await newestRecord(this.#parts.packs, this.#facts.began);
    return this.#newest;
  }

  async #sealBytes(retired: readonly number[]): Promise<number> {
    const { sequence, checkpointDigest: digest } = this.#facts.began;
    const [firstPack, lastPack] = [0xffffffff, 0xffffffff];
    const seal = encodePrune({ sequence, digest, firstPack, lastPack, history: [firstPack], retired });
    return (await encodeMetaRecord(this.#parts, RECORD.prune, seal)).record.length;
  }

  /** Writes the kept history; gives the number of versions, removals included. */
  write(append: (record: Buffer) => Promise<void>, hooks: HistoryHooks): Promise<number> {
    return writeHistory({
      ...this.#parts,
      ...hooks,
      window: new PackWindow(this.#parts.packs),
      plan: this.#history,
      checkpoint: this.#checkpoints(),
      append,
      signal: this.#signal,
    });
  }

  /** Kept checkpoints count as theirs what the dropped ones before them stored. */
  #checkpoints(): (sequence: number) => Promise<Checkpoint> {
    const { kept, checkpoints } = this.#facts;
    const stored = new Float64Array(kept.length + 1);
    for (const { sequence, storedBytes } of checkpoints) {
      const group = keptFor(kept, sequence);
      stored[group] = (stored[group] as number) + storedBytes;
    }
    return async (sequence) => {
      const { checkpoint } = await this.#parts.history.stored(sequence);
      return { ...checkpoint, storedBytes: stored[keptFor(kept, sequence)] as number };
    };
  }

  /** Copies what stays out of the packs that go. */
  move(writer: PackWriter): Promise<void> {
    return this.sweep.move(writer);
  }
}
