/** Which blobs something uses: the one place that looks into recipes and context lists for it. */
import { type Digest, decodeExtents, type Version } from '../format/format.js';

/** Blobs that a version names itself; those of kind `regions` are recipes, which name further ones. */
export function blobsOfVersion(version: Version): readonly Digest[] {
  const { recipe, digest } = version;
  if (recipe.kind === 'whole') return digest ? [digest] : [];
  if (recipe.kind === 'regions') return recipe.regions;
  if (recipe.kind !== 'inline') return [];
  return recipe.extents.flatMap((extent) => (extent.digest ? [extent.digest] : []));
}

/** Blobs that a recipe blob or a context list names, each once. Throws DK_CORRUPT_RECIPE. */
export function blobsOfList(bytes: Uint8Array): Digest[] {
  const seen = new Set<string>();
  const digests: Digest[] = [];
  for (const { digest } of decodeExtents(bytes)) {
    const key = digest?.toString('latin1');
    if (!digest || key === undefined || seen.has(key)) continue;
    seen.add(key);
    digests.push(digest);
  }
  return digests;
}
