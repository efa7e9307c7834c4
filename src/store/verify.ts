/** Checks a whole store: records, digests, recipes, roots; tells which versions damage reaches. */
import { type BytePath, isDiffKeeperError, throwIfAborted } from '../core/core.js';
import {
  type Checkpoint,
  type Digest,
  decodeExtents,
  PACK_HEADER_BYTES,
  RECORD,
  type Version,
} from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import { CheckpointCheck } from './checkpoint-check.js';
import { HistoryView } from './history-view.js';
import { IndexCheck } from './index-check.js';
import { packName } from './pack-names.js';
import { readPrune } from './prune-state.js';
import { lostParts, Replay } from './replay.js';
import type { ReadParts } from './store-reading.js';
import { computeTreeRoot } from './tree-root.js';
import type { DamageReport, VerifyOptions, VerifyReport } from './types.js';

const CHECK_BATCH = 64;

interface Named {
  readonly path: BytePath;
  readonly sequence: number;
}

/** What verification learned while walking the packs. */
class Findings {
  readonly damage: DamageReport[] = [];
  readonly blobs: Digest[] = [];
  readonly recipes: Digest[] = [];
  readonly versions: Version[] = [];
  readonly bad = new Map<string, string>();
  records = 0;
  checkpoints = 0;
  bytes = 0;
  blobsRead = 0;
}

export interface VerifyParts extends Omit<ReadParts, 'history' | 'leases'> {
  readonly newest: Checkpoint | null;
}

export async function verifyStore(parts: VerifyParts, options: VerifyOptions): Promise<VerifyReport> {
  const { sample = 1 } = options;
  if (!(sample > 0 && sample <= 1)) throw new RangeError(`sample must be above 0 and at most 1, came ${sample}`);
  const findings = new Findings();
  const view = new HistoryView(await readPrune(parts.meta));
  const packs = view.order(await parts.packs.list());
  let total = 0;
  for (const pack of packs) total += await parts.packs.length(pack);
  const readData = options.readData ?? true;
  const allBytes = readData ? total * 2 : total;
  const replay = new Replay(parts.engine, parts.algo, view);
  const index = new IndexCheck(parts.meta, parts.checksum);
  const checkpoints = new CheckpointCheck(parts.engine, parts.algo, view.prune);
  for (const pack of packs) {
    throwIfAborted(options.signal);
    await walkPack(parts, { replay, index, checkpoints, pack }, findings);
    options.onProgress?.(findings.bytes, allBytes);
  }
  await checkBlobs(parts, findings, readData, (done) => options.onProgress?.(total + done * total, allBytes), options);
  checkVersions(findings);
  // Where the packs are damaged the metadata may know more than they do: that is no damage of its own.
  const sound = !findings.damage.some(({ kind }) => kind !== 'blob');
  const damaged = sound ? await index.finish(parts.newest?.sequence ?? 0) : null;
  if (damaged) findings.damage.push(damaged);
  await checkRoot(parts, findings);
  return {
    packs: packs.length,
    records: findings.records,
    blobs: findings.blobs.length,
    versions: findings.versions.length,
    checkpoints: findings.checkpoints,
    bytes: findings.bytes,
    blobsRead: findings.blobsRead,
    roots: checkpoints.roots,
    damage: findings.damage,
  };
}

async function walkPack(
  parts: VerifyParts,
  walk: {
    readonly replay: Replay;
    readonly index: IndexCheck;
    readonly checkpoints: CheckpointCheck;
    readonly pack: number;
  },
  findings: Findings,
): Promise<void> {
  const { replay, index, checkpoints, pack } = walk;
  const end = await parts.packs.length(pack);
  const note = (kind: number, digest: Digest): void => {
    if (kind === RECORD.blob) findings.blobs.push(digest);
    if (kind === RECORD.recipe) findings.recipes.push(digest);
  };
  try {
    for await (const found of replay.walk(parts, { pack, from: PACK_HEADER_BYTES, end }, note)) {
      findings.checkpoints += 1;
      for (const version of found.versions) findings.versions.push(version);
      if (found.missingParts > 0) findings.damage.push(lostParts(found));
      // Behind damage the tree is not what it was, and that is told already.
      if (replay.damage.length > 0) checkpoints.giveUp();
      findings.damage.push(...(await checkpoints.add(found)));
      await index.add(found.changes);
    }
  } catch (error) {
    findings.damage.push({ kind: 'pack', where: packName(pack), message: messageOf(error), affected: [] });
  }
  if (replay.damage.length > 0) checkpoints.giveUp();
  for (const { offset, message } of replay.damage.splice(0)) {
    findings.damage.push({ kind: 'record', where: `${packName(pack)} at byte ${offset}`, message, affected: [] });
  }
  replay.takeBlobs();
  findings.records = replay.records;
  findings.bytes += end;
}

