/**
 * Makes what the packs have lost, and the metadata before still had, durable in packs again: the whole history is written
 * anew, as a prune that drops nothing would do it. Nothing that stands is touched, and until the seal is durable
 * everything is as before.
 */
import { DiffKeeperError } from '../core/core.js';
import { type Checkpoint, encodeCheckpoint, type PruneRecord, RECORD, type Version } from '../format/format.js';
import { type NewestState, readNewest } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { type Carried, isReadable } from './carry-over.js';
import { Heads } from './heads.js';
import { HistoryPlan, keptFor } from './history-plan.js';
import { writeHistory } from './history-writer.js';
import { decodeStoredCheckpoint, type StoredCheckpoint } from './index-changes.js';
import { checkpointKey, checkpointSequence, KEY_LETTER, prefixRange } from './meta-keys.js';
import { encodeMetaRecord } from './meta-record.js';
import { PackWindow } from './pack-window.js';
import { PackNumbers, PackWriter } from './pack-writer.js';
import { readPrune, writeSeal } from './prune-state.js';
import { decodeMetaRecord } from './replay.js';
import type { TailParts } from './tail.js';

type CarryWriteParts = TailParts & {
  readonly blobs: BlobStore;
  /** A pack of which the places are old: it was read to its end when it took the other one's place. */
  readonly moved?: number;
};

const CHECKPOINTS = prefixRange(Buffer.from([KEY_LETTER.checkpoint]));

/**
 * Gives the seal, and the checkpoints that the history has now.
 *
 * @param parts with the metadata as the packs alone give it; it does not follow what is written here
 * @param retire packs that hold nothing any more once it does
 */
export async function writeCarried(
  parts: CarryWriteParts,
  carried: Carried,
  retire: readonly number[] = [],
): Promise<{ readonly seal: PruneRecord; readonly kept: readonly number[] }> {
  const { packs, meta } = parts;
  const kept = await keptCheckpoints(parts, carried);
  const numbers = new PackNumbers(await packs.list());
  const history = new PackWriter(packs, numbers);
  const groups = new Map<number, Version[]>();
  for (const version of carried.versions) {
    const group = keptFor(kept, version.sequence);
    groups.set(group, [...(groups.get(group) ?? []), version]);
  }
  let sealing = false;
  try {
    await writeHistory({
      ...parts,
      window: new PackWindow(packs),
      plan: await HistoryPlan.make(meta, kept),
      checkpoint: async (sequence) => carried.checkpoints.get(sequence) ?? stored(parts, sequence),
      carried: (group) => groups.get(group) ?? [],
      append: async (record) => void (await history.append(record)),
      onVersion: () => {},
      signal: undefined,
    });
    await history.close();
    const written = { newest: kept[kept.length - 1] as number, history: [...history.written], numbers, retire };
    const seal = await sealFor(parts, written);
    sealing = true;
    await writeSeal(parts, history, seal);
    return { seal, kept };
  } catch (error) {
    // Of a seal that may be durable the packs must stay.
    await (sealing ? history.release() : history.abandon()).catch(() => {});
    throw error;
  }
}

/** Sequences, ascending. */
export async function keptCheckpoints(
  { meta }: Pick<CarryWriteParts, 'meta'>,
  { checkpoints, dropped }: Carried,
): Promise<number[]> {
  const kept = new Set(checkpoints.keys());
  for await (const entries of meta.range(CHECKPOINTS)) for (const [key] of entries) kept.add(checkpointSequence(key));
  for (const sequence of dropped) kept.delete(sequence);
  return [...kept].sort((one, other) => one - other);
}

async function stored({ meta }: CarryWriteParts, sequence: number): Promise<Checkpoint> {
  const value = await meta.get(checkpointKey(sequence));
  if (!value) throw new DiffKeeperError('DK_CORRUPT_INDEX', `checkpoint ${sequence} is not in the metadata`);
  return decodeStoredCheckpoint(value).checkpoint;
}

