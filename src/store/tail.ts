/**
 * After a crash the packs may end behind what the metadata names. Complete
 * checkpoints found there are rolled forward (they are durable and consistent,
 * only their metadata batch is missing, or LevelDB lost it); a torn end is cut
 * off silently, because a torn end is normal.
 */
import { type Logger, truncateDurable } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checksum, PACK_HEADER_BYTES } from '../format/format.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import type { Meta } from './meta.js';
import { NEWEST_KEY } from './meta-keys.js';
import type { Packs } from './packs.js';
import { Replay, type ReplayedCheckpoint } from './replay.js';
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
}

/**
 * Brings metadata and packs together; gives the newest state after it. `promised`: how far the packs are known to have
 * been committed, even if the records there are damaged now: no byte before it is cut off.
 */
export async function recoverTail(
  parts: TailParts,
  state: NewestState | null,
  promised: NewestState | null = state,
): Promise<NewestState | null> {
  const { packs, logger } = parts;
  const replay = new Replay(parts.engine, parts.algo);
  const all = (await packs.list()).filter((pack) => pack >= (state?.pack ?? 0));
  let newest = state;
  let sound = true;
  for (const pack of all) {
    const length = await packs.length(pack);
    const from = pack === state?.pack ? state.length : PACK_HEADER_BYTES;
    if (pack === state?.pack && length < from) {
      logger.error({ pack, expected: from, actual: length }, 'a pack is shorter than the metadata says');
      sound = false;
    }
    if (length <= from) continue;
    for await (const found of replay.walk(parts, { pack, from, end: length })) {
      // Whole checkpoints behind a damaged stretch: keep every byte, and never append there again.
      if (replay.damage.length > 0 || found.missingParts > 0) sound = false;
      newest = await rollForward(parts, found, newest);
    }
  }
  if (promised && isBehind(newest, promised)) sound = false;
  if (newest !== state) logger.debug({ sequence: newest?.sequence }, 'rolled forward behind the metadata');
  if (!sound) {
    logger.warn({ damage: replay.damage }, 'packs are damaged behind the newest checkpoint: run `diffkeeper verify`');
    await packs.continueAt(all[all.length - 1] ?? 0, Number.MAX_SAFE_INTEGER);
    return newest;
  }
  await cutTornEnd(parts, all, newest);
  return newest;
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
  const { root, changes } = await parts.tree.apply(versions, newest === null);
  if (!root.equals(found.checkpoint.root)) {
    parts.logger.error({ sequence: found.checkpoint.sequence }, 'tree root differs after rolling forward');
  }
  const state: NewestState = {
    sequence: found.checkpoint.sequence,
    pack: found.place.pack,
    length: found.place.offset + found.place.recordBytes,
    checkpointDigest: found.digest,
  };
  const newestChange = { key: NEWEST_KEY, value: encodeNewest(state) };
  await parts.meta.writeInBatches([...found.changes, ...changes, newestChange]);
  return state;
}

async function cutTornEnd(parts: TailParts, all: readonly number[], newest: NewestState | null): Promise<void> {
  const { packs, logger } = parts;
  const last = newest?.pack ?? 0;
  for (const pack of all) {
    if (pack <= last) continue;
    // Packs begun after the newest checkpoint hold nothing that anybody was promised.
    logger.debug({ pack }, 'cutting a pack that no checkpoint names');
    await truncateDurable(packs.file(pack), 0).catch(() => {});
  }
  const length = newest?.length ?? 0;
  if (last > 0 && (await packs.length(last)) > length) {
    logger.debug({ pack: last, length }, 'cutting a torn end');
    await truncateDurable(packs.file(last), length);
  }
  await packs.removeEmpty();
  await packs.continueAt(last, length);
}
