/**
 * Gives a checkpoint that stands another tag. Its record says the tag, and records are never changed in their place: the
 * history is written anew, as a prune that drops nothing would do it. That is some bytes for each version; content stays.
 */
import { LIMITS } from '../core/core.js';
import type { Checkpoint } from '../format/format.js';
import { decodeBlobInfo } from './blob-index.js';
import { writeCarried } from './carry-write.js';
import { KEY_LETTER, prefixRange } from './meta-keys.js';
import { applyPrune } from './prune-apply.js';
import type { PruneParts } from './prune-run.js';
import { readPrune, removeLeftovers } from './prune-state.js';

/** Readers that began before are waited for this long; what they read goes at the next opening otherwise. */
const READERS_MS = 10_000;

/** See `Store.retag`. */
export async function retagCheckpoint(parts: PruneParts, sequence: number, tag: string): Promise<Checkpoint> {
  if (Buffer.byteLength(tag) > LIMITS.tagBytes) throw new RangeError(`tag must have at most ${LIMITS.tagBytes} bytes`);
  const { checkpoint } = await parts.history.stored(sequence);
  if (checkpoint.tag === tag) return checkpoint;
  const changed = { ...checkpoint, tag };
  await parts.alone(() => writeAnew(parts, changed));
  try {
    if (await parts.readersOver(READERS_MS)) await removeLeftovers(parts, await readPrune(parts.meta));
  } catch (error) {
    parts.logger.warn({ error: String(error) }, 'packs that are not needed any more cannot be removed now');
  }
  return changed;
}

async function writeAnew(parts: PruneParts, changed: Checkpoint): Promise<void> {
  const before = await readPrune(parts.meta);
  const retire = before ? [...(await withoutBlobs(parts, before.history)), before.lastPack - 1, before.lastPack] : [];
  const carried = {
    checkpoints: new Map([[changed.sequence, changed]]),
    versions: [],
    lost: [],
    dropped: new Set<number>(),
  };
  try {
    const { seal, kept } = await writeCarried(parts, carried, retire);
    await applyPrune(parts, seal, { table: null, kept, end: null });
  } catch (error) {
    // The seal may be durable, and the metadata does not follow: opening it again settles that.
    await parts.failed();
    throw error;
  }
}

/** In a condensed store the packs of a history hold the blobs that it names as well. */
async function withoutBlobs({ meta }: PruneParts, packs: readonly number[]): Promise<number[]> {
  const without = new Set(packs);
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.blob])))) {
    for (const [key, value] of entries) without.delete(decodeBlobInfo(value, key.subarray(1)).pack);
  }
  return packs.filter((pack) => without.has(pack));
}
