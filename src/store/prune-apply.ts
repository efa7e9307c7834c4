/**
 * Makes the metadata follow a sealed prune. Once the seal is durable the packs say what is true; until the last batch
 * is written, `sprune` names the prune before, and opening the store rebuilds the metadata from the packs.
 */
import { ByteReader, ByteWriter, PACK_HEADER_BYTES, type PruneRecord } from '../format/format.js';
import { decodeBlobInfo, encodeBlobInfo, encodeNewest, type NewestState } from './blob-index.js';
import { type BlobTable, MARK } from './blob-table.js';
import { keptFor } from './history-plan.js';
import { HistoryView } from './history-view.js';
import { decodeStoredCheckpoint, decodeVersionPlace } from './index-changes.js';
import { gapsChange } from './index-check.js';
import type { Meta } from './meta.js';
import { Changes } from './meta-changes.js';
import { blobKey, checkpointSequence, KEY_LETTER, NEWEST_KEY, prefixRange, versionKeyFacts } from './meta-keys.js';
import { pruneChange } from './prune-state.js';
import { Replay } from './replay.js';
import type { TailParts } from './tail.js';

export interface Applied {
  /** Knows where the blobs went; null when they stay where they are. */
  readonly table: BlobTable | null;
  /** Sequences, ascending. */
  readonly kept: readonly number[];
  /** Where the log of commits ends now; null when that has not changed. */
  readonly end: NewestState | null;
}

export async function applyPrune(
  parts: TailParts,
  prune: PruneRecord,
  { table, kept, end: logEnd }: Applied,
): Promise<void> {
  const { meta } = parts;
  const changes = new Changes(meta);
  for (let row = 0; table && row < table.count; row += 1) {
    if (!table.has(row, MARK.moved)) continue;
    const info = table.info(row);
    await changes.add({ key: blobKey(info.digest), value: encodeBlobInfo(info, table.kind(row)) });
  }
  const replay = new Replay(parts.engine, parts.algo, new HistoryView(prune));
  for (const pack of prune.history) {
    const end = await parts.packs.length(pack);
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end })) {
      for (const change of found.changes) if (change.key[0] !== KEY_LETTER.head) await changes.add(change);
    }
  }
  await changes.flush();
  await dropOld(meta, prune, changes);
  await renameHeads(meta, prune, { kept, changes });
  await changes.flush();
  const newest = logEnd ? [{ key: NEWEST_KEY, value: encodeNewest(logEnd) }] : [];
  await meta.writeInBatches([gapsChange(prune.sequence), pruneChange(prune), ...newest]);
}

/** Versions, checkpoints and blobs that only the packs before the prune have. */
async function dropOld(meta: Meta, prune: PruneRecord, changes: Changes): Promise<void> {
  const history = new Set(prune.history);
  const retired = new Set(prune.retired);
  const range = (letter: number) => meta.range(prefixRange(Buffer.from([letter])));
  for await (const entries of range(KEY_LETTER.checkpoint)) {
    for (const [key, value] of entries) {
      if (checkpointSequence(key) > prune.sequence) continue;
      if (!history.has(decodeStoredCheckpoint(value).place.pack)) await changes.add({ key, value: null });
    }
  }
  for await (const entries of range(KEY_LETTER.version)) {
    for (const [key, value] of entries) {
      if (versionKeyFacts(key).sequence > prune.sequence) continue;
      if (!history.has(decodeVersionPlace(value).place.pack)) await changes.add({ key, value: null });
    }
  }
  if (retired.size === 0) return;
  for await (const entries of range(KEY_LETTER.blob)) {
    for (const [key, value] of entries) {
      if (retired.has(decodeBlobInfo(value, key.subarray(1)).pack)) await changes.add({ key, value: null });
    }
  }
}

/** Heads name the kept checkpoint that took their version over. */
async function renameHeads(
  meta: Meta,
  prune: PruneRecord,
  { kept, changes }: { readonly kept: readonly number[]; readonly changes: Changes },
): Promise<void> {
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.head])))) {
    for (const [key, value] of entries) {
      const reader = new ByteReader(value, 'DK_CORRUPT_INDEX', 'head');
      const before = reader.varint();
      if (before > prune.sequence) continue;
      const after = kept[keptFor(kept, before)] ?? before;
      if (after === before) continue;
      await changes.add({
        key,
        value: new ByteWriter(value.length + 8).varint(after).bytes(reader.bytes(reader.left)).finish(),
      });
    }
  }
}
