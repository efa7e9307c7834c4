/**
 * After a crash the packs may end behind what the metadata names. Complete
 * checkpoints found there are rolled forward (they are durable and consistent,
 * only their metadata batch is missing, or LevelDB lost it); a torn end is cut
 * off silently, because a torn end is normal. So is the last checkpoint when
 * something before its record is missing: a disk may write the end first.
 */
import { fromSystemError, type Logger, truncateDurable, writeFileDurable } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checksum, PACK_HEADER_BYTES } from '../format/format.js';
import { placeAside } from './aside.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import type { CacheGuard } from './cache-guard.js';
import { gapsChange } from './index-check.js';
import type { Meta } from './meta.js';
import { NEWEST_KEY } from './meta-keys.js';
import { packName } from './pack-names.js';
import type { Packs } from './packs.js';
import { endOf, Replay, type ReplayedCheckpoint, TornCommit } from './replay.js';
import { StagedVersions } from './staged-versions.js';
import type { TreeCache } from './tree-cache.js';

export interface TailParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly meta: Meta;
  readonly packs: Packs;
  readonly tree: TreeCache;
  readonly logger: Logger;
  readonly quarantine: string;
  readonly guard: CacheGuard;
}

/**
 * Brings metadata and packs together; gives the newest state after it.
 *
 * After a rebuild, `promised` says how far the packs are known to have been committed, even if the records there are
 * damaged now: no byte before it is cut off. Null: nobody knows, so that what is cut off is kept aside.
 */
export async function recoverTail(
  parts: TailParts,
  state: NewestState | null,
  rebuilt?: { readonly promised: NewestState | null },
): Promise<NewestState | null> {
  const promised = rebuilt ? rebuilt.promised : state;
  const { packs, logger } = parts;
  const replay = new Replay(parts.engine, parts.algo, undefined, state?.sequence);
  const all = (await packs.commits()).filter((pack) => pack >= (state?.pack ?? 0));
  const torn = new TornCommit(promised);
  let newest = state;
  // A missing pack that the metadata names: what was in it is lost, but not the number, which is not given again.
  let sound = state === null || all.includes(state.pack);
  const missing: string[] = sound ? [] : [`${packName(state?.pack ?? 0)} is missing`];
  for (const pack of all) {
    const length = await packs.length(pack);
    const from = pack === state?.pack ? state.length : PACK_HEADER_BYTES;
    if (pack === state?.pack && length < from) {
      missing.push(`${packName(pack)} has ${length} bytes of ${from}`);
      sound = false;
    }
    if (length <= from) continue;
    for await (const found of replay.walk(parts, { pack, from, end: length })) {
      for (const committed of torn.take(found)) {
        // A committed checkpoint behind a damaged stretch: keep every byte, and never append there again.
        if (committed.torn || committed.missingParts > 0) sound = false;
        newest = await rollForward(parts, committed, newest);
      }
    }
  }
  if (promised && isBehind(newest, promised)) sound = false;
  if (rebuilt) newest = await atDenseEnd(parts, newest);
  if (newest !== state) logger.debug({ sequence: newest?.sequence }, 'rolled forward behind the metadata');
  if (!sound) {
    const damage = [
      ...missing,
      ...replay.damage.map(({ pack, offset, message }) => `${packName(pack)} at byte ${offset}: ${message}`),
    ];
    logger.warn({ damage }, 'packs are damaged behind the newest checkpoint: run `diffkeeper verify`');
    const last = Math.max(all[all.length - 1] ?? 0, state?.pack ?? 0, promised?.pack ?? 0);
    await packs.continueAt(last, Number.MAX_SAFE_INTEGER);
    return newest;
  }
  const aside = (rebuilt !== undefined && promised === null) || torn.held !== null;
  await cutTornEnd(parts, { packs: all, newest, aside });
  return newest;
}

/** Nothing can be committed behind the end of a dense pack, whatever of it could be read; a length before it would mean that the metadata is older. */
async function atDenseEnd({ meta, packs }: TailParts, state: NewestState | null): Promise<NewestState | null> {
  if (!state || !(await packs.list()).includes(state.pack) || !(await packs.isDense(state.pack))) return state;
  const length = await packs.length(state.pack);
  if (length <= state.length) return state;
  const whole = { ...state, length };
  await meta.write([{ key: NEWEST_KEY, value: encodeNewest(whole) }], true);
  return whole;
}

function isBehind(state: NewestState | null, other: NewestState): boolean {
  return !state || state.pack < other.pack || (state.pack === other.pack && state.length < other.length);
}

async function rollForward(
  parts: TailParts,
  found: ReplayedCheckpoint,
  newest: NewestState | null,
): Promise<NewestState> {
  const versions = StagedVersions.of(found.checkpoint.sequence, found.versions);
  const { root, changes } = await parts.tree.apply(versions, newest ? 'unknown' : 'empty');
  if (!root.equals(found.checkpoint.root)) {
    parts.logger.error({ sequence: found.checkpoint.sequence }, 'tree root differs after rolling forward');
  }
  const { sequence } = found.checkpoint;
  const state: NewestState = { sequence, ...endOf(found), checkpointDigest: found.digest };
  const newestChange = { key: NEWEST_KEY, value: encodeNewest(state) };
  const gap = state.sequence === (newest?.sequence ?? 0) + 1 ? [] : [gapsChange(state.sequence)];
  await parts.meta.writeInBatches([...found.changes, ...changes, ...gap, newestChange]);
  return state;
}

async function cutTornEnd(
  parts: TailParts,
  end: { readonly packs: readonly number[]; readonly newest: NewestState | null; readonly aside: boolean },
): Promise<void> {
  const { packs, logger } = parts;
  const last = end.newest?.pack ?? 0;
  // What was committed there cannot be read now; nothing is written in front of it.
  let lastDense = 0;
  for (const pack of end.packs) {
    if (pack <= last) continue;
    if (await packs.isDense(pack)) {
      lastDense = pack;
      continue;
    }
    // Packs begun after the newest checkpoint hold nothing that anybody was promised.
    logger.debug({ pack }, 'cutting a pack that no checkpoint names');
    if (end.aside) await keepAside(parts, pack, PACK_HEADER_BYTES);
    await cut(packs, pack, 0);
  }
  const length = end.newest?.length ?? 0;
  if (last > 0 && (await packs.length(last)) > length && !(await packs.isDense(last))) {
    logger.debug({ pack: last, length }, 'cutting a torn end');
    if (end.aside) await keepAside(parts, last, length);
    await cut(packs, last, length);
  }
  await packs.removeEmpty();
  if (lastDense > 0) await packs.continueAt(lastDense, Number.MAX_SAFE_INTEGER);
  else await packs.continueAt(last, length);
}

async function cut(packs: Packs, pack: number, length: number): Promise<void> {
  await truncateDurable(packs.file(pack), length).catch((error: unknown) => {
    throw fromSystemError(error, 'cut', packs.file(pack));
  });
}

/** Without metadata a torn end looks like a checkpoint of which a record is damaged: somebody may want its bytes. */
async function keepAside({ packs, quarantine, logger }: TailParts, pack: number, from: number): Promise<void> {
  const bytes = (await packs.length(pack)) - from;
  if (bytes <= 0) return;
  const file = placeAside(quarantine, `end-of-${packName(pack)}-${from}`);
  logger.warn({ pack, from, file }, 'bytes behind the newest checkpoint are put aside');
  const kept = await packs.read(pack, from, bytes);
  await writeFileDurable(file, kept).catch((error: unknown) => {
    throw fromSystemError(error, 'write', file);
  });
}
