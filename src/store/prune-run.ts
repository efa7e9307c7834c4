/**
 * One prune. Order: the kept history and the blobs that have to move are written to packs of their own, beside running
 * captures; then, while no transaction is open, what captures have used meanwhile is added, everything is synced, the
 * seal is written and synced, and the metadata follows. Only then are packs removed. Whatever happens before the seal
 * is durable leaves the old state, whatever happens after it the new one.
 */
import {
  type Checkpoint,
  decodeVersionsRecord,
  PACK_HEADER_BYTES,
  type PruneRecord,
  RECORD,
} from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { BlobSweep } from './blob-sweep.js';
import { BlobTable } from './blob-table.js';
import { blobsOfList } from './blob-uses.js';
import type { History } from './history.js';
import { HistoryPlan, keptFor } from './history-plan.js';
import { writeHistory } from './history-writer.js';
import { LiveBlobs } from './live-blobs.js';
import { isCompacted } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import { PackWindow } from './pack-window.js';
import { PackNumbers, PackWriter } from './pack-writer.js';
import { applyPrune } from './prune-apply.js';
import { keptSequences, type PrunePolicy } from './prune-policy.js';
import { readPrune, removeLeftovers, writeSeal } from './prune-state.js';
import { decodeMetaRecord } from './replay.js';
import type { TailParts } from './tail.js';
import type { PruneOptions, PruneReport } from './types.js';

/** Readers that began before the switch are waited for this long; their packs go at the next opening otherwise. */
const READERS_MS = 10_000;
const COMPACT_BELOW = 0.5;

export interface PruneParts extends TailParts {
  readonly blobs: BlobStore;
  readonly history: History;
  /** Where the log of commits ends now. */
  readonly state: () => NewestState | null;
  /** Runs the work while no transaction is open and nobody reads the metadata. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /**
   * The seal may be durable and the metadata does not follow: brings both together. `misplaced`: places may be those of a
   * pack that another one has replaced; nothing is read until they are known.
   */
  readonly failed: (what?: { readonly misplaced: boolean }) => Promise<void>;
  /** False when the time is over, or the signal came. */
  readonly readersOver: (timeoutMs: number, signal?: AbortSignal) => Promise<boolean>;
}

/** Facts of a checkpoint that the choice needs; there may be a million. */
type CheckpointFacts = Pick<Checkpoint, 'sequence' | 'timeMs' | 'tag' | 'storedBytes'>;

export async function pruneStore(parts: PruneParts, policy: PrunePolicy, options: PruneOptions): Promise<PruneReport> {
  const began = parts.state();
  const checkpoints: CheckpointFacts[] = [];
  for await (const { sequence, timeMs, tag, storedBytes } of parts.history.checkpoints(-1)) {
    if (sequence <= (began?.sequence ?? 0)) checkpoints.push({ sequence, timeMs, tag, storedBytes });
  }
  const kept = keptSequences(checkpoints, policy);
  const dryRun = options.dryRun ?? false;
  // Packs that the last prune had to leave to readers may be read still.
  if (!dryRun && (await parts.readersOver(0))) await removeLeftovers(parts, await readPrune(parts.meta));
  const bytesBefore = await packBytes(parts);
  const known = new Set(kept);
  const dropped = checkpoints.map(({ sequence }) => sequence).filter((sequence) => !known.has(sequence));
  const none = { versions: 0, movedBytes: 0, removedPacks: 0, writtenPacks: 0, damaged: 0, packsLeft: 0 };
  const report = { dryRun, kept, dropped: dropped.reverse(), bytesBefore, bytesAfter: bytesBefore, ...none };
  if (!began) return report;
  const run = new PruneRun(parts, options, { began, kept, checkpoints });
  // Without anything to drop it may still pay to put packs together, but not to write the history for nothing.
  if (dryRun || dropped.length === 0) {
    const found = await run.measure();
    if (dryRun || found.removedPacks === 0) {
      return { ...report, ...found, bytesAfter: dryRun ? bytesBefore + found.change : bytesBefore };
    }
  }
  const done = await new PruneRun(parts, options, { began, kept, checkpoints }).carryOut();
  return { ...report, ...done, bytesAfter: await packBytes(parts) };
}

async function packBytes({ packs }: PruneParts): Promise<number> {
  let bytes = 0;
  for (const pack of await packs.list()) bytes += await packs.fileBytes(pack);
  return bytes;
}

type Outcome = Pick<PruneReport, 'versions' | 'movedBytes' | 'removedPacks' | 'writtenPacks' | 'damaged' | 'packsLeft'>;

interface RunFacts {
  readonly began: NewestState;
  readonly kept: readonly number[];
  readonly checkpoints: readonly CheckpointFacts[];
}

class PruneRun {
  readonly #parts: PruneParts;
  readonly #options: PruneOptions;
  readonly #facts: RunFacts;
  readonly #window: PackWindow;
  #table!: BlobTable;
  #live!: LiveBlobs;
  #sweep!: BlobSweep;
  #versions = 0;
  #sealing = false;

  constructor(parts: PruneParts, options: PruneOptions, facts: RunFacts) {
    this.#parts = parts;
    this.#options = options;
    this.#facts = facts;
    this.#window = new PackWindow(parts.packs);
  }

