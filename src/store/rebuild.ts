/** Rebuilds the whole metadata from the packs alone. */
import { rm } from 'node:fs/promises';
import { fromSystemError, LIMITS, renameDurable } from '../core/core.js';
import { PACK_HEADER_BYTES, type PruneRecord } from '../format/format.js';
import { keepNewestAside, placeAside } from './aside.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { type Carried, findCarried } from './carry-over.js';
import { secureNewest, writeCarried } from './carry-write.js';
import { CheckpointChain } from './checkpoint-chain.js';
import type { Heads } from './heads.js';
import { HistoryView } from './history-view.js';
import { gapsChange } from './index-check.js';
import { forgottenDamage, forgottenVersions } from './lost-versions.js';
import { madeAnew, NEVER_MENDED, readMended } from './mended.js';
import { NEWEST_KEY } from './meta-keys.js';
import { isCompacted } from './pack-names.js';
import { findSeal, healSeal, pruneChange, putLeftoversAside, putPacksAside, unsealedChange } from './prune-state.js';
import { endOf, type LogEnd, lostParts, Replay, type ReplayedCheckpoint, TornCommit } from './replay.js';
import { StagedVersions } from './staged-versions.js';
import type { TailParts } from './tail.js';
import type { DamageReport } from './types.js';

export interface RebuildResult {
  readonly state: NewestState | null;
  readonly checkpoints: number;
  readonly records: number;
  readonly damage: readonly DamageReport[];
}

/**
 * Begins an empty metadata database. The one before stays in quarantine when the packs turn out to be damaged, and comes back
 * when they cannot be read to their end.
 *
 * @param promised how far the packs are known to have been committed; null when nobody knows
 */
export async function rebuildMetadata(
  parts: TailParts,
  heads: Heads,
  promised: NewestState | null,
): Promise<RebuildResult> {
  const aside = placeAside(parts.quarantine, 'meta');
  const known = await knowsDamage(parts);
  await parts.meta.replace(aside);
  const result = await orPutBack(parts, aside, () => replayPromised(parts, heads, promised));
  const damage = [...result.damage];
  const forgotten = damage.length > 0 ? await forgottenVersions(parts, aside) : null;
  if (forgotten) damage.push(forgotten);
  await keepAside(parts, aside, damage.length > 0 && (!known || forgotten !== null));
  return { ...result, damage };
}

/** Whether this metadata was itself made of damaged packs: what it has of them is what the next one has. */
async function knowsDamage({ meta }: TailParts): Promise<boolean> {
  const mended = await readMended(meta).catch(() => NEVER_MENDED);
  return mended.sequence > 0;
}

/** Metadata that may have known more than the new one stays, the newest few of them: each has gigabytes in a large store. */
async function keepAside({ quarantine, logger }: TailParts, aside: string, wanted: boolean): Promise<void> {
  try {
    if (!wanted) await rm(aside, { recursive: true, force: true });
    await keepNewestAside(quarantine, 'meta', LIMITS.metaAside);
  } catch (error) {
    logger.debug({ error: String(error) }, 'metadata that was put aside cannot be removed now');
  }
}

/** What a rebuild found in the metadata before, and wrote into packs. */
export interface CarriedOver {
  readonly versions: number;
  readonly checkpoints: number;
}

/**
 * As `rebuildMetadata`, for metadata that can be relied on: what it knows and the packs have lost is written into packs
 * first. It comes back when this does not end, also after a crash.
 */
