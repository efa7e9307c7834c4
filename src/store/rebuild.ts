/** Rebuilds the whole metadata from the packs alone. */
import { rm } from 'node:fs/promises';
import { LIMITS } from '../core/core.js';
import { PACK_HEADER_BYTES } from '../format/format.js';
import { encodeNewest, type NewestState } from './blob-index.js';
import type { Heads } from './heads.js';
import { gapsChange } from './index-check.js';
import { NEWEST_KEY } from './meta-keys.js';
import { endOf, lostParts, Replay, type ReplayedCheckpoint, TornCommit } from './replay.js';
import { StagedVersions } from './staged-versions.js';
import { placeAside } from './store-files.js';
import type { TailParts } from './tail.js';
import type { DamageReport } from './types.js';

export interface RebuildResult {
  readonly state: NewestState | null;
  readonly checkpoints: number;
  readonly records: number;
  readonly damage: readonly DamageReport[];
}

/**
 * Begins an empty metadata database. The one before stays in quarantine when the packs turn out to be damaged.
 *
 * @param promised how far the packs are known to have been committed; null when nobody knows
 */
export async function rebuildMetadata(
  parts: TailParts,
  heads: Heads,
  promised: NewestState | null,
): Promise<RebuildResult> {
  const aside = placeAside(parts.quarantine, 'meta');
  await parts.meta.replace(aside);
  const result = await replayAll(parts, heads, promised);
  if (result.damage.length === 0) await rm(aside, { recursive: true, force: true }).catch(() => {});
  return result;
}

async function replayAll(parts: TailParts, heads: Heads, promised: NewestState | null): Promise<RebuildResult> {
  parts.tree.clear();
  const replay = new Replay(parts.engine, parts.algo);
  const damage: DamageReport[] = [];
  const torn = new TornCommit(promised);
  let last: ReplayedCheckpoint | null = null;
  let checkpoints = 0;
  for (const pack of await parts.packs.list()) {
    const end = await parts.packs.length(pack);
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end })) {
      for (const committed of torn.take(found)) {
        checkpoints += 1;
        last = committed;
        if (committed.missingParts > 0) damage.push(lostParts(committed));
        await parts.meta.writeInBatches(committed.changes);
      }
    }
  }
  // Blobs behind the last checkpoint get no entry: they may be cut off.
  for (const item of replay.damage) {
    const where = `${parts.packs.file(item.pack)} at byte ${item.offset}`;
    damage.push({ kind: 'record', where, message: item.message, affected: [] });
  }
  const state = last ? await finishRebuild(parts, heads, last, damage) : null;
  return { state, checkpoints, records: replay.records, damage };
}

/** Directory digests, root check, and the newest state last: only then is the index whole. */
async function finishRebuild(
  parts: TailParts,
  heads: Heads,
  last: ReplayedCheckpoint,
  damage: DamageReport[],
): Promise<NewestState> {
  const all = new StagedVersions(last.checkpoint.sequence);
  for await (const batch of heads.all()) for (const version of batch) all.put(version);
  const { root, changes } = await parts.tree.apply(all, 'empty');
  if (!root.equals(last.checkpoint.root)) {
    damage.push({
      kind: 'root',
      where: `checkpoint ${last.checkpoint.sequence}`,
      message: 'the tree root differs from what the packs give',
      affected: [],
    });
  }
  const state: NewestState = {
    sequence: last.checkpoint.sequence,
    ...endOf(last),
    checkpointDigest: last.digest,
  };
  await parts.meta.writeInBatches([
    ...changes,
    gapsChange(state.sequence),
    { key: NEWEST_KEY, value: encodeNewest(state) },
  ]);
  if (all.size > LIMITS.batchFiles) parts.tree.clear();
  return state;
}
