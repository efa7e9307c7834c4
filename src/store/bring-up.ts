/** Brings packs and metadata together when a store is opened, or opened again after a failed write. */
import { isDiffKeeperError } from '../core/core.js';
import type { PruneRecord } from '../format/format.js';
import { type NewestState, readNewest } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { readCondensing } from './condense.js';
import { condensedChange } from './condensed-mark.js';
import type { Heads } from './heads.js';
import { isIndexWhole } from './index-check.js';
import { lookForLosses } from './losses.js';
import { mendedChange, readMended } from './mended.js';
import { CONDENSING_KEY } from './meta-keys.js';
import { isCompacted } from './pack-names.js';
import { findSeal, healSeal, readPrune, removeLeftovers, sealPacks } from './prune-state.js';
import { type CarriedOver, rebuildCarrying, rebuildMetadata } from './rebuild.js';
import type { RebuildResult } from './replay-all.js';
import { recoverTail, type TailParts } from './tail.js';

export type BringUpParts = TailParts & {
  readonly heads: Heads;
  readonly blobs: BlobStore;
  readonly metaBefore: string;
};

export interface BringUpHow {
  /** The metadata is new: the packs alone count. */
  readonly rebuild: boolean;
  /** The metadata is to be made anew, whatever it says. */
  readonly anew?: boolean;
  /** A prune of this process is writing packs that are no leftovers. */
  readonly pruning: boolean;
}

/** The newest state, after whatever a crash has left is finished or cut off, and what is lost is written down. */
export async function bringUp(parts: BringUpParts, how: BringUpHow): Promise<NewestState | null> {
  const state = await bringTogether(parts, how);
  if (!how.pruning) await lookIfNeeded(parts, state);
  return state;
}

/** Losses that nobody has looked at yet: after a rebuild from damaged packs, or where the newest pack is not what it was. */
async function lookIfNeeded(parts: BringUpParts, state: NewestState | null): Promise<void> {
  const mended = await readMended(parts.meta);
  const short = state !== null && state.pack > 0 && (await endsBefore(parts, state));
  const known = mended.pack === state?.pack && mended.length === state.length;
  if (!mended.unlooked && (!short || known)) return;
  const { pack, length } = short ? state : mended;
  try {
    await parts.meta.write([mendedChange({ ...mended, unlooked: true, pack, length })], true);
    await lookForLosses(parts);
  } catch (error) {
    if (!isDiffKeeperError(error)) throw error;
    parts.logger.warn({ error: error.message }, 'what the packs have lost cannot be found out now');
  }
}

/** Whether a pack is missing, or ends before this length. */
async function endsBefore(
  { packs }: TailParts,
  { pack, length }: Pick<NewestState, 'pack' | 'length'>,
): Promise<boolean> {
  return !(await packs.list()).includes(pack) || (await packs.length(pack)) < length;
}

/** A pack that was missing is there again, whole: what was taken for lost may be in it. */
async function isBack(parts: TailParts): Promise<boolean> {
  const { pack, length } = await readMended(parts.meta);
  if (pack === 0 || (await endsBefore(parts, { pack, length }))) return false;
  parts.logger.warn({ pack }, 'a pack that was missing is there again: rebuilding the metadata');
  return true;
}

async function bringTogether(parts: BringUpParts, { rebuild, anew, pruning }: BringUpHow): Promise<NewestState | null> {
  const facts = rebuild ? null : await readFacts(parts);
  if (anew) return (facts?.state ? await repairAll(parts) : await rebuildAll(parts)).state;
  const packs = await parts.packs.list();
  if (packs.length > 0 && !(await isUsable(parts, { facts, pruning, packs }))) return (await rebuildAll(parts)).state;
  if (facts?.state && !pruning && (await isBack(parts))) return (await repairAll(parts)).state;
  await cleanUp(parts, facts?.prune ?? null, pruning);
  if (facts?.state && (await isMoved(parts, facts.condensing)))
    return rebuildMoved(parts, facts.state, facts.condensing);
  return recoverTail(parts, facts?.state ?? null);
}

interface Facts {
  readonly state: NewestState | null;
  readonly prune: PruneRecord | null;
  /** See `readCondensing`. */
  readonly condensing: number;
}

/** Null when they are damaged. */
async function readFacts(parts: TailParts): Promise<Facts | null> {
  try {
    const [state, prune] = [await readNewest(parts.meta), await readPrune(parts.meta)];
    return { state, prune, condensing: await readCondensing(parts.meta) };
  } catch (error) {
    if (!isDiffKeeperError(error) || !error.code.startsWith('DK_CORRUPT')) throw error;
    parts.logger.warn({ reason: error.message }, 'the newest state is damaged: rebuilding the metadata');
    return null;
  }
}

async function isUsable(
  parts: TailParts,
  {
    facts,
    pruning,
    packs,
  }: { readonly facts: Facts | null; readonly pruning: boolean; readonly packs: readonly number[] },
): Promise<boolean> {
  if (!facts?.state) return false;
  // Where the name of a pack is being replaced that tells it.
  if (facts.condensing === 0 && !(await followsDense(parts, facts.state, packs))) {
    parts.logger.warn({}, 'the metadata does not follow a pack that was condensed: rebuilding it');
    return false;
  }
  if (!(await isIndexWhole(parts.meta, facts.state))) {
    parts.logger.warn({}, 'the metadata lost a commit: rebuilding it');
    return false;
  }
  const followed = facts.prune?.lastPack ?? 0;
  const newer = packs.some((pack) => isCompacted(pack) && pack > followed);
  if (!newer || pruning) return true;
  const seal = await findSeal(parts, followed);
  if (seal) parts.logger.warn({ sequence: seal.sequence }, 'the metadata does not follow a prune: rebuilding it');
  return seal === null;
}

