/** Sweep: which packs go, and the blobs that have to move out of them before. */
import { DiffKeeperError, LIMITS, throwIfAborted } from '../core/core.js';
import { type BlobTable, MARK } from './blob-table.js';
import type { LiveBlobs } from './live-blobs.js';
import { isCompacted, packName } from './pack-names.js';
import type { PackWindow } from './pack-window.js';
import type { PackWriter } from './pack-writer.js';
import type { Packs } from './packs.js';

/** Packs of earlier prunes that are smaller are put together. */
const SMALL_PACK_BYTES = LIMITS.packBytes / 4;

export interface SweepParts {
  readonly table: BlobTable;
  readonly live: LiveBlobs;
  readonly window: PackWindow;
  readonly packs: Packs;
  /** Null: nothing is written, only counted. */
  readonly writer: PackWriter | null;
  /** A pack goes when less than this share of its bytes is live. */
  readonly compactBelow: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export class BlobSweep {
  readonly #parts: SweepParts;
  readonly #retired = new Set<number>();
  #movedBytes = 0;

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  /** Packs that go, ascending. */
  get retired(): number[] {
    return [...this.#retired].sort((one, other) => one - other);
  }

  /** Bytes of the records that were copied. */
  get movedBytes(): number {
    return this.#movedBytes;
  }

  /** Chooses the packs that go; all blobs of the others stay. Versions and recipes must have been marked. */
  async choose(candidates: readonly number[]): Promise<void> {
    const { table, live, packs, compactBelow } = this.#parts;
    await live.closeContexts();
    const liveBytes = new Map<number, number>();
    for (let row = 0; row < table.count; row += 1) {
      if (!table.has(row, MARK.live)) continue;
      const pack = table.pack(row);
      liveBytes.set(pack, (liveBytes.get(pack) ?? 0) + table.recordBytes(row));
    }
    await this.#assertThere(new Set(liveBytes.keys()));
    const small: number[] = [];
    for (const pack of candidates) {
      if (live.damagedPacks.has(pack)) continue;
      // What stays of a dense pack is copied into a plain one: that has to be less than what the dense one takes.
      const length = await packs.fileBytes(pack);
      const used = liveBytes.get(pack) ?? 0;
      if (used === 0 || used < length * compactBelow) this.#retired.add(pack);
      else if (isCompacted(pack) && length < SMALL_PACK_BYTES) small.push(pack);
    }
    if (small.length > 1) for (const pack of small) this.#retired.add(pack);
    for (let row = 0; row < table.count; row += 1) {
      if (!this.#retired.has(table.pack(row))) table.set(row, MARK.live);
    }
  }

  /** A pack that is missing may come back (a disk that is not mounted): nothing is decided without it. */
  async #assertThere(needed: ReadonlySet<number>): Promise<void> {
    const there = new Set(await this.#parts.packs.list());
    for (const pack of needed) {
      if (there.has(pack)) continue;
      const error = new DiffKeeperError('DK_CORRUPT_PACK', `pack ${packName(pack)} is missing`, {
        name: packName(pack),
      });
      this.#parts.live.noteDamage(pack, error);
    }
  }

  /** Copies what stays out of the packs that go; may be called again when more was marked. */
  async move(): Promise<void> {
    const { table, live, signal, onProgress } = this.#parts;
    for (;;) {
      await live.closeContexts();
      this.#keepDamaged();
      const rows = await table.rows(
        (row) => table.has(row, MARK.live) && !table.has(row, MARK.moved) && this.#retired.has(table.pack(row)),
      );
      if (rows.length === 0) return;
      let total = 0;
      for (const row of rows) total += table.recordBytes(row);
      let done = 0;
      for (const row of rows) {
        throwIfAborted(signal);
        if (this.#retired.has(table.pack(row))) await this.#moveOne(row);
        done += table.recordBytes(row);
        onProgress?.(done, total);
      }
    }
  }

  async #moveOne(row: number): Promise<void> {
    const { table, live, window, writer } = this.#parts;
    const { pack, offset, digest, recordBytes } = table.info(row);
    try {
      const { record, bytes } = await window.record(pack, offset);
      if (!record.head.digest.equals(digest)) {
        throw new DiffKeeperError('DK_CORRUPT_RECORD', `${packName(pack)} has another record at byte ${offset}`);
      }
      if (writer) table.move(row, await writer.append(bytes));
      else table.set(row, MARK.moved);
      this.#movedBytes += recordBytes;
    } catch (error) {
      live.noteDamage(pack, error);
      this.#keepDamaged();
    }
  }

  /** A pack with damaged records stays as it is, and with it all that its blobs need. */
  #keepDamaged(): void {
    for (const pack of this.#parts.live.damagedPacks) {
      if (this.#retired.delete(pack)) this.#parts.live.markPack(pack);
    }
  }

  /** Bytes of the packs that go. */
  async retiredBytes(): Promise<number> {
    let bytes = 0;
    for (const pack of this.#retired) bytes += await this.#parts.packs.fileBytes(pack);
    return bytes;
  }
}
