/** Random access to the bytes of one version through its recipe. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Digest, decodeExtents, type Extent, extentsBytes, sliceExtents, type Version } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { VersionReader } from './types.js';

const REGIONS_KEPT = 4;

interface Region {
  readonly extents: readonly Extent[];
  /** Start of each extent inside the region. */
  readonly starts: Float64Array;
}

function toRegion(extents: readonly Extent[]): Region {
  const starts = new Float64Array(extents.length);
  let at = 0;
  for (let index = 0; index < extents.length; index += 1) {
    starts[index] = at;
    at += (extents[index] as Extent).length;
  }
  return { extents, starts };
}

/** The part of a region that covers these bytes; a binary search finds where to begin. */
function sliceRegion(region: Region, offset: number, length: number): Extent[] {
  let low = 0;
  let high = region.starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((region.starts[middle] as number) <= offset) low = middle;
    else high = middle;
  }
  let count = low;
  while (count < region.extents.length && (region.starts[count] as number) < offset + length) count += 1;
  const start = region.starts[low] ?? 0;
  return sliceExtents(region.extents.slice(low, count), offset - start, length);
}

export class RecipeReader implements VersionReader {
  readonly version: Version;
  readonly #blobs: BlobStore;
  readonly #regions = new Map<number, Region>();

  constructor(blobs: BlobStore, version: Version) {
    this.#blobs = blobs;
    this.version = version;
  }

  async extents(offset: number, length: number): Promise<Extent[]> {
    const { size } = this.version;
    if (offset < 0 || length < 0 || offset + length > size) {
      throw new RangeError(`range must lie within 0 to ${size}, came ${offset} to ${offset + length}`);
    }
    // Only regions are counted: an inline list is one whole, however long its runs of zeros make it.
    if (this.version.recipe.kind !== 'regions') return sliceRegion(await this.#region(0), offset, length);
    const slices: Extent[] = [];
    let at = offset;
    while (at < offset + length) {
      const index = Math.floor(at / LIMITS.regionBytes);
      const inside = at - index * LIMITS.regionBytes;
      const take = Math.min(LIMITS.regionBytes - inside, offset + length - at);
      const region = await this.#region(index);
      const part = sliceRegion(region, inside, take);
      if (part.length === 1) slices.push(part[0] as Extent);
      else for (let k = 0; k < part.length; k += 1) slices.push(part[k] as Extent);
      at += take;
    }
    return slices;
  }

  async #region(index: number): Promise<Region> {
    const known = this.#regions.get(index);
    if (known) return known;
    const region = toRegion(await this.#loadRegion(index));
    this.#regions.set(index, region);
    if (this.#regions.size > REGIONS_KEPT) {
      this.#regions.delete(this.#regions.keys().next().value as number);
    }
    return region;
  }

  async #loadRegion(index: number): Promise<readonly Extent[]> {
    const { recipe, digest, size, path } = this.version;
    if (recipe.kind === 'whole') return [{ digest: digest as Digest, offset: 0, length: size }];
    if (recipe.kind === 'inline') return recipe.extents;
    if (recipe.kind === 'empty') return [];
    const [bytes] = await this.#blobs.read([recipe.regions[index] as Digest]);
    if (!Buffer.isBuffer(bytes)) throw bytes ?? new Error('recipe was not read');
    const extents = decodeExtents(bytes);
    const expected = Math.min(LIMITS.regionBytes, size - index * LIMITS.regionBytes);
    const actual = extentsBytes(extents);
    if (actual !== expected) {
      throw new DiffKeeperError('DK_CORRUPT_RECIPE', `recipe of ${path}: region ${index} covers other bytes`, {
        path,
        expected,
        actual,
      });
    }
    return extents;
  }

  async read(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    return this.#blobs.readExtents(await this.extents(offset, length), into);
  }

  async readLoosely(offset: number, length: number, into: Buffer): Promise<Buffer> {
    return this.#blobs.readLoosely(await this.extents(offset, length), into);
  }

  async prefetch(offset: number, length: number): Promise<void> {
    try {
      await this.#blobs.prefetch(await this.extents(offset, length));
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
    return this.#blobs.readExtents(extents);
  }
}