export async function rebuildCarrying(
  parts: TailParts & {
    readonly blobs: BlobStore;
    readonly metaBefore: string;
    /** Records of this pack may stand elsewhere than this metadata says. Default: of none. */
    readonly moved?: number;
  },
  heads: Heads,
  promised: NewestState,
): Promise<RebuildResult & { readonly carriedOver: CarriedOver }> {
  const { meta, metaBefore } = parts;
  const known = await knowsDamage(parts);
  await secureNewest(parts, promised);
  await meta.replace(metaBefore);
  return orPutBack(parts, metaBefore, async () => {
    let result = await replayPromised(parts, heads, promised);
    let carriedOver = { versions: 0, checkpoints: 0 };
    const damage: DamageReport[] = [];
    let forgotten: DamageReport | null = null;
    if (result.damage.length > 0) {
      const carried = result.state ? await findCarried(parts, metaBefore) : await nothingCarried(parts, metaBefore);
      carriedOver = { versions: carried.versions.length, checkpoints: carried.checkpoints.size };
      if (carriedOver.versions + carriedOver.checkpoints > 0) {
        await writeCarried(parts, carried);
        await meta.renew();
        result = await replayPromised(parts, heads, promised);
        parts.logger.warn(carriedOver, 'the packs had lost what the metadata still knew: written into packs again');
      }
      forgotten = forgottenDamage(carried.lost, { ...parts, aside: parts.quarantine });
      if (forgotten) damage.push(forgotten);
    }
    damage.unshift(...result.damage);
    const aside = placeAside(parts.quarantine, 'meta');
    await renameDurable(metaBefore, aside).catch((error: unknown) => {
      throw fromSystemError(error, 'put aside', metaBefore);
    });
    await keepAside(parts, aside, damage.length > 0 && (!known || forgotten !== null));
    return { ...result, damage, carriedOver };
  });
}

/** Without a single checkpoint there is no history that anything could be added to. */
async function nothingCarried(parts: TailParts, aside: string): Promise<Carried> {
  const lost = await forgottenVersions(parts, aside);
  return { checkpoints: new Map(), versions: [], lost: lost?.affected ?? [] };
}

/** The metadata that was put aside reads what it names; half of another one reads nothing. */
async function orPutBack<T>(parts: TailParts, aside: string, work: () => Promise<T>): Promise<T> {
  return work().catch(async (error: unknown) => {
    // What cannot be put back is kept aside.
    await parts.meta.restore(aside, placeAside(parts.quarantine, 'meta-half')).catch((trouble: unknown) => {
      parts.logger.warn({ error: String(trouble), aside }, 'the metadata of before cannot be put back');
    });
    throw error;
  });
}

async function replayPromised(parts: TailParts, heads: Heads, promised: NewestState | null): Promise<RebuildResult> {
  const result = await replayAll(parts, heads, promised);
  const newest = result.state?.sequence ?? 0;
  if (!promised || promised.sequence <= newest) return result;
  return { ...result, damage: [...result.damage, lostNewest(promised.sequence, newest)] };
}

function lostNewest(promised: number, newest: number): DamageReport {
  const message = `the packs end with checkpoint ${newest}: what came after it is lost`;
  return { kind: 'checkpoint', where: `checkpoint ${promised}`, message, affected: [] };
}

async function replayAll(parts: TailParts, heads: Heads, promised: NewestState | null): Promise<RebuildResult> {
  await parts.tree.forget();
  const prune = await findSeal(parts, 0);
  if (!prune && (await isLogWhole(parts))) await putPacksAside(parts, (await parts.packs.list()).filter(isCompacted));
  const view = new HistoryView(prune);
  const replay = new Replay(parts.engine, parts.algo, view);
  const damage: DamageReport[] = [];
  const torn = new TornCommit(promised);
  const chain = new CheckpointChain(prune);
  let last: ReplayedCheckpoint | null = null;
  let logEnd: LogEnd | null = null;
  let checkpoints = 0;
  for (const pack of view.order(await parts.packs.list())) {
    // What follows the seal stems from a prune that did not end.
    if (prune && isCompacted(pack) && pack > prune.lastPack) continue;
    const end = await parts.packs.length(pack);
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end })) {
      for (const committed of torn.take(found)) {
        checkpoints += 1;
        last = committed;
        if (!isCompacted(pack)) logEnd = endOf(committed);
        const broken = chain.add(committed);
        if (broken) damage.push(broken);
        if (committed.missingParts > 0) damage.push(lostParts(committed));
        await parts.meta.writeInBatches(committed.changes);
      }
    }
    // Behind the last checkpoint stands what nobody was promised: it may be cut off, so that no index may name it.
    const isFirm = isCompacted(pack) || pack < view.lastGone;
    await parts.meta.writeInBatches(isFirm ? replay.takeBlobs() : replay.takeFirmBlobs());
  }
  for (const item of replay.damage) {
    const where = `${parts.packs.file(item.pack)} at byte ${item.offset}`;
    damage.push({ kind: 'record', where, message: item.message, affected: [] });
  }
  const end = notBefore(logEnd ?? replay.replacedEnd ?? (await wholeLog(parts, prune)), view.lastGone);
  const state = await finishRebuild(parts, heads, { prune, last, end }, damage);
  return { state, checkpoints, records: replay.records, damage };
}

