/**
 * Whether contents come out as long as their versions say: a recipe that asks for more than a blob has, or whose pieces are
 * more or less than the content, gives no file back, whatever the digests of its blobs say.
 */
import { LIMITS, pathToText } from '../core/core.js';
import { type Digest, digestKey, type Extent, type Version } from '../format/format.js';
import type { Affected } from './lost-versions.js';
import type { DamageReport } from './types.js';

/** A version whose pieces could not be compared yet: its blobs stand behind it. */
interface Later extends Affected {
  readonly size: number;
  readonly pieces: Digest | readonly Extent[];
}

/** A version that is made of recipes, their keys in order. */
interface Joined extends Affected {
  readonly size: number;
  readonly regions: readonly string[];
}

export class RecipeFit {
  readonly #lengths: ReadonlyMap<string, number>;
  readonly #later: Later[] = [];
  readonly #joined: Joined[] = [];
  /** Key of a recipe that was read -> the content bytes that it is for; 0 when a piece of it ends outside its blob. */
  readonly #recipes = new Map<string, number>();
  readonly #damage: DamageReport[] = [];

  /** @param lengths of all blobs that were met so far, by their keys */
  constructor(lengths: ReadonlyMap<string, number>) {
    this.#lengths = lengths;
  }

  noteUses({ path, sequence, size, recipe, digest }: Version): void {
    if (recipe.kind === 'regions') {
      this.#joined.push({ path, sequence, size, regions: recipe.regions.map(digestKey) });
    } else if (recipe.kind === 'inline') this.#compare({ path, sequence, size, pieces: recipe.extents }, true);
    else if (recipe.kind === 'whole' && digest) this.#compare({ path, sequence, size, pieces: digest }, true);
  }

  /** A recipe, which is checked against the blobs that are known by now: all of them. */
  noteRecipe(key: string, extents: readonly Extent[]): void {
    const total = extents.reduce((sum, { length }) => sum + length, 0);
    this.#recipes.set(key, this.#outside(extents) === undefined ? total : 0);
  }

  #compare(uses: Later, mayWait: boolean): void {
    const { pieces, size } = uses;
    if (!Array.isArray(pieces)) {
      const bytes = this.#lengths.get(digestKey(pieces as Digest));
      if (bytes === undefined && mayWait) this.#later.push(uses);
      else if (bytes !== undefined && bytes !== size) this.#tell(uses, `it has ${size} bytes, its blob ${bytes}`);
      return;
    }
    const extents = pieces as readonly Extent[];
    const outside = this.#outside(extents);
    if (outside !== undefined) this.#tell(uses, `it needs bytes behind the end of blob ${outside.toString('hex')}`);
    else if (mayWait && extents.some(({ digest }) => digest && !this.#lengths.has(digestKey(digest)))) {
      this.#later.push(uses);
    }
  }

  /** A blob that is known, and of which an extent wants more than it has. */
  #outside(extents: readonly Extent[]): Digest | undefined {
    for (const { digest, offset, length } of extents) {
      if (digest && offset + length > (this.#lengths.get(digestKey(digest)) ?? Number.POSITIVE_INFINITY)) return digest;
    }
    return undefined;
  }

  /** Recipes that are damaged or missing are told of elsewhere. */
  #compareJoined(uses: Joined): void {
    for (const [index, key] of uses.regions.entries()) {
      const wanted = Math.min(LIMITS.regionBytes, uses.size - index * LIMITS.regionBytes);
      const bytes = this.#recipes.get(key);
      if (bytes === undefined || bytes === wanted) continue;
      const name = Buffer.from(key, 'latin1').toString('hex');
      this.#tell(
        uses,
        `its recipe ${name} is for other bytes than the ${wanted} from ${index * LIMITS.regionBytes} on`,
      );
      return;
    }
  }

  #tell({ path, sequence }: Affected, message: string): void {
    this.#damage.push({ kind: 'recipe', where: pathToText(path), message, affected: [{ path, sequence }] });
  }

  /** When all blobs and recipes are known. */
  damage(): DamageReport[] {
    for (const uses of this.#later.splice(0)) this.#compare(uses, false);
    for (const uses of this.#joined.splice(0)) this.#compareJoined(uses);
    return this.#damage;
  }
}
