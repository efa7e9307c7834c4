/**
 * New content that resembles a stored blob of whatever name: a shifted copy, or one with edits. It is coded against that blob, a
 * transaction's own included: their records stand before those that need them, and are made durable together.
 */
import { LIMITS } from '../core/core.js';
import { type Engine, type HashAlgo, TRY } from '../engine/engine.js';
import { type Digest, digestKey, RECORD } from '../format/format.js';
import { CONTEXT_GAIN, type Coded, encodePending, mayUseDictionary, type Pending, usesContext } from './blob-coding.js';
import { BlobStore } from './blob-store.js';
import type { Dictionary } from './dictionary-choice.js';
import { DICTIONARY_LIST_BYTES, dictionaryExtents, kindFacts } from './dictionary-list.js';
import type { MetaReader } from './meta-reader.js';
import type { Packs } from './packs.js';
import type { ReadLeases } from './read-leases.js';
import { SIMILAR_BYTES, type SimilarBlobs } from './similar-blobs.js';
import type { StagedBlobs } from './staged-blobs.js';
import { withStaged } from './staged-view.js';
import type { BlobInfo } from './types.js';

/** Coded in one call, each with a dictionary perhaps. */
const GROUP_ITEMS = 256;
/** Bytes of a context list with one whole blob. */
const LIST_BYTES = 40;

export interface SimilarParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly meta: MetaReader;
  readonly packs: Packs;
  readonly leases: ReadLeases;
  readonly blobs: BlobStore;
  readonly similar: SimilarBlobs;
  /** Blobs of the transaction. */
  readonly staged: StagedBlobs;
  readonly level: number;
  readonly depthMax: number;
}

/** A blob that an item resembles. */
export interface Similar {
  readonly digest: Digest;
  /** Known when it is one of the same batch. */
  readonly bytes: Uint8Array | undefined;
}

/** An item and what it resembles. */
interface Follower {
  readonly item: Pending;
  readonly source: Similar;
}

/** Coded against what it resembles. */
export interface Followed {
  readonly item: Pending;
  readonly coded: Coded;
}

export class SimilarCoding {
  readonly #parts: SimilarParts;
  #stagedBlobs: BlobStore | undefined;

  constructor(parts: SimilarParts) {
    this.#parts = parts;
  }

  /** Which of the items resemble which blobs: stored ones, or others of these items that are to be stored before them. */
  async followers(pending: readonly Pending[]): Promise<Map<Pending, Similar>> {
    const candidates = pending.filter(isCandidate);
    const contents = candidates.map(({ input, digest }) => ({ bytes: input.bytes, digest }));
    const found = await this.#parts.similar.find(contents, (digests) => this.#usable(digests));
    const followers = new Map<Pending, Similar>();
    if (found.every((digest) => digest === null)) return followers;
    const own = new Map(contents.map(({ bytes, digest }) => [digestKey(digest), bytes]));
    for (const [index, digest] of found.entries()) {
      if (digest) followers.set(candidates[index] as Pending, { digest, bytes: own.get(digestKey(digest)) });
    }
    return followers;
  }

  async #usable(digests: readonly Digest[]): Promise<boolean[]> {
    const infos = await this.#infos(digests);
    return infos.map((info) => info !== undefined && info.depth < this.#parts.depthMax);
  }

