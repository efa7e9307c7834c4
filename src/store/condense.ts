/**
 * Writes packs of many small versions anew, densely: the same records, of which short blobs are compressed together instead
 * of against one another. Nothing is dropped. Each pack is written beside the old one first, while captures go on, and read
 * back; then, while nobody reads or writes, it takes the old one's place and the metadata follows. A crash in between is
 * told by a key of the metadata, which is rebuilt from the packs then.
 */
import { unlink } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, isDiffKeeperError, renameDurable, throwIfAborted } from '../core/core.js';
import { ByteReader, ByteWriter, PACK_HEADER_BYTES } from '../format/format.js';
import { encodeNewest } from './blob-index.js';
import { CondenseChoice } from './condense-choice.js';
import { type CondensedPack, condensePack } from './condense-pack.js';
import { condensedChange } from './condensed-mark.js';
import type { Heads } from './heads.js';
import type { MetaChange } from './meta.js';
import { Changes } from './meta-changes.js';
import { CONDENSING_KEY, NEWEST_KEY } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { isCompacted } from './pack-names.js';
import { PlaceMoves } from './place-moves.js';
import type { PruneParts } from './prune-run.js';
import { readPrune } from './prune-state.js';
import type { ReadLeases } from './read-leases.js';
import type { CondenseOptions, CondenseReport } from './types.js';
import { isUnreadable } from './unreadable-blocks.js';
import { VainPacks, type VainPacksPlace } from './vain-packs.js';

/** Readers that began before are waited for this long; the pack stays as it is otherwise. */
const READERS_MS = 10_000;
/** The same while captures wait. */
const READERS_ALONE_MS = 500;

export interface CondenseParts extends PruneParts, VainPacksPlace {
  readonly heads: Heads;
  readonly leases: ReadLeases;
  /** How often the metadata was opened again, or made anew. */
  readonly openings: () => number;
}

/** The pack that is being replaced according to the metadata; 0 for none. Throws DK_CORRUPT_INDEX. */
export async function readCondensing(meta: MetaReader): Promise<number> {
  const value = await meta.get(CONDENSING_KEY);
  return value ? new ByteReader(value, 'DK_CORRUPT_INDEX', 'pack that is being replaced').varint() : 0;
}

/**
 * See `Store.condense`.
 *
 * @param only no other packs than these
 */
export async function condenseStore(
  parts: CondenseParts,
  options: CondenseOptions,
  only?: ReadonlySet<number>,
): Promise<CondenseReport> {
  const { packs } = parts;
  if (packs.records.sealed) {
    throw new DiffKeeperError(
      'DK_UNSUPPORTED',
      'an encrypted store cannot be condensed: sealed records have nothing in common',
    );
  }
  const bytesBefore = await bytesOf(parts);
  const report = { packs: 0, considered: 0, bytesBefore, bytesAfter: bytesBefore, damaged: 0, packsLeft: 0 };
  const vain = await VainPacks.read(parts);
  const candidates = (await settledPacks(parts)).filter((pack) => only?.has(pack) ?? true);
  const choice = await CondenseChoice.make({ ...parts, vain }, candidates, options);
  const total = 2 * (await sum(choice.packs, (pack) => packs.fileBytes(pack)));
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    options.onProgress?.(Math.min(done, total), total);
  };
  report.considered = choice.packs.length;
  for (const [index, pack] of choice.packs.entries()) {
    const { signal } = options;
    // Who reads on and on would make all of the work vain.
    if (!(await readersOver(parts, signal))) {
      report.packsLeft += choice.packs.length - index;
      break;
    }
    if (!isCompacted(pack)) report.bytesAfter += await leave(parts, pack);
    const condensed = await condensePack(parts, { pack, choice, signal, onBytes }).catch((error: unknown) => {
      const isDamage = isDiffKeeperError(error) && (error.code.startsWith('DK_CORRUPT') || isUnreadable(error));
      if (!isDamage) throw error;
      parts.logger.warn({ pack, reason: error.message }, 'a damaged pack stays as it is');
      report.damaged += 1;
      return undefined;
    });
    if (condensed === null) await vain.add(pack, await packs.fileBytes(pack), await packs.list());
    if (!condensed) continue;
    if (await putInPlace(parts, pack, { condensed, signal })) {
      report.packs += 1;
      // What captures add meanwhile was not taken by this.
      report.bytesAfter += condensed.fileBytes - condensed.sourceBytes;
    } else report.packsLeft += 1;
  }
  return report;
}

/** Gives how many bytes that took. */
async function leave({ alone, packs }: CondenseParts, pack: number): Promise<number> {
  let isNew = false;
  await alone(async () => {
    isNew = packs.position.pack <= pack;
    await packs.leave(pack);
  });
  return isNew ? PACK_HEADER_BYTES : 0;
}

