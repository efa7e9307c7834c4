/**
 * Blobs that resemble new content, by a few features that both have (engine: `sketchMany`). What is found is a hint: it
 * is used when coding against it makes the record smaller, and only if it is stored.
 */
import { LIMITS, spanBytes } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import type { Digest } from '../format/format.js';
import { readSegments, type SimilarPlace, writeSegment } from './similar-file.js';
import { SEGMENT_ROWS, SimilarTable } from './similar-table.js';

/** Smaller contents are left to dictionaries: the record of a delta takes a hundred bytes and a step of depth. */
export const SIMILAR_BYTES = { min: 4096, max: LIMITS.smallFileBytes } as const;
/** Rows that are not in their file yet: so many may be lost when the process is killed. */
const UNSAVED_MAX = 1024;

export interface Content {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

export class SimilarBlobs {
  readonly #engine: Engine;
  readonly #place: SimilarPlace;
  #table: SimilarTable | undefined;
  /** Rows before this one are in their files. */
  #saved = 0;

  constructor(parts: SimilarPlace) {
    this.#engine = parts.engine;
    this.#place = parts;
  }

  /**
   * For each content the digest of one that resembles it, of an earlier one of these or of the newest before; null where
   * there is none: such a content may be found from now on.
   *
   * @param usable of digests that the table has: whether each can be coded against
   */
  async find(
    contents: readonly Content[],
    usable: (digests: readonly Digest[]) => Promise<boolean[]>,
  ): Promise<(Digest | null)[]> {
    if (contents.length === 0) return [];
    const features = await this.#sketch(contents);
    this.#table ??= await this.#load();
    const table = this.#table;
    const first = table.next;
    const known = await this.#usableRows(table, features, usable);
    const found = contents.map(({ digest }, index) => {
      const at = (index * features.length) / contents.length;
      const row = table.find(features, at, (one) => one >= first || known.has(one));
      if (row >= 0) return table.digest(row);
      table.add(digest, features, at);
      return null;
    });
    if (table.next - this.#saved > UNSAVED_MAX) await this.save();
    return found;
  }

  /** These were not coded against what they resemble: others may be coded against them. */
  async add(contents: readonly Content[]): Promise<void> {
    const table = this.#table;
    if (contents.length === 0 || !table) return;
    const features = await this.#sketch(contents);
    for (const [index, { digest }] of contents.entries()) {
      table.add(digest, features, (index * features.length) / contents.length);
    }
  }

  #sketch(contents: readonly Content[]): Promise<Uint32Array> {
    const { data, pieces } = spanBytes(contents.map(({ bytes }) => bytes));
    return this.#engine.sketchMany(data, pieces);
  }

  /** Rows that may be found for these features, as far as they can be coded against. */
  async #usableRows(
    table: SimilarTable,
    features: Uint32Array,
    usable: (digests: readonly Digest[]) => Promise<boolean[]>,
  ): Promise<Set<number>> {
    const rows = table.next === 0 ? [] : table.rowsWith(features);
    const digests = rows.map((row) => table.digest(row));
    const answers = digests.length > 0 ? await usable(digests) : [];
    return new Set(rows.filter((_, index) => answers[index]));
  }

  async #load(): Promise<SimilarTable> {
    const table = new SimilarTable();
    table.loadSegments(await readSegments(this.#place));
    this.#saved = table.next;
    return table;
  }

  /** Writes what is not in a file yet. A failure only means that less is found again. */
  async save(): Promise<void> {
    const table = this.#table;
    if (!table || table.next === this.#saved) return;
    const last = Math.floor((table.next - 1) / SEGMENT_ROWS);
    try {
      for (let number = Math.floor(this.#saved / SEGMENT_ROWS); number <= last; number += 1) {
        await writeSegment(this.#place, number, table.segment(number));
      }
    } catch {
      // The last segment is written again with the next ones.
    }
    this.#saved = table.next;
  }
}
