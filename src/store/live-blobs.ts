/**
 * Mark: which blobs stay. A blob stays when something that stays names it: a version, a recipe, or the context list of
 * another blob in any pack that stays. So each pack on disk always has the contexts of all its blobs, dead or alive: an
 * index made from the packs alone names nothing that cannot be decoded.
 */
import { DiffKeeperError, isDiffKeeperError, LIMITS, type Logger, throwIfAborted } from '../core/core.js';
import { type Digest, RECORD, type Version } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import { type BlobTable, MARK } from './blob-table.js';
import { blobsOfList, blobsOfVersion } from './blob-uses.js';
import { packName } from './pack-names.js';
import type { PackWindow } from './pack-window.js';

const RECIPES_AT_ONCE = 64;

export interface LiveParts {
  readonly table: BlobTable;
  readonly blobs: BlobStore;
  readonly window: PackWindow;
  readonly logger: Logger;
  /** Go on where records are damaged; otherwise the first one ends the prune. */
  readonly allowDamaged: boolean;
  readonly signal: AbortSignal | undefined;
}

export class LiveBlobs {
  readonly #parts: LiveParts;
  /** Packs with records that cannot be read: they stay as they are. */
  readonly damagedPacks = new Set<number>();
  #damaged = 0;

  constructor(parts: LiveParts) {
    this.#parts = parts;
  }

  /** Damaged records met. */
  get damaged(): number {
    return this.#damaged;
  }

  mark(digest: Digest, marks: number = MARK.live): void {
    const { table } = this.#parts;
    const row = table.find(digest);
    if (row >= 0) table.set(row, marks);
  }

  markVersion(version: Version): void {
    for (const digest of blobsOfVersion(version)) this.mark(digest, MARK.live | MARK.named);
  }

  /** All blobs of a pack that stays. */
  markPack(pack: number): void {
    const { table } = this.#parts;
    for (let row = 0; row < table.count; row += 1) if (table.pack(row) === pack) table.set(row, MARK.live);
  }

  /** What the recipes of versions that stay name: a recipe that is a mere context needs nothing but its own bytes. */
  async closeRecipes(): Promise<void> {
    const { table } = this.#parts;
    const rows = await table.rows(
      (row) => table.kind(row) === RECORD.recipe && table.has(row, MARK.named) && !table.has(row, MARK.recipeRead),
    );
    for (let first = 0; first < rows.length; ) {
      throwIfAborted(this.#parts.signal);
      let bytes = 0;
      let end = first;
      while (end < rows.length && end - first < RECIPES_AT_ONCE && bytes < LIMITS.batchBytes) {
        bytes += table.decodedBytes(rows[end] as number);
        end += 1;
      }
      await this.#readRecipes(rows.subarray(first, end));
      first = end;
    }
  }

  async #readRecipes(rows: Uint32Array): Promise<void> {
    const { table, blobs } = this.#parts;
    const decoded = await blobs.read([...rows].map((row) => table.digest(row)));
    for (const [index, bytes] of decoded.entries()) {
      const row = rows[index] as number;
      table.set(row, MARK.recipeRead);
      try {
        if (!Buffer.isBuffer(bytes)) throw bytes;
        for (const digest of blobsOfList(bytes)) this.mark(digest);
      } catch (error) {
        this.noteDamage(table.pack(row), error);
      }
    }
  }

  /** What is live because something coded against it is: deepest first, so that each depth is walked once. */
  async closeContexts(): Promise<void> {
    const { table } = this.#parts;
    for (let depth = LIMITS.chainDepthMax; depth > 0; depth -= 1) {
      const rows = await table.rows(
        (row) => table.depth(row) === depth && table.has(row, MARK.live) && !table.has(row, MARK.contextRead),
      );
      for (const row of rows) {
        throwIfAborted(this.#parts.signal);
        await this.#readContext(row);
      }
    }
  }

  async #readContext(row: number): Promise<void> {
    const { table, window } = this.#parts;
    table.set(row, MARK.contextRead);
    const { pack, offset, digest } = table.info(row);
    try {
      const found = await window.contextList(pack, offset);
      if (!found.digest.equals(digest)) {
        throw new DiffKeeperError('DK_CORRUPT_RECORD', `${packName(pack)} has another record at byte ${offset}`);
      }
      if (found.list.length > 0) for (const below of blobsOfList(found.list)) this.mark(below);
    } catch (error) {
      this.noteDamage(pack, error);
    }
  }

  /** Damage ends the prune, or, when that is allowed, makes its pack stay. Other errors are thrown as they are. */
  noteDamage(pack: number, error: unknown): void {
    const damaged = isDiffKeeperError(error) && /^DK_(CORRUPT|DIGEST)/.test(error.code);
    if (!damaged) throw error;
    if (!this.#parts.allowDamaged) {
      throw new DiffKeeperError(
        error.code,
        `nothing is pruned, because the store is damaged: ${error.message} (\`diffkeeper repair\` says what it reaches)`,
        { ...error.facts, name: packName(pack) },
        error,
      );
    }
    this.#damaged += 1;
    this.#parts.logger.warn({ pack, reason: error.message }, 'a damaged record: its pack stays as it is');
    this.damagedPacks.add(pack);
  }
}
