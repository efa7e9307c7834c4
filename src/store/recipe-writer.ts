/** Turns a list of extents into a recipe; long ones become recipe blobs coded against their predecessors. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import {
  type Digest,
  type Extent,
  encodeExtents,
  extentsBytes,
  mergeExtents,
  type Recipe,
  type Version,
} from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { BlobWriter } from './blob-writer.js';
import type { BlobInput } from './types.js';

/** A version's record holds all its regions, its attributes, and must fit one blob. */
const REGIONS_MAX = (LIMITS.blobBytes - (128 << 10)) / 32;

export async function writeRecipe(
  writer: BlobWriter,
  blobs: BlobStore,
  options: {
    readonly extents: readonly Extent[];
    readonly size: number;
    readonly digest: Digest;
    readonly source?: Version;
  },
): Promise<Recipe> {
  const { size, digest, source } = options;
  if (size === 0) return { kind: 'empty' };
  const extents = mergeExtents(options.extents);
  const covered = extentsBytes(extents);
  if (covered !== size) {
    throw new DiffKeeperError('DK_CORRUPT_RECIPE', `extents cover ${covered} of ${size} bytes`, {
      expected: size,
      actual: covered,
    });
  }
  if (isWhole(extents, digest)) return { kind: 'whole' };
  if (extents.length <= LIMITS.inlineExtents) return { kind: 'inline', extents };
  const lists = splitRegions(extents);
  assertReadable(lists);
  const regions = lists.map((list) => encodeExtents(list));
  const tooLong = regions.find((bytes) => bytes.length > LIMITS.blobBytes);
  if (tooLong) {
    throw new DiffKeeperError('DK_LIMIT', `a recipe is too fragmented: ${tooLong.length} bytes for one region`, {
      expected: LIMITS.blobBytes,
      actual: tooLong.length,
    });
  }
  return { kind: 'regions', regions: await storeRegions(writer, blobs, regions, source) };
}

function isWhole(extents: readonly Extent[], digest: Digest): boolean {
  const only = extents.length === 1 ? extents[0] : undefined;
  return only?.digest != null && only.offset === 0 && only.digest.equals(digest);
}

/** One list per region, found in a single walk. */
function splitRegions(extents: readonly Extent[]): Extent[][] {
  const regions: Extent[][] = [];
  let region: Extent[] = [];
  let room: number = LIMITS.regionBytes;
  for (let index = 0; index < extents.length; index += 1) {
    const extent = extents[index] as Extent;
    for (let at = 0; at < extent.length; ) {
      const length = Math.min(extent.length - at, room);
      const whole = length === extent.length;
      region.push(
        whole ? extent : { digest: extent.digest, offset: extent.digest === null ? 0 : extent.offset + at, length },
      );
      at += length;
      room -= length;
      if (room > 0) continue;
      regions.push(region);
      region = [];
      room = LIMITS.regionBytes;
    }
  }
  if (region.length > 0) regions.push(region);
  return regions;
}

/** What a reader would refuse must not be stored: it would be acknowledged and lost. */
function assertReadable(regions: readonly (readonly Extent[])[]): void {
  const limit = (what: string, expected: number, actual: number): never => {
    throw new DiffKeeperError('DK_LIMIT', `${what}: ${actual}, at most ${expected}`, { expected, actual });
  };
  if (regions.length > REGIONS_MAX) limit('a file has too many regions', REGIONS_MAX, regions.length);
  for (const { length } of regions) {
    if (length > LIMITS.regionExtents) limit('a region is too fragmented', LIMITS.regionExtents, length);
  }
}

async function storeRegions(
  writer: BlobWriter,
  blobs: BlobStore,
  regions: readonly Buffer[],
  source: Version | undefined,
): Promise<Digest[]> {
  const before = source?.recipe.kind === 'regions' ? source.recipe.regions : [];
  const known = await writer.has(before.slice(0, regions.length));
  const older = await blobs.contexts.recipes(before.slice(0, regions.length).filter((_, index) => known[index]));
  let next = 0;
  const inputs: BlobInput[] = regions.map((bytes, index) => {
    if (!known[index]) return { bytes, kind: 'recipe' };
    const context = older[next];
    next += 1;
    if (!Buffer.isBuffer(context)) return { bytes, kind: 'recipe' };
    const extents = [{ digest: before[index] as Digest, offset: 0, length: context.length }];
    return { bytes, kind: 'recipe', context: { bytes: context, extents, aligned: false }, keep: true };
  });
  return writer.store(inputs);
}
