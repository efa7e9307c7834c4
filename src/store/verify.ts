/** Checks a whole store: records, digests, recipes, roots; tells which versions damage reaches. */
import { type BytePath, isDiffKeeperError, throwIfAborted } from '../core/core.js';
import { type Checkpoint, type Digest, digestKey, PACK_HEADER_BYTES, RECORD, type Version } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import { blobsOfList, blobsOfVersion } from './blob-uses.js';
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
const DIGEST_BYTES = 32;

interface Named {
  readonly path: BytePath;
  readonly sequence: number;
}

/** A version and the blobs that it names itself, their digests one after the other: a long history has millions. */
interface VersionUses extends Named {
  readonly blobs: string;
}

/** What verification learned while walking the packs. */
class Findings {
  readonly damage: DamageReport[] = [];
  readonly blobs: Digest[] = [];
  readonly recipes: Digest[] = [];
  /** Of versions that name blobs; all else about them is not needed again. */
  readonly uses: VersionUses[] = [];
  versions = 0;
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
    versions: findings.versions,
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
      for (const version of found.versions) noteUses(findings, version);
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
  const present = new Set<string>();
  for (const list of [findings.blobs, findings.recipes]) for (const digest of list) present.add(digestKey(digest));
  for (const recipe of findings.recipes) {
    const name = recipe.toString('hex');
    if (findings.bad.has(name)) continue;
    const [bytes] = await readAll(parts.blobs, [recipe]);
    if (!Buffer.isBuffer(bytes)) continue;
    for (const digest of blobsOfList(bytes)) {
      const blob = digest.toString('hex');
      if (present.has(digestKey(digest)) && !findings.bad.has(blob)) continue;
      findings.bad.set(name, `it needs blob ${blob}, which is damaged or missing`);
      break;
    }
  }
  for (const { blobs } of findings.uses) {
    for (const key of digestKeys(blobs)) {
      if (!present.has(key) && !findings.bad.has(hexOf(key))) findings.bad.set(hexOf(key), 'it is missing');
    }
  }
}

function noteUses(findings: Findings, version: Version): void {
  findings.versions += 1;
  const blobs = blobsOfVersion(version).map(digestKey).join('');
  if (blobs !== '') findings.uses.push({ path: version.path, sequence: version.sequence, blobs });
}

function* digestKeys(blobs: string): Generator<string> {
  for (let at = 0; at < blobs.length; at += DIGEST_BYTES) yield blobs.slice(at, at + DIGEST_BYTES);
}

function hexOf(key: string): string {
  return Buffer.from(key, 'latin1').toString('hex');
}

function checkVersions(findings: Findings): void {
  if (findings.bad.size === 0) return;
  const affected = new Map<string, Named[]>();
  for (const { path, sequence, blobs } of findings.uses) {
    for (const key of digestKeys(blobs)) {
      const name = hexOf(key);
      if (!findings.bad.has(name)) continue;
      const named = affected.get(name) ?? [];
      named.push({ path, sequence });
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