  /** What carrying out would do; writes nothing. `change`: of the bytes of all packs. */
  async measure(): Promise<Outcome & { readonly change: number }> {
    let historyBytes = 0;
    await this.#mark(null, async (record) => {
      historyBytes += record.length;
    });
    await this.#sweep.move();
    const { movedBytes, retired } = this.#sweep;
    const change = historyBytes + movedBytes - (await this.#sweep.retiredBytes());
    return { ...this.#outcome(retired.length, 0), change };
  }

  #outcome(removedPacks: number, writtenPacks: number): Outcome {
    const { movedBytes } = this.#sweep;
    const damaged = this.#live.damaged;
    return { versions: this.#versions, movedBytes, removedPacks, writtenPacks, damaged, packsLeft: 0 };
  }

  async carryOut(): Promise<Outcome> {
    const { packs } = this.#parts;
    const numbers = new PackNumbers(await packs.list());
    const history = new PackWriter(packs, numbers);
    const blobs = new PackWriter(packs, numbers);
    let prune: PruneRecord | undefined;
    try {
      await this.#mark(blobs, async (record) => void (await history.append(record)));
      await this.#sweep.move();
      await this.#parts.alone(async () => {
        prune = await this.#finish({ history, blobs, numbers });
      });
    } catch (error) {
      for (const writer of [history, blobs]) {
        // What stays on disk is removed when the store is opened, or pruned, again.
        await (this.#sealing ? writer.release() : writer.abandon()).catch(() => {});
      }
      throw error;
    }
    const { retired } = this.#sweep;
    const left = await this.#remove(prune as PruneRecord);
    return { ...this.#outcome(retired.length, numbers.last - numbers.first + 1), packsLeft: left };
  }

  /** Packs that could not be removed now. */
  async #remove(prune: PruneRecord): Promise<number> {
    try {
      if (await this.#parts.readersOver(READERS_MS)) await removeLeftovers(this.#parts, prune);
      else this.#parts.logger.warn({}, 'readers still use packs that are not needed any more: they go later');
    } catch (error) {
      this.#parts.logger.warn({ error: String(error) }, 'packs that are not needed any more cannot be removed now');
    }
    const there = new Set(await this.#parts.packs.list());
    return prune.retired.filter((pack) => there.has(pack)).length;
  }

  /** Chooses what stays, and writes the history on the way. */
  async #mark(writer: PackWriter | null, append: (record: Buffer) => Promise<void>): Promise<void> {
    const { meta, blobs, logger, packs } = this.#parts;
    const { allowDamaged = false, signal, onProgress, compactBelow = COMPACT_BELOW } = this.#options;
    const { began, kept } = this.#facts;
    const window = this.#window;
    // What commits append from now on is not ours to move.
    this.#table = await BlobTable.load(
      meta,
      ({ pack, offset }) => isCompacted(pack) || pack < began.pack || (pack === began.pack && offset < began.length),
      signal,
    );
    const table = this.#table;
    const live = new LiveBlobs({ table, blobs, window, logger, allowDamaged, signal });
    this.#live = live;
    this.#sweep = new BlobSweep({ table, live, window, packs, writer, compactBelow, signal, onProgress });
    const before = (await packs.list()).filter((pack) => isCompacted(pack) || pack < began.pack);
    this.#versions = await writeHistory({
      ...this.#parts,
      window,
      plan: await HistoryPlan.make(meta, kept, signal),
      checkpoint: this.#checkpoints(),
      append,
      onVersion: (version) => live.markVersion(version),
      signal,
    });
    await live.closeRecipes();
    await this.#sweep.choose(before);
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

  /** The last step, while nobody writes. */
  async #finish(writers: {
    readonly history: PackWriter;
    readonly blobs: PackWriter;
    readonly numbers: PackNumbers;
  }): Promise<PruneRecord> {
    const { history, blobs, numbers } = writers;
    const { began, kept } = this.#facts;
    await this.#markSince();
    await this.#sweep.move();
    await blobs.close();
    await history.close();
    const prune: PruneRecord = {
      sequence: began.sequence,
      digest: began.checkpointDigest,
      firstPack: numbers.first,
      lastPack: numbers.last + 2,
      history: [...history.written],
      retired: this.#sweep.retired,
    };
    this.#sealing = true;
    try {
      await writeSeal(this.#parts, history, prune);
      await applyPrune(this.#parts, prune, { table: this.#table, kept });
    } catch (error) {
      await history.release();
      await this.#parts.failed();
      throw error;
    }
    return prune;
  }

  /** What commits have used since the beginning: nothing else can use a blob that is about to go. */
  async #markSince(): Promise<void> {
    const { packs, blobs, engine, algo } = this.#parts;
    const { began } = this.#facts;
    const now = this.#parts.state() ?? began;
    for (const pack of await packs.commits()) {
      if (pack < began.pack || pack > now.pack) continue;
      const from = pack === began.pack ? began.length : PACK_HEADER_BYTES;
      const end = pack === now.pack ? now.length : await packs.length(pack);
      for await (const scanned of scanPack(packs, { pack, from, end })) {
        if (scanned.kind === 'damage') continue;
        const { head, contextList } = scanned.record;
        if (contextList.length > 0) for (const digest of blobsOfList(contextList)) this.#live.mark(digest);
        if (head.kind === RECORD.recipe) {
          const [bytes] = await blobs.read([head.digest]);
          if (Buffer.isBuffer(bytes)) for (const digest of blobsOfList(bytes)) this.#live.mark(digest);
        } else if (head.kind === RECORD.versions) {
          const bytes = await decodeMetaRecord(engine, algo, scanned.record);
          for (const version of decodeVersionsRecord(bytes).versions) this.#live.markVersion(version);
        }
      }
    }
    await this.#live.closeRecipes();
  }
}
