/** Which packs are worth being written densely, and what in them the newest state needs. */
import { LIMITS, type Logger, throwIfAborted } from '../core/core.js';
import { RECORD } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import { BlobTable, MARK } from './blob-table.js';
import { kindFacts } from './dictionary-list.js';
import type { Heads } from './heads.js';
import { LiveBlobs } from './live-blobs.js';
import type { MetaReader } from './meta-reader.js';
import { PackWindow } from './pack-window.js';
import type { Packs } from './packs.js';
import type { VainPacks } from './vain-packs.js';

/** A block of most file systems: a shorter file takes as much. */
const PACK_BYTES_MIN = 4096;
/** Longer blobs stay as they are coded: what they have in common with others they were coded against. */
export const SMALL_BLOB_BYTES = 64 << 10;
/** Of the bytes of a pack, the share that small blobs and the history have to make up. */
const SMALL_SHARE = 0.5;
/** Of the bytes of a pack, the share that the newest state may need: it is to be read as fast as before. */
const USED_SHARE = 0.25;
/** A shorter pack makes one group, which is soon read whatever the newest state needs of it. */
const ONE_GROUP_BYTES = LIMITS.denseGroupBytes / 4;

export interface ChoiceParts {
  readonly meta: MetaReader;
  readonly packs: Packs;
  readonly blobs: BlobStore;
  readonly heads: Heads;
  readonly logger: Logger;
  readonly vain: VainPacks;
}

export interface ChoiceOptions {
  readonly packBytesMin?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class CondenseChoice {
  /** Ascending. */
  readonly packs: readonly number[];
  readonly #table: BlobTable;

  private constructor(packs: readonly number[], table: BlobTable) {
    this.packs = packs;
    this.#table = table;
  }

  /** @param candidates packs of commits. Throws DK_CORRUPT_INDEX, DK_IO, RangeError. */
  static async make(
    parts: ChoiceParts,
    candidates: readonly number[],
    { packBytesMin = PACK_BYTES_MIN, signal }: ChoiceOptions = {},
  ): Promise<CondenseChoice> {
    if (!(packBytesMin >= 0)) throw new RangeError(`packBytesMin must be at least 0, got ${packBytesMin}`);
    const { meta, packs, blobs, heads, logger, vain } = parts;
    const lengths = new Map<number, number>();
    for (const pack of candidates) {
      throwIfAborted(signal);
      const bytes = await packs.fileBytes(pack);
      const tried = bytes < packBytesMin || vain.has(pack, bytes);
      if (!tried && !(await packs.isDense(pack))) lengths.set(pack, bytes);
    }
    if (lengths.size === 0) return new CondenseChoice([], new BlobTable());
    const table = await BlobTable.load(meta, ({ pack }) => lengths.has(pack), signal);
    const window = new PackWindow(packs);
    const live = new LiveBlobs({ table, blobs, window, logger, allowDamaged: true, signal });
    if (table.count > 0) {
      for await (const batch of heads.all()) {
        throwIfAborted(signal);
        for (const version of batch) live.markVersion(version);
      }
    }
    await live.closeRecipes();
    const sums = await sumsOf(table);
    throwIfAborted(signal);
    const chosen = [...lengths].filter(([pack, length]) => {
      const { large, used } = sums.get(pack) ?? { large: 0, used: 0 };
      const damaged = live.damagedPacks.has(pack);
      return (
        !damaged && length - large >= length * SMALL_SHARE && (length <= ONE_GROUP_BYTES || used <= length * USED_SHARE)
      );
    });
    return new CondenseChoice(
      chosen.map(([pack]) => pack).sort((one, other) => one - other),
      table,
    );
  }

  /** Whether the newest state needs this blob. */
  isUsed(digest: Buffer): boolean {
    const row = this.#table.find(digest);
    return row >= 0 && this.#table.has(row, MARK.live);
  }
}

interface Sums {
  /** Bytes of records of longer blobs. */
  large: number;
  /** Bytes of records that the newest state needs. */
  used: number;
}

async function sumsOf(table: BlobTable): Promise<Map<number, Sums>> {
  const sums = new Map<number, Sums>();
  await table.each((row) => {
    const pack = table.pack(row);
    const sum = sums.get(pack) ?? { large: 0, used: 0 };
    sums.set(pack, sum);
    const isBlob = kindFacts(table.kind(row)).kind === RECORD.blob;
    if (isBlob && table.decodedBytes(row) > SMALL_BLOB_BYTES) sum.large += table.recordBytes(row);
    if (table.has(row, MARK.live)) sum.used += table.recordBytes(row);
  });
  return sums;
}
