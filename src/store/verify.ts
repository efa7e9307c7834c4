/** Checks a whole store: records, digests, recipes, roots; tells which versions damage reaches. */
import { type BytePath, isDiffKeeperError, throwIfAborted } from '../core/core.js';
import { type Checkpoint, PACK_HEADER_BYTES, type Version } from '../format/format.js';
import { BlobCheck } from './blob-check.js';
import { CheckpointCheck } from './checkpoint-check.js';
import { HistoryView } from './history-view.js';
import { IndexCheck } from './index-check.js';
import { LossReport } from './loss-report.js';
import { lostOfCheckpoints, lostVersions, SeenRecords } from './lost-versions.js';
import { readPrune, sealPacks } from './prune-state.js';
import { lostParts, Replay, type WalkHooks } from './replay.js';
import type { ReadParts } from './store-reading.js';
import { computeTreeRoot } from './tree-root.js';
import type { DamageReport, VerifyOptions, VerifyReport } from './types.js';

/** What verification learned while walking the packs. */
class Findings {
  readonly damage: DamageReport[] = [];
  readonly losses = new LossReport();
  readonly seen = new SeenRecords();
  versions = 0;
  records = 0;
  checkpoints = 0;
  bytes = 0;
}

export interface VerifyParts extends Omit<ReadParts, 'history' | 'leases'> {
  readonly newest: Checkpoint | null;
  /** Told of heads whose own records are lost. */
  readonly onUnwritten?: (path: BytePath) => void;
  /** Told of blobs that are in no pack and that recipes name, by their keys: not each of them is named in the report. */
  readonly onMissing?: (keys: ReadonlySet<string>) => void;
  /** What the system refuses to read is thrown, not taken for damage. Default false. */
  readonly strict?: boolean;
}

export async function verifyStore(parts: VerifyParts, options: VerifyOptions): Promise<VerifyReport> {
  const blobs = new BlobCheck(parts, options);
  const findings = new Findings();
  const view = new HistoryView(await readPrune(parts.meta));
  const packs = view.order(await parts.packs.list());
  let total = 0;
  for (const pack of packs) total += await parts.packs.length(pack);
  const allBytes = (options.readData ?? true) ? total * 2 : total;
  const replay = new Replay(parts.engine, parts.algo, view);
  const index = new IndexCheck(parts.meta, parts.checksum);
  const checkpoints = new CheckpointCheck(parts.engine, parts.algo, view.prune);
  for (const pack of packs) {
    throwIfAborted(options.signal);
    await walkPack(parts, { replay, index, checkpoints, blobs, pack }, findings);
    options.onProgress?.(findings.bytes, allBytes);
  }
  for (const pack of view.prune ? sealPacks(view.prune) : []) {
    if (!packs.includes(pack))
      findings.losses.add({ pack }, 'it is missing: one of the two copies of the seal of a prune');
  }
  await findLosses(parts, findings, blobs);
  await blobs.run(packs, (done) => options.onProgress?.(total + done * total, allBytes), options.signal);
  parts.onMissing?.(blobs.missing);
  // Where the packs are damaged the metadata may know more than they do: that is no damage of its own.
  const sound = findings.damage.length === 0;
  findings.damage.push(...blobs.damage());
  const damaged = sound ? await index.finish(parts.newest?.sequence ?? 0) : null;
  if (damaged) findings.damage.push(damaged);
  await checkRoot(parts, findings);
  return {
    packs: packs.length,
    records: findings.records,
    blobs: blobs.blobs,
    versions: findings.versions,
    checkpoints: findings.checkpoints,
    bytes: findings.bytes,
    blobsRead: blobs.blobsRead,
    roots: checkpoints.roots,
    damage: findings.damage,
  };
}

interface Walk {
  readonly replay: Replay;
  readonly index: IndexCheck;
  readonly checkpoints: CheckpointCheck;
  readonly blobs: BlobCheck;
  readonly pack: number;
}

async function walkPack(parts: VerifyParts, walk: Walk, findings: Findings): Promise<void> {
  const { replay, index, checkpoints, blobs, pack } = walk;
  const { seen, losses } = findings;
  const end = await parts.packs.length(pack);
  losses.notePack(pack, end);
  const hooks: WalkHooks = {
    onRecord: ({ head, contextList }) => blobs.noteRecord(head, contextList),
    onHistory: (place) => seen.note(place),
  };
  try {
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end, loosely: true }, hooks)) {
      findings.checkpoints += 1;
      findings.versions += found.versions.length;
      for (const version of found.versions) blobs.noteUses(version);
      if (found.missingParts > 0) findings.damage.push(lostParts(found));
      // Behind damage the tree is not what it was, and that is told already.
      if (replay.damage.length > 0) checkpoints.giveUp();
      findings.damage.push(...(await checkpoints.add(found)));
      await index.add(found.changes);
    }
  } catch (error) {
    if (parts.strict && !isDiffKeeperError(error, 'DK_CORRUPT_PACK')) throw error;
    losses.add({ pack }, messageOf(error));
  }
  if (replay.damage.length > 0) checkpoints.giveUp();
  for (const { offset, message, unreadable } of replay.damage.splice(0))
    losses.add({ pack, offset, unreadable }, message);
  replay.takeBlobs();
  findings.records = replay.records;
  findings.bytes += end;
}

/** What the metadata names and the packs do not have: found when a checkpoint lacks a record, whatever the damage is. */
async function findLosses(parts: VerifyParts, { damage, losses, seen }: Findings, blobs: BlobCheck): Promise<void> {
  // The packs do not say what these need.
  const onCopy = (head: Version): void => {
    blobs.noteUses(head);
    parts.onUnwritten?.(head.path);
  };
  const known = { onCopy, meta: parts.meta, heads: parts.heads, seen, newest: parts.newest?.sequence ?? 0 };
  let isLost = false;
  try {
    for await (const place of lostOfCheckpoints(known)) {
      losses.addLost(place);
      isLost = true;
    }
    if (isLost || losses.damage.length > 0) {
      for await (const { place, ...affected } of lostVersions(known)) losses.addLost(place, affected);
    }
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    damage.push({ kind: 'index', where: 'the metadata', message: error.message, affected: [] });
  }
  damage.push(...losses.damage);
}

async function checkRoot(parts: VerifyParts, findings: Findings): Promise<void> {
  if (!parts.newest) return;
  const where = `checkpoint ${parts.newest.sequence}`;
  try {
    const root = await computeTreeRoot(parts.engine, parts.algo, parts.heads.all());
    if (root.equals(parts.newest.root)) return;
    findings.damage.push({ kind: 'root', where, message: 'the tree root differs from the metadata', affected: [] });
  } catch (error) {
    findings.damage.push({ kind: 'root', where, message: messageOf(error), affected: [] });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