async function sealFor(
  { meta, packs }: CarryWriteParts,
  written: {
    readonly newest: number;
    readonly history: readonly number[];
    readonly numbers: PackNumbers;
    readonly retire: readonly number[];
  },
): Promise<PruneRecord> {
  const { newest: sequence, history, numbers, retire } = written;
  const [before, state] = [await readPrune(meta), await readNewest(meta)];
  // Of a seal without a history nothing more is known; commits to come only have to name what it says.
  const digest = before?.sequence === sequence ? before.digest : (state?.checkpointDigest ?? before?.digest);
  if (!digest) throw new DiffKeeperError('DK_CORRUPT_INDEX', 'the metadata has no newest checkpoint');
  const there = new Set(await packs.list());
  const retired = [...new Set([...(before?.retired ?? []), ...retire])]
    .filter((pack) => there.has(pack))
    .sort((a, b) => a - b);
  return { sequence, digest, firstPack: numbers.first, lastPack: numbers.last + 2, history, retired };
}

/**
 * Before a rebuild: what stands behind the last checkpoint record of the log is nobody's. When the record of the newest
 * one is lost and its checkpoint can be had, the record is written again, behind everything, in a pack of its own.
 *
 * @param promised as the metadata has it
 */
export async function secureNewest(parts: CarryWriteParts, promised: NewestState): Promise<void> {
  const lost = await lostTail(parts, promised);
  const best = await bestOf(parts, lost);
  if (!best) return;
  const { record } = await encodeMetaRecord(parts, RECORD.checkpoint, encodeCheckpoint(best));
  const { packs } = parts;
  const all = await packs.commits();
  try {
    await packs.continueAt(Math.max(promised.pack, all[all.length - 1] ?? 0), Number.MAX_SAFE_INTEGER);
    await packs.append(record);
    await packs.sync();
  } catch (error) {
    await packs.rollBack().catch(() => {});
    throw error;
  }
  packs.markCommitted();
  parts.logger.warn(
    { sequence: best.checkpoint.sequence },
    'the record of the newest checkpoint was lost: written again',
  );
}

/** The newest checkpoints whose records in the log are lost, newest first. */
async function lostTail(parts: CarryWriteParts, promised: NewestState): Promise<StoredCheckpoint[]> {
  const replaced = (await readPrune(parts.meta))?.sequence ?? 0;
  const lost: StoredCheckpoint[] = [];
  let expected = promised.checkpointDigest;
  for await (const entries of parts.meta.range(CHECKPOINTS, { reverse: true })) {
    for (const [, value] of entries) {
      const one = decodeStoredCheckpoint(value);
      const { sequence } = one.checkpoint;
      const proven = parts.engine.digest(parts.algo, encodeCheckpoint(one)).equals(expected);
      if (sequence > promised.sequence || sequence <= replaced || !proven || (await standsAt(parts, one.place)))
        return lost;
      lost.push(one);
      expected = one.previous;
    }
  }
  return lost;
}

/** The newest of them that something is left of: a record of versions, or a version that can be given back. */
async function bestOf(parts: CarryWriteParts, lost: readonly StoredCheckpoint[]): Promise<StoredCheckpoint | null> {
  if (lost.length === 0) return null;
  const oldest = (lost[lost.length - 1] as StoredCheckpoint).checkpoint.sequence;
  const readable = new Set<number>();
  for await (const batch of new Heads(parts.meta).all()) {
    for (const version of batch) {
      const known = version.sequence < oldest || readable.has(version.sequence);
      if (!known && (await isReadable(parts, version))) readable.add(version.sequence);
    }
  }
  let best: StoredCheckpoint | null = null;
  // One that changed nothing is worth as much as the one before it.
  let before = true;
  for (const one of [...lost].reverse()) {
    const { sequence, changed, removed } = one.checkpoint;
    before = changed + removed === 0 ? before : readable.has(sequence) || (await anyStands(parts, one));
    if (before) best = one;
  }
  return best;
}

async function anyStands(parts: CarryWriteParts, { partPlaces }: StoredCheckpoint): Promise<boolean> {
  for (const place of partPlaces) if (await standsAt(parts, place)) return true;
  return false;
}

/** Whether a record can be read where the metadata says. Throws DK_IO. */
async function standsAt(
  { packs, engine, algo, moved }: CarryWriteParts,
  { pack, offset, recordBytes }: StoredCheckpoint['place'],
): Promise<boolean> {
  if (pack === moved) return true;
  try {
    const bytes = await packs.read(pack, offset, recordBytes);
    await decodeMetaRecord(engine, algo, packs.records.decode(bytes, offset));
    return true;
  } catch (error) {
    if (error instanceof DiffKeeperError && error.code.startsWith('DK_CORRUPT')) return false;
    throw error;
  }
}
