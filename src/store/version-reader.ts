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

/** Number of the last extent that begins at `offset` or before; 0 when there is none. */
function extentAt(starts: Float64Array, offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] as number) <= offset) low = middle;
    else high = middle;
  }
  return low;
}

/** The part of a region that covers these bytes. Only its ends are looked at: a step of a file may have thousands. */
function sliceRegion({ extents, starts }: Region, offset: number, length: number): Extent[] {
  const first = extentAt(starts, offset);
  const start = starts[first] ?? 0;
  const last = length === 0 ? first : extentAt(starts, offset + length - 1);
  if (last === first) return sliceExtents(extents.slice(first, last + 1), offset - start, length);
  const head = sliceExtents(extents.slice(first, first + 1), offset - start, (starts[first + 1] as number) - offset);
  const tail = sliceExtents(extents.slice(last, last + 1), 0, offset + length - (starts[last] as number));
  return head.concat(extents.slice(first + 1, last), tail);
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
    const parts: Extent[][] = [];
    let at = offset;
    while (at < offset + length) {
      const index = Math.floor(at / LIMITS.regionBytes);
      const inside = at - index * LIMITS.regionBytes;
      const take = Math.min(LIMITS.regionBytes - inside, offset + length - at);
      parts.push(sliceRegion(await this.#region(index), inside, take));
      at += take;
    }
    return parts.flat();
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
