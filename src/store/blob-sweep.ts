/** Sweep: which packs go, and the blobs that have to move out of them before. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Digest } from '../format/format.js';
import { type BlobTable, MARK } from './blob-table.js';
import type { LiveBlobs } from './live-blobs.js';
import { PackChoice, type PruneCosts } from './pack-choice.js';
import { packName } from './pack-names.js';
import type { PackWindow } from './pack-window.js';
import type { PackWriter } from './pack-writer.js';
import type { Packs } from './packs.js';

export interface SweepParts {
  readonly table: BlobTable;
  readonly live: LiveBlobs;
  readonly window: PackWindow;
  readonly packs: Packs;
  /** A pack goes when less than this share of its bytes is live. */
  readonly compactBelow: number;
  /** Packs were condensed: what is written will be. */
  readonly dense: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export class BlobSweep {
  readonly #parts: SweepParts;
  readonly #retired = new Set<number>();
  #movedBytes = 0;
  #plannedBytes = 0;

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  /** Packs that go, ascending. */
  get retired(): number[] {
    return [...this.#retired].sort((one, other) => one - other);
  }

  /** Bytes of the records that are to be copied, as far as it was known when packs were chosen. */
  get plannedBytes(): number {
    return this.#plannedBytes;
  }

  /** Bytes of the records that were copied. */
  get movedBytes(): number {
    return this.#movedBytes;
  }

  /**
   * Chooses the packs that go; all blobs of the others stay. Versions and recipes must have been marked. Gives by how much the
   * packs will be longer, bytes.
   */
  async choose(candidates: readonly number[], costs: PruneCosts): Promise<number> {
    const { table, live, packs, compactBelow, dense } = this.#parts;
    await live.closeContexts();
    const used = this.#liveBytes();
    await this.#assertThere(new Set(used.keys()));
    const choice = new PackChoice(packs, costs, { compactBelow, dense });
    const sound = candidates.filter((pack) => !live.damagedPacks.has(pack));
    for (const pack of await choice.choose(sound, used)) this.#retired.add(pack);
    for (let row = 0; row < table.count; row += 1) {
      if (!this.#retired.has(table.pack(row))) table.set(row, MARK.live);
    }
    await live.closeContexts();
    this.#keepDamaged();
    const staying = this.#liveBytes();
    for (const pack of this.#retired) this.#plannedBytes += staying.get(pack) ?? 0;
    return choice.change(staying);
  }

  #liveBytes(): Map<number, number> {
    const { table } = this.#parts;
    const bytes = new Map<number, number>();
    for (let row = 0; row < table.count; row += 1) {
      if (!table.has(row, MARK.live)) continue;
      const pack = table.pack(row);
      bytes.set(pack, (bytes.get(pack) ?? 0) + table.recordBytes(row));
    }
    return bytes;
  }

  isRetired(pack: number): boolean {
    return this.#retired.has(pack);
  }

  /** A pack stays after all, and with it all that its blobs need. */
  keep(pack: number): void {
    if (this.#retired.delete(pack)) this.#parts.live.markPack(pack);
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
  async move(writer: PackWriter): Promise<void> {
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
        if (this.#retired.has(table.pack(row))) await this.#moveOne(row, writer);
        done += table.recordBytes(row);
        onProgress?.(done, total);
      }
    }
  }

  /** The same for one blob, if it is to be moved at all. */
  async moveBlob(digest: Digest, writer: PackWriter): Promise<void> {
    const { table } = this.#parts;
    const row = table.find(digest);
    if (row < 0 || table.has(row, MARK.moved) || !this.#retired.has(table.pack(row))) return;
    await this.#moveOne(row, writer);
  }

  async #moveOne(row: number, writer: PackWriter): Promise<void> {
    const { table, live, window, packs } = this.#parts;
    const { pack, offset, digest, recordBytes } = table.info(row);
    try {
      const { record, bytes } = await window.record(pack, offset);
      if (!record.head.digest.equals(digest)) {
        throw new DiffKeeperError('DK_CORRUPT_RECORD', `${packName(pack)} has another record at byte ${offset}`);
      }
      table.move(row, await writer.append(packs.records.moved(bytes, record)));
      this.#movedBytes += recordBytes;
    } catch (error) {
      live.noteDamage(pack, error);
      this.#keepDamaged();
    }
  }

  /** A pack with damaged records stays as it is, and with it all that its blobs need. */
  #keepDamaged(): void {
    for (const pack of this.#parts.live.damagedPacks) this.keep(pack);
  }
}
