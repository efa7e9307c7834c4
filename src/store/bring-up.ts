/** Brings packs and metadata together when a store is opened, or opened again after a failed write. */
import { isDiffKeeperError } from '../core/core.js';
import type { PruneRecord } from '../format/format.js';
import { type NewestState, readNewest } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import type { Heads } from './heads.js';
import { isIndexWhole } from './index-check.js';
import { isCompacted } from './pack-names.js';
import { findSeal, readPrune, removeLeftovers } from './prune-state.js';
import { type CarriedOver, type RebuildResult, rebuildCarrying, rebuildMetadata } from './rebuild.js';
import { recoverTail, type TailParts } from './tail.js';

export type BringUpParts = TailParts & { readonly heads: Heads };

/**
 * The newest state, after whatever a crash has left is finished or cut off.
 *
 * @param rebuild the metadata is new: the packs alone count
 * @param pruning a prune of this process is writing packs that are no leftovers
 */
export async function bringUp(
  parts: BringUpParts,
  { rebuild, pruning }: { readonly rebuild: boolean; readonly pruning: boolean },
): Promise<NewestState | null> {
  const facts = rebuild ? null : await readFacts(parts);
  const packs = await parts.packs.list();
  if (packs.length > 0 && !(await isUsable(parts, facts, pruning))) return (await rebuildAll(parts)).state;
  await cleanUp(parts, facts?.prune ?? null, pruning);
  return recoverTail(parts, facts?.state ?? null);
}

interface Facts {
  readonly state: NewestState | null;
  readonly prune: PruneRecord | null;
}

/** Null when they are damaged. */
async function readFacts(parts: TailParts): Promise<Facts | null> {
  try {
    return { state: await readNewest(parts.meta), prune: await readPrune(parts.meta) };
  } catch (error) {
    if (!isDiffKeeperError(error) || !error.code.startsWith('DK_CORRUPT')) throw error;
    parts.logger.warn({ reason: error.message }, 'the newest state is damaged: rebuilding the metadata');
    return null;
  }
}

async function isUsable(parts: TailParts, facts: Facts | null, pruning: boolean): Promise<boolean> {
  if (!facts?.state) return false;
  if (!(await isIndexWhole(parts.meta, facts.state))) {
    parts.logger.warn({}, 'the metadata lost a commit: rebuilding it');
    return false;
  }
  const followed = facts.prune?.lastPack ?? 0;
  const newer = (await parts.packs.list()).some((pack) => isCompacted(pack) && pack > followed);
  if (!newer || pruning) return true;
  const seal = await findSeal(parts, followed);
  if (seal) parts.logger.warn({ sequence: seal.sequence }, 'the metadata does not follow a prune: rebuilding it');
  return seal === null;
}

async function cleanUp(parts: TailParts, prune: PruneRecord | null, pruning: boolean): Promise<void> {
  parts.packs.reserve(Math.max(0, ...(prune?.retired ?? []).filter((pack) => !isCompacted(pack))));
  if (pruning) return;
  await removeLeftovers(parts, prune).catch((error: unknown) => {
    parts.logger.warn({ error: String(error) }, 'packs that are not needed any more cannot be removed now');
  });
}

/** Rebuilds the metadata from the packs alone. */
export async function rebuildAll(parts: BringUpParts): Promise<RebuildResult> {
  const promised = await promisedBy(parts);
  const result = await rebuildMetadata(parts, parts.heads, promised);
  return { ...result, state: await follow(parts, result, promised) };
}

/** As `rebuildAll`, and what the metadata knows that the packs have lost is written into packs first. */
export async function repairAll(
  parts: BringUpParts & { readonly blobs: BlobStore; readonly metaBefore: string },
): Promise<RebuildResult & { readonly carriedOver?: CarriedOver }> {
  const promised = await promisedBy(parts);
  if (!promised) return rebuildAll(parts);
  const result = await rebuildCarrying(parts, parts.heads, promised);
  return { ...result, state: await follow(parts, result, promised) };
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
  return recoverTail(parts, state, { promised });
}
