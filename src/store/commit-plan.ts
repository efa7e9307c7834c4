/** What a commit writes: first the records of a checkpoint, then, in bounded lists, the metadata that names them. */
import { LIMITS } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Checkpoint,
  type Checksum,
  type Digest,
  encodeCheckpoint,
  encodeVersionsRecord,
  RECORD,
  VERSION_TYPE,
} from '../format/format.js';
import { encodeNewest, type NewestState, type RecordPlace } from './blob-index.js';
import type { BlobWriter } from './blob-writer.js';
import type { Heads } from './heads.js';
import { checkpointChanges, versionChanges } from './index-changes.js';
import { gapsChange } from './index-check.js';
import type { MetaChange } from './meta.js';
import { lostHeadKey, NEWEST_KEY } from './meta-keys.js';
import { encodeMetaRecord } from './meta-record.js';
import type { Packs } from './packs.js';
import type { StagedVersions } from './staged-versions.js';
import type { TreeCache } from './tree-cache.js';

const HEADS_BATCH = 2048;

export interface CommitParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly packs: Packs;
  readonly heads: Heads;
  readonly tree: TreeCache;
  readonly writer: BlobWriter;
  readonly nowMs: number;
  readonly newest: Checkpoint | null;
  readonly newestDigest: Digest;
  /** Heads may be noted as lost: what takes their place is not. */
  readonly forgetLost: boolean;
}

/** A checkpoint whose records are appended: durable once the packs are synced. */
export interface CommitPlan {
  readonly checkpoint: Checkpoint;
  readonly state: NewestState;
  /** How many changes `changes` gives, about. */
  readonly changeCount: number;
  /** The metadata that follows from the records, the newest state last. */
  changes(): Generator<MetaChange>;
}

/**
 * Appends the records of versions and the checkpoint record.
 *
 * @param facts `storedBytes` of a checkpoint that was made elsewhere; by default what this commit appended
 */
export async function appendCheckpoint(
  parts: CommitParts,
  versions: StagedVersions,
  facts: {
    readonly frozen: boolean;
    readonly pauseMs: number;
    readonly tag: string;
    readonly storedBytes?: number;
  },
): Promise<CommitPlan> {
  const { tree, writer, newest, newestDigest, packs } = parts;
  const { sequence } = versions;
  const totals = await countTotals(parts, versions);
  const { root, changes: treeChanges } = await tree.apply(versions, newest ?? 'empty');
  const paths = versions.sortedPaths();
  const digests: Digest[] = [];
  const places: RecordPlace[] = [];
  for (const part of versions.records(paths, LIMITS.versionsRecordBytes)) {
    const bytes = encodeVersionsRecord(sequence, part);
    const { place, digest } = await appendMeta(parts, RECORD.versions, bytes);
    digests.push(digest);
    places.push(place);
  }
  const { nowMs: timeMs } = parts;
  const checkpoint: Checkpoint = { sequence, timeMs, root, ...totals, storedBytes: writer.storedBytes, ...facts };
  const bytes = encodeCheckpoint({ checkpoint, previous: newestDigest, parts: digests });
  const { place, digest } = await appendMeta(parts, RECORD.checkpoint, bytes);
  const { pack, length } = packs.position;
  const state: NewestState = { sequence, pack, length, checkpointDigest: digest };
  function* changes(): Generator<MetaChange> {
    yield* writer.changes();
    let index = 0;
    for (const part of versions.records(paths, LIMITS.versionsRecordBytes)) {
      yield* versionChanges(part, { sequence, place: places[index] as RecordPlace });
      if (parts.forgetLost) for (const { path } of part) yield { key: lostHeadKey(path), value: null };
      index += 1;
    }
    yield* treeChanges;
    yield checkpointChanges(checkpoint, place, places, bytes);
    // Where others were dropped at the source of a replica, no key is missing.
    if (sequence !== (newest?.sequence ?? 0) + 1) yield gapsChange(sequence);
    yield { key: NEWEST_KEY, value: encodeNewest(state) };
  }
  const changeCount = writer.changeCount + versions.size * (parts.forgetLost ? 3 : 2) + treeChanges.length + 2;
  return { checkpoint, state, changeCount, changes };
}

async function appendMeta(
  parts: CommitParts,
  kind: typeof RECORD.versions | typeof RECORD.checkpoint,
  bytes: Buffer,
): Promise<{ place: RecordPlace; digest: Digest }> {
  const { packs, writer } = parts;
  const { record, digest } = await encodeMetaRecord(parts, kind, bytes);
  const place = await packs.append(record);
  writer.storedBytes += record.length;
  return { place, digest };
}

async function countTotals(
  { newest, heads }: CommitParts,
  versions: StagedVersions,
): Promise<{ entries: number; treeBytes: number; changed: number; removed: number; changedBytes: number }> {
  let entries = newest?.entries ?? 0;
  let treeBytes = newest?.treeBytes ?? 0;
  let removed = 0;
  let changedBytes = 0;
  for (const batch of versions.batches(HEADS_BATCH)) {
    const before = newest ? await heads.get(batch.map((version) => version.path)) : [];
    for (const [index, version] of batch.entries()) {
      const old = before[index];
      if (old) {
        entries -= 1;
        treeBytes -= old.size;
      }
      if (version.type === VERSION_TYPE.removed) {
        removed += 1;
        continue;
      }
      entries += 1;
      treeBytes += version.size;
      if (version.type === VERSION_TYPE.file) changedBytes += version.size;
    }
  }
  return { entries, treeBytes, changed: versions.size - removed, removed, changedBytes };
}
