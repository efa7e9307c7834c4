/** Random access to the bytes of one version through its recipe. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import type { Digest, Extent, Version } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import { ExtentTable } from './extent-table.js';
import type { Stretch } from './raw-slices.js';
import type { VersionReader } from './reading-types.js';

const REGIONS_KEPT = 4;

/** What larger files are made of would push everything else out of the page cache, for nobody who reads it again. */
const DIRECT_BYTES_MIN = 128 << 20;

/** Extents of fewer bytes than this on average are pieces of a scattered file. */
const SCATTERED_BYTES = 64 << 10;

/** A part of a file: bytes of one region, and where they go in what was asked for. */
interface Part extends Stretch {
  readonly at: number;
}

export class RecipeReader implements VersionReader {
  readonly version: Version;
  readonly #blobs: BlobStore;
  /** Several readings may be under way: one of them loads a region for all. */
  readonly #regions = new Map<number, Promise<ExtentTable>>();

  constructor(blobs: BlobStore, version: Version) {
    this.#blobs = blobs;
    this.version = version;
  }

  async extents(offset: number, length: number): Promise<Extent[]> {
    const parts: Extent[][] = [];
    for await (const { table, offset: from, length: bytes } of this.#parts(offset, length)) {
      parts.push(table.slice(from, bytes));
    }
    return parts.length === 1 ? (parts[0] as Extent[]) : parts.flat();
  }

  /** The regions that these bytes lie in. */
  async *#parts(offset: number, length: number): AsyncGenerator<Part> {
    const { size } = this.version;
    if (offset < 0 || length < 0 || offset + length > size) {
      throw new RangeError(`range must lie within 0 to ${size}, came ${offset} to ${offset + length}`);
    }
    // Only regions are counted: an inline list is one whole, however long its runs of zeros make it.
    if (this.version.recipe.kind !== 'regions') {
      yield { table: await this.#region(0), offset, length, at: 0 };
      return;
    }
    for (let at = offset; at < offset + length; ) {
      const index = Math.floor(at / LIMITS.regionBytes);
      const inside = at - index * LIMITS.regionBytes;
      const take = Math.min(LIMITS.regionBytes - inside, offset + length - at);
      yield { table: await this.#region(index), offset: inside, length: take, at: at - offset };
      at += take;
    }
  }

  #region(index: number): Promise<ExtentTable> {
    const known = this.#regions.get(index);
    if (known) return known;
    const region = this.#loadRegion(index);
    this.#regions.set(index, region);
    // Whoever asks after a failure tries again.
    region.catch(() => {
      if (this.#regions.get(index) === region) this.#regions.delete(index);
    });
    if (this.#regions.size > REGIONS_KEPT) {
      this.#regions.delete(this.#regions.keys().next().value as number);
    }
    return region;
  }

  async #loadRegion(index: number): Promise<ExtentTable> {
    const { recipe, digest, size, path } = this.version;
    if (recipe.kind === 'whole') return ExtentTable.of([{ digest: digest as Digest, offset: 0, length: size }]);
    if (recipe.kind === 'inline') return ExtentTable.of(recipe.extents);
    if (recipe.kind === 'empty') return ExtentTable.of([]);
    const [bytes] = await this.#blobs.contexts.recipes([recipe.regions[index] as Digest]);
    if (!Buffer.isBuffer(bytes)) throw bytes ?? new Error('recipe was not read');
    const table = ExtentTable.decode(bytes);
    const expected = Math.min(LIMITS.regionBytes, size - index * LIMITS.regionBytes);
    if (table.bytes !== expected) {
      throw new DiffKeeperError('DK_CORRUPT_RECIPE', `recipe of ${path}: region ${index} covers other bytes`, {
        path,
        expected,
        actual: table.bytes,
      });
    }
    return table;
  }

  async read(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    return this.#blobs.readExtents(await this.extents(offset, length), into);
  }

  async readLoosely(offset: number, length: number, into: Buffer): Promise<Buffer> {
    for await (const part of this.#parts(offset, length)) {
      await this.#blobs.readLoosely(part, into.subarray(part.at, part.at + part.length), this.#isDirect());
    }
    return into.subarray(0, length);
  }

  #isDirect(): boolean {
    return this.version.size >= DIRECT_BYTES_MIN;
  }

  async isScattered(): Promise<boolean> {
    const { size, recipe } = this.version;
    if (size > LIMITS.regionBytes || recipe.kind === 'whole' || recipe.kind === 'empty') return false;
    const table = await this.#region(0);
    return table.count * SCATTERED_BYTES > size && (await this.#blobs.isLoose(table));
  }

  async prefetch(offset: number, length: number): Promise<void> {
    try {
      for await (const part of this.#parts(offset, length)) await this.#blobs.prefetch(part, this.#isDirect());
    } catch {
      // Reading will say what is wrong.
    }
  }

  async readRanges(ranges: Float64Array): Promise<Buffer> {
    const extents: Extent[] = [];
    for (let index = 0; index < ranges.length; index += 2) {
      for (const extent of await this.extents(ranges[index] as number, ranges[index + 1] as number)) {
        extents.push(extent);
      }
    }
    return this.#blobs.contexts.read(extents);
  }
}
