/**
 * Older bytes that captures code new ones against. Of a file that changes all the time the same blobs are wanted again and again,
 * and what was just stored is wanted next: such blobs are kept for some seconds (context-cache.ts).
 */
import type { Clock } from '../core/core.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import { type Demand, placed } from './blob-plan.js';
import { ContextCache } from './context-cache.js';
import type { BlobInfo, BlobInput } from './types.js';

/** Blobs decoded together to be kept: they are copied out of one buffer. */
const KEPT_AT_ONCE = 8;

/** Where they come from. */
export interface ContextSource {
  infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]>;
  read(digests: readonly Digest[]): Promise<(Buffer | Error)[]>;
  /** @param demands each with its place in the target */
  readDemands(demands: readonly Demand[], target: Buffer): Promise<void>;
}

export class ContextReader {
  readonly #source: ContextSource;
  readonly #cache: ContextCache;

  constructor(source: ContextSource, clock?: Clock) {
    this.#source = source;
    this.#cache = new ContextCache(clock);
  }

  clear(): void {
    this.#cache.clear();
  }

  /** The bytes of the extents, joined. Throws what keeps any of them away. */
  async read(extents: readonly Extent[]): Promise<Buffer> {
    await this.#keepWanted(extents);
    const target = Buffer.allocUnsafe(extents.reduce((sum, extent) => sum + extent.length, 0));
    const left = placed(extents, target).filter(({ digest, offset, length = 0, at = 0 }) => {
      const bytes = this.#cache.get(digestKey(digest));
      // An extent that leaves its blob is told of where it is read.
      if (!bytes || offset + length > bytes.length) return true;
      bytes.copy(target, at, offset, offset + length);
      return false;
    });
    if (left.length > 0) await this.#source.readDemands(left, target);
    return target;
  }

  /**
   * What was just stored against older bytes will be older bytes itself soon. A recipe is kept for as long as the one that it was coded
   * against would be, so that it is read from the disk now and then, however often the file changes.
   */
  keepStored({ kind, bytes }: BlobInput, digest: Digest, context: readonly Extent[]): void {
    const key = digestKey(digest);
    const before = context[0]?.digest;
    if (kind === 'blob') this.#cache.keep(key, bytes);
    else this.#cache.keepRecipe(key, bytes, before ? digestKey(before) : undefined);
  }

  /**
   * Recipes, in order; an Error in the place of what cannot be read. Each version of a file that changes all the time is made of the
   * one before, which stands at the end of a chain of deltas all over the packs.
   */
  async recipes(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    const kept = digests.map((digest) => this.#cache.get(digestKey(digest)));
    const unknown = digests.filter((_, index) => !kept[index]);
    if (unknown.length === 0) return kept as Buffer[];
    const again = new Set(unknown.map(digestKey).filter((key) => this.#cache.again(key)));
    const read = (await this.#source.read(unknown)).values();
    return digests.map((digest, index) => {
      const known = kept[index];
      if (known) return known;
      const bytes = read.next().value as Buffer | Error;
      const key = digestKey(digest);
      if (Buffer.isBuffer(bytes) && again.has(key)) this.#cache.keepRecipe(key, bytes);
      return bytes;
    });
  }

  async #keepWanted(extents: readonly Extent[]): Promise<void> {
    const unknown = new Map<string, Digest>();
    for (const { digest } of extents) {
      if (digest && !this.#cache.get(digestKey(digest))) unknown.set(digestKey(digest), digest);
    }
    const again = [...unknown].filter(([key]) => this.#cache.again(key)).map(([, digest]) => digest);
    if (again.length === 0) return;
    const infos = (await this.#source.infos(again)).filter((info) => info !== undefined);
    const digests = this.#cache.fitting(infos, (info) => info.decodedBytes).map((info) => info.digest);
    for (let first = 0; first < digests.length; first += KEPT_AT_ONCE) {
      const some = digests.slice(first, first + KEPT_AT_ONCE);
      // What is wrong with them is told where their extents are read.
      const blobs = await this.#source.read(some).catch(() => []);
      for (const [i, bytes] of blobs.entries()) {
        if (Buffer.isBuffer(bytes)) this.#cache.keep(digestKey(some[i] as Digest), bytes);
      }
    }
  }
}
