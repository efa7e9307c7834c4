/**
 * One prune. Order: the kept history and the blobs that have to move are written to packs of their own, beside running
 * captures; then, while no transaction is open, what captures have used meanwhile is added, everything is synced, the
 * seal is written and synced, and the metadata follows. Only then are packs removed. Whatever happens before the seal
 * is durable leaves the old state, whatever happens after it the new one.
 */
import { DiffKeeperError } from '../core/core.js';
import { decodeVersionsRecord, PACK_HEADER_BYTES, type PruneRecord, RECORD, type Version } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { blobsOfList, blobsOfVersion } from './blob-uses.js';
import type { History } from './history.js';
import { endBehind } from './log-end.js';
import { packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import { PackNumbers, PackWriter } from './pack-writer.js';
import { applyPrune } from './prune-apply.js';
import { type Decision, decidePrune, estimatePrune } from './prune-decision.js';
import type { PlanFacts, PrunePlan } from './prune-plan.js';
import type { PrunePolicy } from './prune-policy.js';
import { readPrune, removeLeftovers, writeSeal } from './prune-state.js';
import { decodeMetaRecord } from './replay.js';
import type { TailParts } from './tail.js';
import type { PruneOptions, PruneReport } from './types.js';

/** Readers that began before the switch are waited for this long; their packs go at the next opening otherwise. */
const READERS_MS = 10_000;
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

/** @param parts see `PruneParts` */
export async function pruneStore(parts: PruneParts, policy: PrunePolicy, options: PruneOptions): Promise<PruneReport> {
  if (options.dryRun) return estimatePrune(parts, policy, options);
  // Packs that the last prune had to leave to readers may be read still.
  if (await parts.readersOver(0)) await removeLeftovers(parts, await readPrune(parts.meta));
  let known = await parts.packs.list();
  let decision = await decidePrune(parts, policy, options);
  if (decision.plan?.closesLast && !(await closeLast(parts, decision))) {
    // Commits have come meanwhile. None can be added to the pack any more: what is decided now holds.
    known = await parts.packs.list();
    decision = await decidePrune(parts, policy, options, decision.facts?.began.sequence);
  }
  const { facts, plan, report } = decision;
  if (!plan || !facts) return report;
  const { freedBytes, ...done } = await new PruneRun(parts, { ...facts, known }, plan).carryOut();
  return { ...report, ...done, bytesAfter: report.bytesBefore - freedBytes };
}

/** False when anything was committed since the decision. */
async function closeLast(parts: PruneParts, { facts }: Decision): Promise<boolean> {
  let unchanged = false;
  await parts.alone(async () => {
    const [began, now] = [facts?.began, parts.state()];
    if (!began || !now) return;
    await parts.packs.leave(now.pack);
    unchanged = now.pack === began.pack && now.length === began.length;
  });
  return unchanged;
}

type Outcome = Pick<PruneReport, 'versions' | 'movedBytes' | 'removedPacks' | 'writtenPacks' | 'damaged' | 'packsLeft'>;

interface Writers {
  readonly history: PackWriter;
  /** The same one in a condensed store: what a history names takes no room besides when it stands with it. */
  readonly blobs: PackWriter;
  readonly numbers: PackNumbers;
}

interface RunFacts extends PlanFacts {
  /** Packs that there were when bytes were counted. */
  readonly known: readonly number[];
}

class PruneRun {
  readonly #parts: PruneParts;
  readonly #facts: RunFacts;
  readonly #plan: PrunePlan;
  #sealing = false;
  /** Bytes that the log was given so that its last pack can go. */
  #endBytes = 0;

  constructor(parts: PruneParts, facts: RunFacts, plan: PrunePlan) {
    this.#parts = parts;
    this.#facts = facts;
    this.#plan = plan;
  }

  async carryOut(): Promise<Outcome & { readonly freedBytes: number }> {
    const { packs } = this.#parts;
    const numbers = new PackNumbers(await packs.list());
    const history = new PackWriter(packs, numbers);
    const blobs = this.#facts.dense ? history : new PackWriter(packs, numbers);
    const writers = { history, blobs, numbers };
    let prune: PruneRecord | undefined;
    try {
      const versions = await this.#writeHistory(writers);
      await this.#plan.move(blobs);
      await this.#parts.alone(async () => {
        prune = await this.#finish(writers);
      });
      return await this.#ended(prune as PruneRecord, versions);
    } catch (error) {
      if (prune) throw error;
      for (const writer of [history, blobs]) {
        // What stays on disk is removed when the store is opened, or pruned, again.
        await (this.#sealing ? writer.release() : writer.abandon()).catch(() => {});
      }
      throw error;
    }
  }

  async #writeHistory({ history, blobs }: Writers): Promise<number> {
    const { sweep } = this.#plan;
    const append = async (record: Buffer): Promise<void> => void (await history.append(record));
    if (history !== blobs) return this.#plan.write(append, { onVersion: () => {} });
    let named: Version[] = [];
    return this.#plan.write(append, {
      onVersion: (version) => void named.push(version),
      beforeRecord: async () => {
        for (const version of named) for (const digest of blobsOfVersion(version)) await sweep.moveBlob(digest, blobs);
        named = [];
      },
    });
  }

  async #ended(prune: PruneRecord, versions: number): Promise<Outcome & { readonly freedBytes: number }> {
    const { packs } = this.#parts;
    const sizes = new Map<number, number>();
    for (const pack of await packs.list()) sizes.set(pack, await packs.fileBytes(pack));
    const packsLeft = await this.#remove(prune);
    let freedBytes = -this.#endBytes;
    const there = new Set(await packs.list());
    for (const [pack, bytes] of sizes) {
      if (prune.firstPack <= pack && pack <= prune.lastPack) freedBytes -= bytes;
      else if (!there.has(pack)) freedBytes += bytes;
    }
    const { live, sweep } = this.#plan;
    const writtenPacks = prune.lastPack - prune.firstPack + 1;
    const removedPacks = prune.retired.length;
    return {
      versions,
      movedBytes: sweep.movedBytes,
      removedPacks,
      writtenPacks,
      damaged: live.damaged,
      packsLeft,
      freedBytes,
    };
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

  /** The last step, while nobody writes. */
  async #finish({ history, blobs, numbers }: Writers): Promise<PruneRecord> {
    const { began, kept } = this.#facts;
    const { sweep, table } = this.#plan;
    await this.#assertThere([...history.written, ...blobs.written]);
    await this.#keepGrown();
    await this.#markSince();
    await this.#plan.move(blobs);
    await blobs.close();
    await history.close();
    const prune: PruneRecord = {
      sequence: began.sequence,
      digest: began.checkpointDigest,
      firstPack: numbers.first,
      lastPack: numbers.last + 2,
      history: [...history.written],
      retired: sweep.retired,
    };
    this.#sealing = true;
    try {
      const end = await this.#endLog();
      await writeSeal(this.#parts, history, prune);
      await applyPrune(this.#parts, prune, { table, kept, end });
    } catch (error) {
      await history.release();
      await this.#parts.failed();
      throw error;
    }
    return prune;
  }

  /** Metadata that had to be made anew meanwhile takes what no seal names for leftovers. */
  async #assertThere(written: readonly number[]): Promise<void> {
    const there = new Set(await this.#parts.packs.list());
    const gone = written.find((pack) => !there.has(pack));
    if (gone === undefined) return;
    const name = packName(gone);
    throw new DiffKeeperError('DK_CORRUPT_PACK', `${name}, which the prune has written, is gone: nothing is pruned`, {
      name,
    });
  }

  /** After a failed commit the last pack was appended to again: then it stays. */
  async #keepGrown(): Promise<void> {
    const { packs } = this.#parts;
    const { pack, length } = this.#facts.began;
    if (this.#plan.closesLast && (await packs.length(pack)) !== length) this.#plan.sweep.keep(pack);
  }

  /** Where the log ends from now on; null when that does not change. */
  async #endLog(): Promise<NewestState | null> {
    const { packs } = this.#parts;
    const now = this.#parts.state();
    if (!now || !this.#plan.closesLast) return null;
    const record = this.#plan.newestRecord;
    const closed = now.pack !== this.#facts.began.pack || !record;
    const end = closed ? null : await endBehind(packs, now, record);
    const behind = end?.pack ?? this.#facts.began.pack + 1;
    const counted = this.#facts.known.includes(behind) ? PACK_HEADER_BYTES : 0;
    this.#endBytes = (end?.length ?? PACK_HEADER_BYTES) - counted;
    return end;
  }

  /** What commits have used since the beginning: nothing else can use a blob that is about to go. */
  async #markSince(): Promise<void> {
    const { packs, blobs, engine, algo } = this.#parts;
    const { began } = this.#facts;
    const { live } = this.#plan;
    const now = this.#parts.state() ?? began;
    for (const pack of await packs.commits()) {
      if (pack < began.pack || pack > now.pack) continue;
      const from = pack === began.pack ? began.length : PACK_HEADER_BYTES;
      const end = pack === now.pack ? now.length : await packs.length(pack);
      for await (const scanned of scanPack(packs, { pack, from, end })) {
        if (scanned.kind === 'damage') continue;
        const { head, contextList } = scanned.record;
        if (contextList.length > 0) for (const digest of blobsOfList(contextList)) live.mark(digest);
        if (head.kind === RECORD.recipe) {
          const [bytes] = await blobs.read([head.digest]);
          if (Buffer.isBuffer(bytes)) for (const digest of blobsOfList(bytes)) live.mark(digest);
        } else if (head.kind === RECORD.versions) {
          const bytes = await decodeMetaRecord(engine, algo, scanned.record);
          for (const version of decodeVersionsRecord(bytes).versions) live.markVersion(version);
        }
      }
    }
    await live.closeRecipes();
  }
}