  /** Of blobs only: a recipe is none, however its bytes look. */
  async #infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    const { blobs, staged } = this.#parts;
    const known = digests.map((digest) => staged.get(digest));
    const others = (await blobs.infos(digests.filter((_, index) => !known[index]))).values();
    return known.map((one) => {
      const info = one ?? others.next().value;
      return info && kindFacts(info.kind).kind === RECORD.blob ? info : undefined;
    });
  }

  /**
   * Codes those of which the others are stored. Gives a group at a time: what is to be appended, and what is better without.
   *
   * @param dictionary what may be better, too
   */
  async *code(
    followers: ReadonlyMap<Pending, Similar>,
    dictionary: Dictionary | null,
  ): AsyncGenerator<{ readonly followed: Followed[]; readonly left: Pending[] }> {
    const infos = await this.#infos([...followers.values()].map(({ digest }) => digest));
    let group: Follower[] = [];
    let contextBytes = 0;
    const left: Pending[] = [];
    for (const [index, [item, source]] of [...followers].entries()) {
      const info = infos[index];
      if (!info || info.depth >= this.#parts.depthMax) {
        left.push(item);
        continue;
      }
      const full = group.length === GROUP_ITEMS || contextBytes + info.decodedBytes > LIMITS.batchBytes;
      if (full && group.length > 0) {
        yield this.#codeGroup(group, dictionary);
        group = [];
        contextBytes = 0;
      }
      group.push({ item: { ...item, depth: info.depth + 1 }, source });
      contextBytes += info.decodedBytes;
    }
    if (group.length > 0) yield this.#codeGroup(group, dictionary);
    if (left.length > 0) yield { followed: [], left };
  }

  async #codeGroup(
    group: readonly Follower[],
    dictionary: Dictionary | null,
  ): Promise<{ readonly followed: Followed[]; readonly left: Pending[] }> {
    const { engine, level } = this.#parts;
    const { based, left } = await this.#withContexts(group);
    const coded = await encodePending(engine, based, level);
    const without = await this.#leastWithout(based, dictionary);
    const followed: Followed[] = [];
    for (const [index, item] of based.entries()) {
      const one = coded[index] as Coded;
      const least = (without.get(item) as number) * CONTEXT_GAIN;
      const wins = usesContext(one.codec) && one.payload.length + LIST_BYTES <= least;
      if (wins) followed.push({ item, coded: one });
      else left.push({ ...item, context: null, depth: 0 });
    }
    return { followed, left };
  }

  /** The items with the bytes that they resemble; without where these cannot be read, which is the business of `verify`. */
  async #withContexts(group: readonly Follower[]): Promise<{ readonly based: Pending[]; readonly left: Pending[] }> {
    const unread = new Map(group.filter(isUnread).map(({ source: { digest } }) => [digestKey(digest), digest]));
    const read = await this.#read([...unread.values()]);
    const bytesOf = new Map([...unread.keys()].map((key, index) => [key, read[index]]));
    const based: Pending[] = [];
    const left: Pending[] = [];
    for (const { item, source } of group) {
      const { digest } = source;
      const bytes = source.bytes ?? bytesOf.get(digestKey(digest));
      if (bytes instanceof Uint8Array) {
        const extents = [{ digest, offset: 0, length: bytes.length }];
        based.push({ ...item, context: { bytes, extents, aligned: false } });
      } else left.push({ ...item, depth: 0 });
    }
    return { based, left };
  }

  async #read(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    const { blobs, packs, staged, meta } = this.#parts;
    if (digests.length === 0) return [];
    if (!digests.some((digest) => staged.has(digest))) return blobs.read(digests);
    await packs.flush();
    this.#stagedBlobs ??= new BlobStore({ ...this.#parts, meta: withStaged(meta, staged) });
    return this.#stagedBlobs.read(digests);
  }

  /** Payload bytes of each on its own, or with the dictionary and its list. */
  async #leastWithout(items: readonly Pending[], dictionary: Dictionary | null): Promise<Map<Pending, number>> {
    const { engine, level } = this.#parts;
    const least = new Map<Pending, number>();
    const take = (some: readonly Pending[], coded: readonly Coded[], more: number): void => {
      for (const [index, item] of some.entries()) {
        const bytes = (coded[index] as Coded).payload.length + more;
        least.set(item, Math.min(bytes, least.get(item) ?? bytes));
      }
    };
    const alone = items.map((item) => ({ ...item, context: null }));
    take(items, await encodePending(engine, alone, level), 0);
    if (!dictionary) return least;
    const { bytes, digest } = dictionary;
    const context = { bytes, extents: dictionaryExtents(digest, bytes.length), aligned: false };
    const short = items.filter((item) => mayUseDictionary({ ...item, context: null }));
    const based = short.map((item) => ({ ...item, context }));
    take(short, await encodePending(engine, based, level), DICTIONARY_LIST_BYTES);
    return least;
  }
}

function isCandidate({ input }: Pending): boolean {
  const { bytes, kind, similar = false, tries = TRY.zstdContext } = input;
  if (!similar || kind !== 'blob' || (tries & TRY.zstdContext) === 0) return false;
  return bytes.length >= SIMILAR_BYTES.min && bytes.length <= SIMILAR_BYTES.max;
}

function isUnread({ source }: Follower): boolean {
  return source.bytes === undefined;
}