/** No pack of the log has ever gone: what a prune without a seal has written stands there as well. */
async function isLogWhole({ packs }: TailParts): Promise<boolean> {
  const commits = await packs.commits();
  return commits.length > 0 && commits.every((pack, index) => pack === index + 1);
}

/** A log whose end was in a pack that a prune has taken away is not cut off before it, should the record behind be lost. */
function notBefore(end: LogEnd, gone: number): LogEnd {
  return end.pack > 0 && end.pack < gone ? { pack: gone, length: PACK_HEADER_BYTES } : end;
}

/** Without a readable checkpoint record in the log nothing of it is cut off. */
async function wholeLog(parts: TailParts, prune: PruneRecord | null): Promise<LogEnd> {
  const packs = await parts.packs.commits();
  const pack = packs[packs.length - 1] ?? 0;
  return { pack, length: pack > 0 && prune ? await parts.packs.length(pack) : 0 };
}

interface Rebuilt {
  readonly prune: PruneRecord | null;
  readonly last: ReplayedCheckpoint | null;
  readonly end: LogEnd;
}

/** Directory digests, root check, and the newest state last: only then is the index whole. */
async function finishRebuild(
  parts: TailParts,
  heads: Heads,
  { prune, last, end }: Rebuilt,
  damage: DamageReport[],
): Promise<NewestState | null> {
  if (!last) {
    await parts.meta.write([madeAnew(null, damage.length > 0)], true);
    return null;
  }
  const { sequence } = last.checkpoint;
  const all = new StagedVersions(sequence);
  for await (const batch of heads.all()) for (const version of batch) all.put(version);
  const { root, changes } = await parts.tree.apply(all, 'empty');
  if (!root.equals(last.checkpoint.root)) {
    damage.push({
      kind: 'root',
      where: `checkpoint ${sequence}`,
      message: 'the tree root differs from what the packs give',
      affected: [],
    });
  }
  const unsealed = prune ? 0 : Math.max(0, ...(await parts.packs.list()).filter(isCompacted));
  if (unsealed > 0) damage.push(lostSeal(parts, unsealed));
  // The log ends where commits go on; the newest checkpoint may stand in the history that a prune wrote.
  const checkpointDigest = prune?.sequence === sequence ? prune.digest : last.digest;
  const state: NewestState = { sequence, ...end, checkpointDigest };
  await parts.meta.writeInBatches([
    ...changes,
    gapsChange(sequence),
    ...(prune ? [pruneChange(prune)] : []),
    ...(unsealed > 0 ? [unsealedChange(unsealed)] : []),
    madeAnew(state, damage.length > 0),
    { key: NEWEST_KEY, value: encodeNewest(state) },
  ]);
  if (prune) await tidyUp(parts, prune);
  if (all.size > LIMITS.batchFiles) parts.tree.clear();
  return state;
}

/** Of a prune that never ended, or whose seal is damaged in both places: nobody can tell, so nothing is removed. */
function lostSeal({ packs }: TailParts, last: number): DamageReport {
  const message = 'packs of a prune have no seal: their blobs are used, their history is not';
  return { kind: 'pack', where: packs.file(last), message, affected: [] };
}

/** What fails here is tried again at the next opening, or rebuild; nothing depends on it. */
async function tidyUp(parts: TailParts, prune: PruneRecord): Promise<void> {
  try {
    await healSeal(parts, prune);
    await putLeftoversAside(parts, prune);
  } catch (error) {
    parts.logger.warn({ error: String(error) }, 'what a prune has left cannot be removed now');
  }
}
