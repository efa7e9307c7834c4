/** What versions from elsewhere need and the store does not have, and whether recipes fit what they are recipes of. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import {
  type Digest,
  decodeExtents,
  digestKey,
  type Extent,
  extentsBytes,
  RECORD,
  type Version,
} from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { MissingBlobs } from './exchange-types.js';

const RECIPES_AT_ONCE = 32;
/** After so many the search ends: it is made again when they are there. */
const FOUND_MAX = 20_000;

interface Region {
  readonly digest: Digest;
  /** Bytes of the file that it covers. */
  readonly bytes: number;
}

/** Bytes that a blob must have: exactly, or at least. */
interface Need {
  readonly digest: Digest;
  readonly end: number;
  readonly exact: boolean;
}

export class MissingSearch {
  readonly #blobs: BlobStore;
  readonly #recipes = new Map<string, Digest>();
  readonly #missing = new Map<string, Digest>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** See `StoreExchange.missing`. */
  async run(versions: readonly Version[], complete: Set<string>): Promise<MissingBlobs> {
    const needs: Need[] = [];
    const regions = new Map<string, Region>();
    for (const version of versions) {
      const { recipe, digest, size } = version;
      if (recipe.kind === 'whole' && digest) needs.push({ digest, end: size, exact: true });
      else if (recipe.kind === 'inline') needs.push(...needsOf(recipe.extents));
      else if (recipe.kind === 'regions') addRegions(regions, recipe.regions, size, complete);
    }
    await this.#look(needs);
    await this.#lookIntoRecipes([...regions.values()], complete);
    return { recipes: [...this.#recipes.values()], blobs: [...this.#missing.values()] };
  }

  /** True when all of them are here. */
  async #look(needs: readonly Need[]): Promise<boolean> {
    const infos = await this.#blobs.infos(needs.map(({ digest }) => digest));
    let whole = true;
    for (const [index, { digest, end, exact }] of needs.entries()) {
      const info = infos[index];
      if (!info) {
        this.#missing.set(digestKey(digest), digest);
        whole = false;
      } else if (exact ? info.decodedBytes !== end : info.decodedBytes < end) {
        const name = digest.toString('hex');
        const message = `blob ${name} has ${info.decodedBytes} bytes, a recipe wants ${end}`;
        throw new DiffKeeperError('DK_CORRUPT_RECIPE', message, { name, expected: end, actual: info.decodedBytes });
      }
    }
    return whole;
  }

  async #lookIntoRecipes(regions: readonly Region[], complete: Set<string>): Promise<void> {
    for (let first = 0; first < regions.length && this.#missing.size < FOUND_MAX; first += RECIPES_AT_ONCE) {
      const group = regions.slice(first, first + RECIPES_AT_ONCE);
      const infos = await this.#blobs.infos(group.map(({ digest }) => digest));
      const here = group.filter(({ digest }, index) => {
        const info = infos[index];
        if (!info) this.#recipes.set(digestKey(digest), digest);
        // A prune follows records of recipes only.
        else if (info.kind !== RECORD.recipe) unfit(digest, 'is no recipe');
        return info !== undefined;
      });
      const contents = await this.#blobs.read(here.map(({ digest }) => digest));
      for (const [index, content] of contents.entries()) {
        const { digest, bytes } = here[index] as Region;
        if (!Buffer.isBuffer(content)) throw content;
        const extents = decodeExtents(content);
        if (extentsBytes(extents) !== bytes) unfit(digest, `covers ${extentsBytes(extents)} bytes of ${bytes}`);
        if (await this.#look(needsOf(extents))) complete.add(digestKey(digest));
      }
    }
  }
}

function unfit(digest: Digest, what: string): never {
  const name = digest.toString('hex');
  throw new DiffKeeperError('DK_CORRUPT_RECIPE', `recipe ${name} ${what}`, { name });
}

/** Each blob once, with the furthest byte that is used of it. */
function needsOf(extents: readonly Extent[]): Need[] {
  const ends = new Map<string, Need>();
  for (const { digest, offset, length } of extents) {
    if (digest === null) continue;
    const key = digestKey(digest);
    const end = Math.max(offset + length, ends.get(key)?.end ?? 0);
    ends.set(key, { digest, end, exact: false });
  }
  return [...ends.values()];
}

function addRegions(
  regions: Map<string, Region>,
  digests: readonly Digest[],
  size: number,
  complete: ReadonlySet<string>,
): void {
  for (const [index, digest] of digests.entries()) {
    const bytes = Math.min(LIMITS.regionBytes, size - index * LIMITS.regionBytes);
    const key = digestKey(digest);
    const known = regions.get(key);
    if (known && known.bytes !== bytes) unfit(digest, `stands for ${known.bytes} bytes and for ${bytes}`);
    if (!complete.has(key)) regions.set(key, { digest, bytes });
  }
}
