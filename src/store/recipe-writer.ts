/** Turns a list of extents into a recipe; long ones become recipe blobs coded against their predecessors. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import {
  type Digest,
  type Extent,
  encodeExtents,
  extentsBytes,
  mergeExtents,
  type Recipe,
  sliceExtents,
  type Version,
} from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { BlobWriter } from './blob-writer.js';
import type { BlobInput } from './types.js';

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
  const regions = splitRegions(extents, size).map((region) => encodeExtents(region));
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
function splitRegions(extents: readonly Extent[], size: number): Extent[][] {
  const regions: Extent[][] = [];
  let rest: readonly Extent[] = extents;
  for (let at = 0; at < size; at += LIMITS.regionBytes) {
    const bytes = Math.min(LIMITS.regionBytes, size - at);
    const region = sliceExtents(rest, 0, bytes);
    regions.push(region);
    rest = dropFront(rest, bytes);
  }
  return regions;
}

function dropFront(extents: readonly Extent[], bytes: number): Extent[] {
  let index = 0;
  let left = bytes;
  while (index < extents.length && (extents[index] as Extent).length <= left) {
    left -= (extents[index] as Extent).length;
    index += 1;
  }
  const rest = extents.slice(index);
  const first = rest[0];
  if (first && left > 0) {
    const offset = first.digest === null ? 0 : first.offset + left;
    rest[0] = { digest: first.digest, offset, length: first.length - left };
  }
  return rest;
}

async function storeRegions(
  writer: BlobWriter,
  blobs: BlobStore,
  regions: readonly Buffer[],
  source: Version | undefined,
): Promise<Digest[]> {
  const before = source?.recipe.kind === 'regions' ? source.recipe.regions : [];
  const known = await writer.has(before.slice(0, regions.length));
  const older = await blobs.read(before.slice(0, regions.length).filter((_, index) => known[index]));
  let next = 0;
  const inputs: BlobInput[] = regions.map((bytes, index) => {
    if (!known[index]) return { bytes, kind: 'recipe' };
    const context = older[next];
    next += 1;
    if (!Buffer.isBuffer(context)) return { bytes, kind: 'recipe' };
    const extents = [{ digest: before[index] as Digest, offset: 0, length: context.length }];
    return { bytes, kind: 'recipe', context: { bytes: context, extents, aligned: false } };
  });
  return writer.store(inputs);
}
