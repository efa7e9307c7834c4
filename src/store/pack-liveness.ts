/** How much of each pack the checkpoints that there are still need. */
import { silentLogger } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { BlobStore } from './blob-store.js';
import { BlobTable, MARK } from './blob-table.js';
import type { History } from './history.js';
import { HistoryPlan } from './history-plan.js';
import { plannedVersions } from './history-writer.js';
import { LiveBlobs } from './live-blobs.js';
import type { MetaReader } from './meta-reader.js';
import { PackWindow } from './pack-window.js';
import type { Packs } from './packs.js';
import { readPrune } from './prune-state.js';
import type { PackLiveness } from './types.js';

export interface LivenessParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly meta: MetaReader;
  readonly packs: Packs;
  readonly blobs: BlobStore;
  readonly history: History;
}

/** Throws DK_CORRUPT_* when versions cannot be read. */
export async function packLiveness(parts: LivenessParts): Promise<PackLiveness[]> {
  const { meta, blobs, packs } = parts;
  const liveBytes = new Map<number, number>();
  const count = (pack: number, bytes: number): void => void liveBytes.set(pack, (liveBytes.get(pack) ?? 0) + bytes);
  const kept: number[] = [];
  for await (const { sequence } of parts.history.checkpoints(-1)) {
    kept.push(sequence);
    const { place, partPlaces } = await parts.history.stored(sequence);
    for (const record of [place, ...partPlaces]) count(record.pack, record.recordBytes);
  }
  const window = new PackWindow(packs);
  const table = await BlobTable.load(meta, () => true);
  const live = new LiveBlobs({ table, blobs, window, logger: silentLogger, allowDamaged: true, signal: undefined });
  const plan = await HistoryPlan.make(meta, kept.reverse());
  for (let group = 0; group < kept.length; group += 1) {
    for await (const version of plannedVersions({ ...parts, window, plan }, group)) live.markVersion(version);
  }
  await live.closeRecipes();
  await live.closeContexts();
  for (let row = 0; row < table.count; row += 1) {
    if (!table.has(row, MARK.live)) continue;
    count(table.pack(row), table.recordBytes(row));
  }
  const prune = await readPrune(meta);
  const facts: PackLiveness[] = [];
  for (const pack of await packs.list()) {
    const bytes = await packs.fileBytes(pack);
    // The record of the last prune stands twice, each time in a pack of its own.
    if (prune !== null && (pack === prune.lastPack || pack === prune.lastPack - 1)) {
      facts.push({ pack, bytes, liveBytes: bytes });
      continue;
    }
    // Of a dense pack the records are longer than what they take in it.
    const share = bytes / Math.max(1, await packs.length(pack));
    facts.push({ pack, bytes, liveBytes: Math.round((liveBytes.get(pack) ?? 0) * share) });
  }
  return facts;
}
