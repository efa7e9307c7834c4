/** Fills empty metadata from the packs alone, in the order in which they tell the history. */
import { LIMITS } from '../core/core.js';
import { PACK_HEADER_BYTES, type PruneRecord } from '../format/format.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import { CheckpointChain } from './checkpoint-chain.js';
import type { Heads } from './heads.js';
import { HistoryView } from './history-view.js';
import { gapsChange } from './index-check.js';
import { madeAnew } from './mended.js';
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

export interface Replayed extends RebuildResult {
  /** A seal of which no checkpoint can be read: what is told here is what the log has, dropped checkpoints included. */
  readonly hollow: PruneRecord | null;
}

/**
 * Empty metadata is filled with what the packs have.
 *
 * @param promised how far they are known to have been committed; null when nobody knows
 */
export async function replayPromised(parts: TailParts, heads: Heads, promised: NewestState | null): Promise<Replayed> {
  const result = await replaySealed(parts, heads, promised);
  const newest = result.state?.sequence ?? 0;
  if (!promised || promised.sequence <= newest) return result;
  return { ...result, damage: [...result.damage, lostNewest(promised.sequence, newest)] };
}

function lostNewest(promised: number, newest: number): DamageReport {
  const message = `the packs end with checkpoint ${newest}: what came after it is lost`;
  return { kind: 'checkpoint', where: `checkpoint ${promised}`, message, affected: [] };
}

async function replaySealed(parts: TailParts, heads: Heads, promised: NewestState | null): Promise<Replayed> {
  const prune = await findSeal(parts, 0);
  if (!prune && (await isLogWhole(parts))) await putPacksAside(parts, (await parts.packs.list()).filter(isCompacted));
  const sealed = await replayAll(parts, heads, { promised, prune });
  if (sealed.history > 0 || !prune) return { ...sealed, hollow: null };
  parts.logger.warn(
    { sequence: prune.sequence },
    'no history that a prune wrote can be read: looking at the log before it',
  );
  await parts.meta.renew();
  const older = await replayAll(parts, heads, { promised, prune: null });
  // Packs that it had retired, and that stand, are needed again.
  await parts.meta.write([pruneChange({ ...prune, retired: [] })], true);
  const damage = older.damage.filter(({ kind }) => kind !== 'pack');
  return { ...older, damage: [lostHistory(parts, prune), ...damage], hollow: prune };
}

/** What to say of a seal of which no history can be read. */
export function lostHistory({ packs }: TailParts, { history, sequence, lastPack }: PruneRecord): DamageReport {
  const message = `the history up to checkpoint ${sequence}, which a prune wrote, cannot be read: it is made of what the log has`;
  return { kind: 'pack', where: packs.file(history[0] ?? lastPack), message, affected: [] };
}

async function replayAll(
  parts: TailParts,
  heads: Heads,
  { promised, prune }: { readonly promised: NewestState | null; readonly prune: PruneRecord | null },
): Promise<RebuildResult & { readonly history: number }> {
  await parts.tree.forget();
  const view = new HistoryView(prune);
  const replay = new Replay(parts.engine, parts.algo, view);
  const damage: DamageReport[] = [];
  const torn = new TornCommit(promised);
  const chain = new CheckpointChain(prune);
  let last: ReplayedCheckpoint | null = null;
  let logEnd: LogEnd | null = null;
  let [checkpoints, history] = [0, 0];
  for (const pack of view.order(await parts.packs.list())) {
    // What follows the seal stems from a prune that did not end.
    if (prune && isCompacted(pack) && pack > prune.lastPack) continue;
    const end = await parts.packs.length(pack);
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end })) {
      for (const committed of torn.take(found)) {
        checkpoints += 1;
        last = committed;
        if (isCompacted(pack)) history += 1;
        else logEnd = endOf(committed);
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
  return { state, checkpoints, history, records: replay.records, damage };
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