/** Whether the newest pack is the one whose length the metadata knows: a dense one ends elsewhere. */
async function followsDense({ packs }: TailParts, state: NewestState, there: readonly number[]): Promise<boolean> {
  if (!there.includes(state.pack) || !(await packs.isDense(state.pack))) return true;
  return (await packs.length(state.pack)) <= state.length;
}

/** Whether places in the metadata may be those of a pack that a dense one has taken the place of since. Throws DK_IO. */
async function isMoved({ meta, packs, logger }: TailParts, condensing: number): Promise<boolean> {
  if (condensing === 0) return false;
  // The file of that name may be another one than the one that is open: its directory could not be synced after the rename.
  await packs.forget(condensing);
  if ((await packs.list()).includes(condensing) && (await packs.isSurelyDense(condensing))) {
    logger.warn({ pack: condensing }, 'a pack has been condensed, and the metadata does not follow: making it anew');
    // What is made anew must not be newer than the name of the file.
    await packs.files.sync();
    return true;
  }
  // It had not taken the place of the old one.
  await meta.write([{ key: CONDENSING_KEY, value: null }], true);
  return false;
}

/** Only places of one pack are old: what the metadata knows and the packs have lost is not lost with them. */
async function rebuildMoved(parts: BringUpParts, promised: NewestState, moved: number): Promise<NewestState | null> {
  const result = await rebuildCarrying({ ...parts, moved }, parts.heads, promised);
  const { damage } = result;
  if (damage.length > 0) parts.logger.warn({ damage }, 'packs are damaged: run `diffkeeper verify`');
  return follow(parts, result, promised);
}

async function cleanUp(parts: TailParts, prune: PruneRecord | null, pruning: boolean): Promise<void> {
  parts.packs.reserve(Math.max(0, ...(prune?.retired ?? []).filter((pack) => !isCompacted(pack))));
  if (pruning) return;
  const leftovers = async (): Promise<void> => {
    await parts.packs.files.removeUnfinished();
    await removeLeftovers(parts, prune);
    if (prune) await replaceSeal(parts, prune);
  };
  await leftovers().catch((error: unknown) => {
    parts.logger.warn({ error: String(error) }, 'packs that are not needed any more cannot be removed now');
  });
}

/** One copy of a seal that has gone is written again from the other one, or from the metadata. */
async function replaceSeal(parts: TailParts, prune: PruneRecord): Promise<void> {
  const packs = new Set(await parts.packs.list());
  const missing = sealPacks(prune).filter((pack) => !packs.has(pack));
  if (missing.length === 0) return;
  parts.logger.warn({ packs: missing }, 'a copy of the seal of a prune is missing: writing it again');
  await healSeal(parts, prune);
}

/** Rebuilds the metadata from the packs alone. */
export async function rebuildAll(parts: BringUpParts): Promise<RebuildResult> {
  await beginAnew(parts);
  const promised = await promisedBy(parts);
  const result = await rebuildMetadata(parts, parts.heads, promised);
  return { ...result, state: await follow(parts, result, promised) };
}

/** As `rebuildAll`, and what the metadata knows that the packs have lost is written into packs first. */
export async function repairAll(parts: BringUpParts): Promise<RebuildResult & { readonly carriedOver?: CarriedOver }> {
  await beginAnew(parts);
  const promised = await promisedBy(parts);
  if (!promised) return rebuildAll(parts);
  const result = await rebuildCarrying(parts, parts.heads, promised);
  return { ...result, state: await follow(parts, result, promised) };
}

/**
 * As `repairAll`, of metadata that was opened again after a write failed: what the packs have and it does not is added to it
 * first, so that what it alone has can be relied on and is not given up.
 */
export async function repairDoubted(
  parts: BringUpParts,
): Promise<RebuildResult & { readonly carriedOver?: CarriedOver }> {
  try {
    const [facts, packs] = [await readFacts(parts), await parts.packs.list()];
    if (!(await isUsable(parts, { facts, pruning: false, packs }))) return await rebuildAll(parts);
    await bringTogether(parts, { rebuild: false, pruning: false });
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    parts.logger.warn({ reason: error.message }, 'the metadata is damaged: it is made of the packs alone');
    return rebuildAll(parts);
  }
  return repairAll(parts);
}

/** What is made anew must not be newer than the names of the files, nor be made from files that lost their names. */
async function beginAnew({ packs }: BringUpParts): Promise<void> {
  await packs.files.sync();
  for (const pack of await packs.list()) await packs.forget(pack);
}

/** How far the packs were committed; null when the metadata does not say it. */
function promisedBy(parts: BringUpParts): Promise<NewestState | null> {
  return readNewest(parts.meta).catch((error: unknown) => {
    if (isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) return null;
    throw error;
  });
}

async function follow(
  parts: BringUpParts,
  { state }: RebuildResult,
  promised: NewestState | null,
): Promise<NewestState | null> {
  await cleanUp(parts, await readPrune(parts.meta), true);
  // Nothing of what was learned of places before this metadata was made counts.
  if (await anyDense(parts.packs)) await parts.meta.write([condensedChange()], true);
  return recoverTail(parts, state, { promised });
}

async function anyDense(packs: BringUpParts['packs']): Promise<boolean> {
  for (const pack of await packs.list()) if (await packs.isDense(pack)) return true;
  return false;
}
