/** What is known about the last prune: from the metadata, or from the packs that it wrote. */
import { fromSystemError, isDiffKeeperError, renameDurable, writeFileDurable } from '../core/core.js';
import {
  ByteReader,
  ByteWriter,
  decodePrune,
  encodePrune,
  PACK_HEADER_BYTES,
  type PruneRecord,
  RECORD,
} from '../format/format.js';
import { placeAside } from './aside.js';
import type { MetaChange } from './meta.js';
import { PRUNE_KEY, UNSEALED_KEY } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { encodeMetaRecord } from './meta-record.js';
import { isCompacted, packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import type { PackWriter } from './pack-writer.js';
import { decodeMetaRecord } from './replay.js';
import type { TailParts } from './tail.js';

export function pruneChange(record: PruneRecord): MetaChange {
  return { key: PRUNE_KEY, value: encodePrune(record) };
}

/** The last prune that the metadata has followed; null for none. Throws DK_CORRUPT_INDEX. */
export async function readPrune(meta: MetaReader): Promise<PruneRecord | null> {
  const value = await meta.get(PRUNE_KEY);
  return value ? decodePrune(value) : null;
}

/** A rebuild found packs of a prune up to this number and no seal: they may hold the only copy of something. */
export function unsealedChange(lastPack: number): MetaChange {
  return { key: UNSEALED_KEY, value: new ByteWriter(8).varint(lastPack).finish() };
}

/** Number of the last pack that is kept though no seal names it; 0 for none. */
export async function lastUnsealed(meta: MetaReader): Promise<number> {
  const value = await meta.get(UNSEALED_KEY);
  return value ? new ByteReader(value, 'DK_CORRUPT_INDEX', 'unsealed packs').varint() : 0;
}

/** The newest sealed prune in packs behind this one. A seal stands twice, the second time in a pack of its own. */
export async function findSeal(parts: TailParts, behind: number): Promise<PruneRecord | null> {
  const packs = (await parts.packs.list()).filter((pack) => isCompacted(pack) && pack > behind);
  for (const pack of packs.reverse()) {
    const seal = await sealIn(parts, pack);
    if (seal) return seal;
  }
  return null;
}

async function sealIn(parts: TailParts, pack: number): Promise<PruneRecord | null> {
  let seal: PruneRecord | null = null;
  try {
    await parts.packs.headerDamage(pack);
    const end = await parts.packs.length(pack);
    for await (const scanned of scanPack(parts.packs, { pack, from: PACK_HEADER_BYTES, end })) {
      if (scanned.kind !== 'record' || scanned.record.head.kind !== RECORD.prune) continue;
      const found = decodePrune(await decodeMetaRecord(parts.engine, parts.algo, scanned.record));
      // Its own pack lies within it: anything else is not ours to believe.
      if (found.firstPack <= pack && pack <= found.lastPack) seal = found;
    }
  } catch (error) {
    if (!isDiffKeeperError(error) || !error.code.startsWith('DK_CORRUPT')) throw error;
    parts.logger.warn({ pack, reason: error.message }, 'a pack of a prune is damaged');
  }
  return seal;
}

/** Removes what a prune that ended early, or was cut off by a crash, has left on disk. Safe to repeat. */
export async function removeLeftovers(parts: TailParts, prune: PruneRecord | null): Promise<void> {
  const retired = new Set(prune?.retired);
  const lastKept = Math.max(prune?.lastPack ?? 0, await lastUnsealed(parts.meta));
  const left = (await parts.packs.list()).filter((pack) => retired.has(pack) || (isCompacted(pack) && pack > lastKept));
  if (left.length === 0) return;
  parts.logger.debug({ packs: left }, 'removing what a prune has left');
  await parts.packs.remove(left);
}

/** As `removeLeftovers` when there was no metadata to ask: what no seal names is put aside. */
export async function putLeftoversAside(parts: TailParts, prune: PruneRecord): Promise<void> {
  const unsealed = (await parts.packs.list()).filter((pack) => isCompacted(pack) && pack > prune.lastPack);
  await putPacksAside(parts, unsealed);
  await removeLeftovers(parts, prune);
}

/** Throws DK_IO. */
export async function putPacksAside(parts: TailParts, packs: readonly number[]): Promise<void> {
  for (const pack of packs) {
    const file = placeAside(parts.quarantine, `unsealed-${packName(pack)}`);
    await parts.packs.forget(pack);
    await renameDurable(parts.packs.file(pack), file).catch((error: unknown) => {
      throw fromSystemError(error, 'put aside', parts.packs.file(pack));
    });
  }
}

/** A crash may have kept the record and lost the header, which was never synced by itself. */
async function isWholeSeal(parts: TailParts, pack: number): Promise<boolean> {
  const stands = (await parts.packs.list()).includes(pack);
  return stands && (await sealIn(parts, pack)) !== null && (await parts.packs.headerDamage(pack)) === null;
}

/** Twice, in packs of their own: one damaged sector must not undo a prune whose old packs are gone. */
export async function writeSeal(
  parts: Pick<TailParts, 'engine' | 'algo' | 'packs'>,
  writer: PackWriter,
  prune: PruneRecord,
): Promise<void> {
  const { record } = await encodeMetaRecord(parts, RECORD.prune, encodePrune(prune));
  for (let copy = 0; copy < 2; copy += 1) {
    await writer.next();
    await writer.append(record);
    await writer.sync();
  }
  await writer.close();
}

/** The packs that have nothing but the seal, one copy each. */
export function sealPacks({ lastPack }: PruneRecord): readonly [number, number] {
  return [lastPack - 1, lastPack];
}

/** Writes a copy of the seal again that is damaged, missing or was never finished. */
export async function healSeal(parts: TailParts, prune: PruneRecord): Promise<void> {
  for (const pack of sealPacks(prune)) {
    if (await isWholeSeal(parts, pack)) continue;
    const { record } = await encodeMetaRecord(parts, RECORD.prune, encodePrune(prune));
    await parts.packs.forget(pack);
    await writeFileDurable(parts.packs.file(pack), Buffer.concat([parts.packs.header(pack), record]));
  }
}