/** False when some go on and on. Throws DK_ABORTED. */
async function readersOver(parts: CondenseParts, signal: AbortSignal | undefined): Promise<boolean> {
  const over = await parts.readersOver(READERS_MS, signal);
  throwIfAborted(signal);
  return over;
}

/** What a transaction has begun meanwhile is not ours, nor what stems from a prune that did not end. */
async function settledPacks({ alone, packs, state, meta }: CondenseParts): Promise<number[]> {
  let found: number[] = [];
  await alone(async () => {
    const last = state()?.pack ?? 0;
    const prune = await readPrune(meta);
    // The last two are its seal.
    const lastWritten = prune ? prune.lastPack - 2 : 0;
    const retired = new Set(prune?.retired);
    const isSettled = (pack: number) => pack <= (isCompacted(pack) ? lastWritten : last) && !retired.has(pack);
    found = (await packs.list()).filter(isSettled);
  });
  return found;
}

function bytesOf({ packs }: CondenseParts): Promise<number> {
  return packs.list().then((all) => sum(all, (pack) => packs.fileBytes(pack)));
}

async function sum(packs: readonly number[], bytes: (pack: number) => Promise<number>): Promise<number> {
  let total = 0;
  for (const pack of packs) total += await bytes(pack);
  return total;
}

/** False when somebody still reads by the old places, or the pack is not what was read: it stays as it is then. */
async function putInPlace(
  parts: CondenseParts,
  pack: number,
  { condensed, signal }: { readonly condensed: CondensedPack; readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  let placed = false;
  let failure: unknown = null;
  try {
    const opening = parts.openings();
    // What is damaged in the metadata is told while nothing has been replaced.
    const moves = await PlaceMoves.find(parts.meta, condensed.places, signal);
    if (await readersOver(parts, signal)) {
      const place = async (): Promise<void> => {
        // After a failed commit the packs are cut back, and the last one is appended to again.
        if (!isCompacted(pack)) await parts.packs.leave(pack);
        const isKnown = parts.openings() === opening && (await isUntouched(parts, pack, condensed));
        placed = isKnown && (await parts.readersOver(READERS_ALONE_MS));
        if (!placed) return;
        await replace(parts, { pack, condensed, moves }).catch((error: unknown) => {
          failure = error;
        });
      };
      await parts.alone(async () => {
        await parts.leases.pausing(place);
        if (failure === null) return;
        // What it takes may be what is missing on the disk.
        await unlink(condensed.file).catch(() => {});
        // Opening the store again tells which of both files is there. It has to read.
        await parts.failed({ misplaced: true });
        throw failure;
      });
    }
  } finally {
    // Gone already when it has taken the place.
    await unlink(condensed.file).catch(() => {});
  }
  return placed;
}

/** A store that follows another one may keep blobs behind its newest checkpoint: what will be written there is not known yet. */
async function isUntouched({ packs, state }: CondenseParts, pack: number, condensed: CondensedPack): Promise<boolean> {
  const now = state();
  if (isCompacted(pack))
    return (await packs.list()).includes(pack) && (await packs.fileBytes(pack)) === condensed.sourceBytes;
  // Nothing is ever appended to what is replaced.
  if (!now || now.pack < pack || packs.position.pack <= pack) return false;
  if (now.pack === pack && (!condensed.endsWhole || now.length !== condensed.sourceBytes)) return false;
  return (await packs.fileBytes(pack)) === condensed.sourceBytes;
}

/** From the first key on the metadata may be older than the pack; the last batch says that it is not. */
async function replace(
  parts: CondenseParts,
  { pack, condensed, moves }: { readonly pack: number; readonly condensed: CondensedPack; readonly moves: PlaceMoves },
): Promise<void> {
  const { meta, packs } = parts;
  const { file, length } = condensed;
  await meta.write([{ key: CONDENSING_KEY, value: new ByteWriter(8).varint(pack).finish() }], true);
  await renameDurable(file, packs.file(pack)).catch((error: unknown) => {
    throw fromSystemError(error, 'replace', packs.file(pack));
  });
  await packs.replaced(pack);
  const changes = new Changes(meta);
  for await (const change of moves.changes(meta)) await changes.add(change);
  await changes.flush();
  const state = parts.state();
  const last: MetaChange[] = [{ key: CONDENSING_KEY, value: null }, condensedChange()];
  if (state?.pack === pack) last.push({ key: NEWEST_KEY, value: encodeNewest({ ...state, length }) });
  await meta.writeInBatches(last);
}
