/** Rebuilds the whole metadata from the packs alone. */
import { rm } from 'node:fs/promises';
import { fromSystemError, LIMITS, renameDurable } from '../core/core.js';
import { keepNewestAside, placeAside } from './aside.js';
import type { NewestState } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { type Carried, findCarried } from './carry-over.js';
import { keptCheckpoints, secureNewest, writeCarried } from './carry-write.js';
import type { Heads } from './heads.js';
import { forgottenDamage, forgottenVersions } from './lost-versions.js';
import { NEVER_MENDED, readMended } from './mended.js';
import { isCompacted } from './pack-names.js';
import { putPacksAside } from './prune-state.js';
import { lostHistory, type RebuildResult, type Replayed, replayPromised } from './replay-all.js';
import type { TailParts } from './tail.js';
import type { DamageReport } from './types.js';

/**
 * Begins an empty metadata database. The one before stays in quarantine when the packs turn out to be damaged, and comes back
 * when they cannot be read to their end.
 *
 * @param promised how far the packs are known to have been committed; null when nobody knows
 */
export async function rebuildMetadata(
  parts: TailParts & { readonly blobs: BlobStore },
  heads: Heads,
  promised: NewestState | null,
): Promise<RebuildResult> {
  const aside = placeAside(parts.quarantine, 'meta');
  const known = await knowsDamage(parts);
  await parts.meta.replace(aside);
  let forgotten: DamageReport | null = null;
  const result = await orPutBack(parts, aside, async () => {
    const found = await replayPromised(parts, heads, promised);
    if (found.damage.length > 0) forgotten = await forgottenVersions(parts, aside);
    if (!found.hollow) return found;
    const again = await sealAgain(parts, heads, { promised, carried: NOTHING_CARRIED });
    return { ...again, damage: merged(found.damage, again.damage) };
  });
  const damage = [...result.damage];
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
      const { hollow } = result;
      const carried =
        result.state || hollow ? await findCarried(parts, metaBefore, hollow) : await nothingCarried(parts, metaBefore);
      carriedOver = { versions: carried.versions.length, checkpoints: carried.checkpoints.size };
      const any = carriedOver.versions + carriedOver.checkpoints > 0;
      if (any || hollow) result = await sealAgain(parts, heads, { promised, carried });
      if (hollow) damage.push(lostHistory(parts, hollow));
      if (any)
        parts.logger.warn(carriedOver, 'the packs had lost what the metadata still knew: written into packs again');
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

const NOTHING_CARRIED: Carried = { checkpoints: new Map(), versions: [], lost: [], dropped: new Set() };

/**
 * Writes a history that has everything which was found, under a seal of its own, and reads it. Until that seal is durable the
 * one before it counts, and all of this is done again. Where nothing at all was found, what a prune has written goes aside: a
 * seal without a history would say of every checkpoint to come that it does not count.
 */
async function sealAgain(
  parts: TailParts & { readonly blobs: BlobStore; readonly moved?: number },
  heads: Heads,
  { promised, carried }: { readonly promised: NewestState | null; readonly carried: Carried },
): Promise<Replayed> {
  if ((await keptCheckpoints(parts, carried)).length > 0) await writeCarried(parts, carried);
  else await putPacksAside(parts, (await parts.packs.list()).filter(isCompacted));
  await parts.meta.renew();
  return replayPromised(parts, heads, promised);
}

/** What both have is said once. */
function merged(before: readonly DamageReport[], after: readonly DamageReport[]): DamageReport[] {
  const known = new Set(after.map(({ kind, where }) => `${kind} ${where}`));
  return [...before.filter(({ kind, where }) => !known.has(`${kind} ${where}`)), ...after];
}

/** Without a single checkpoint there is no history that anything could be added to. */
async function nothingCarried(parts: TailParts, aside: string): Promise<Carried> {
  const lost = await forgottenVersions(parts, aside);
  return { ...NOTHING_CARRIED, lost: lost?.affected ?? [] };
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