async function checkBlobs(
  parts: { readonly blobs: BlobStore },
  findings: Findings,
  readData: boolean,
  onShare: (share: number) => void,
  options: VerifyOptions,
): Promise<void> {
  const wanted = readData ? sampleOf(findings.blobs, options.sample) : [];
  findings.blobsRead = wanted.length;
  const all = [...findings.recipes, ...wanted];
  for (let first = 0; first < all.length; first += CHECK_BATCH) {
    throwIfAborted(options.signal);
    const digests = all.slice(first, first + CHECK_BATCH);
    const blobs = await readAll(parts.blobs, digests);
    for (const [index, blob] of blobs.entries()) {
      if (Buffer.isBuffer(blob)) continue;
      findings.bad.set((digests[index] as Digest).toString('hex'), blob.message);
    }
    onShare((first + digests.length) / all.length);
  }
  await checkReachable(parts, findings);
}

/** A share of the blobs, another one each time: those whose digests lie in a part of all digests. */
function sampleOf(blobs: readonly Digest[], share = 1): readonly Digest[] {
  if (share >= 1) return blobs;
  const from = Math.random();
  return blobs.filter((digest) => (digest.readUInt32LE() / 2 ** 32 - from + 1) % 1 < share);
}

/** As `read`, where a damaged index entry costs one blob only. */
async function readAll(blobs: BlobStore, digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
  try {
    return await blobs.read(digests);
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    if (digests.length === 1) return [error];
  }
  const all: (Buffer | Error)[] = [];
  for (const digest of digests) all.push(...(await readAll(blobs, [digest])));
  return all;
}

/** Every blob that a version needs must be there; recipes are walked once each. */
async function checkReachable(parts: { readonly blobs: BlobStore }, findings: Findings): Promise<void> {
  const present = new Set([...findings.blobs, ...findings.recipes].map((digest) => digest.toString('hex')));
  for (const recipe of findings.recipes) {
    const name = recipe.toString('hex');
    if (findings.bad.has(name)) continue;
    const [bytes] = await readAll(parts.blobs, [recipe]);
    if (!Buffer.isBuffer(bytes)) continue;
    for (const { digest } of decodeExtents(bytes)) {
      const blob = digest?.toString('hex');
      if (blob === undefined || (present.has(blob) && !findings.bad.has(blob))) continue;
      findings.bad.set(name, `it needs blob ${blob}, which is damaged or missing`);
      break;
    }
  }
  for (const version of findings.versions) {
    for (const digest of directBlobs(version)) {
      const name = digest.toString('hex');
      if (!present.has(name) && !findings.bad.has(name)) findings.bad.set(name, 'it is missing');
    }
  }
}

function directBlobs(version: Version): Digest[] {
  const { recipe, digest } = version;
  if (recipe.kind === 'whole' && digest) return [digest];
  if (recipe.kind === 'regions') return [...recipe.regions];
  if (recipe.kind !== 'inline') return [];
  return recipe.extents.flatMap((extent) => (extent.digest ? [extent.digest] : []));
}

function checkVersions(findings: Findings): void {
  const affected = new Map<string, Named[]>();
  for (const version of findings.versions) {
    for (const digest of directBlobs(version)) {
      const name = digest.toString('hex');
      if (!findings.bad.has(name)) continue;
      const named = affected.get(name) ?? [];
      named.push({ path: version.path, sequence: version.sequence });
      affected.set(name, named);
    }
  }
  for (const [name, message] of findings.bad) {
    findings.damage.push({ kind: 'blob', where: name, message, affected: affected.get(name) ?? [] });
  }
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
