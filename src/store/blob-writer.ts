/** Codes blobs in batches and appends their records: the write half of a transaction. */
import { joinBytes, LIMITS } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Digest,
  digestKey,
  encodeExtents,
  mergeExtents,
  RECORD,
  RECORD_HEAD_BYTES,
  type RecordHead,
} from '../format/format.js';
import { CONTEXT_GAIN, type Coded, encodePending, mayUseDictionary, type Pending, usesContext } from './blob-coding.js';
import type { BlobStore } from './blob-store.js';
import { isWholeBlob } from './chain-base.js';
import type { Dictionary, DictionaryChoice } from './dictionary-choice.js';
import { DICTIONARY_LIST_BYTES, dictionaryExtents, indexKind } from './dictionary-list.js';
import type { MetaChange } from './meta.js';
import type { MetaReader } from './meta-reader.js';
import type { Packs } from './packs.js';
import type { ReadLeases } from './read-leases.js';
import type { SimilarBlobs } from './similar-blobs.js';
import { type Similar, SimilarCoding } from './similar-coding.js';
import { StagedBlobs } from './staged-blobs.js';
import type { BlobContext, BlobInfo, BlobInput } from './types.js';

/** Small deltas are cheap at a high level, and pay. */
const SMALL_DELTA_LEVEL = 9;
const SMALL_DELTA_BYTES = 64 << 10;
/** Bytes of dictionaries in one call: each item brings its own. */
const DICTIONARIES_AT_ONCE = 256;
export class BlobWriter {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #packs: Packs;
  readonly #blobs: BlobStore;
  readonly #dictionaries: DictionaryChoice;
  readonly #level: number;
  readonly #depthMax: number;
  readonly #similar: SimilarCoding;
  /** Blobs of this transaction, not in the index yet. */
  readonly #staged = new StagedBlobs();
  storedBytes = 0;

  constructor(parts: {
    engine: Engine;
    algo: HashAlgo;
    packs: Packs;
    meta: MetaReader;
    leases: ReadLeases;
    blobs: BlobStore;
    dictionaries: DictionaryChoice;
    similar: SimilarBlobs;
    level: number;
    depthMax: number;
  }) {
    this.#engine = parts.engine;
    this.#algo = parts.algo;
    this.#packs = parts.packs;
    this.#blobs = parts.blobs;
    this.#dictionaries = parts.dictionaries;
    this.#level = parts.level;
    this.#depthMax = parts.depthMax;
    this.#similar = new SimilarCoding({ ...parts, staged: this.#staged });
  }

  /** Appends a record of another store, in its plain form; it was checked, and its contexts are here. */
  async adopt(record: Buffer, { kind, digest, decodedBytes, depth, contextListBytes }: RecordHead): Promise<void> {
    if (this.#staged.has(digest)) return;
    const own = this.#packs.records.fromPlain(record);
    const place = await this.#packs.append(own);
    const list = record.subarray(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + contextListBytes);
    this.#staged.add({ digest, ...place, decodedBytes, depth }, indexKind(kind, list));
    this.storedBytes += own.length;
  }

  /** Index entries of the blobs stored so far. */
  changes(): Generator<MetaChange> {
    return this.#staged.changes();
  }

  get changeCount(): number {
    return this.#staged.size;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const infos = await this.#blobs.infos(digests);
    return infos.map((info, index) => {
      return info !== undefined || this.#staged.has(digests[index] as Digest);
    });
  }

  async store(inputs: readonly BlobInput[]): Promise<Digest[]> {
    const digests = await this.#digests(inputs);
    const stored = await this.has(digests);
    const seen = new Set<string>();
    const fresh: { input: BlobInput; digest: Digest }[] = [];
    for (const [index, input] of inputs.entries()) {
      const digest = digests[index] as Digest;
      const key = digest.toString('latin1');
      if (stored[index] || seen.has(key)) continue;
      seen.add(key);
      fresh.push({ input, digest });
    }
    const pending = await this.#withDepths(fresh);
    const followers = await this.#similar.followers(pending.filter(({ input }) => !input.context));
    const dictionary = await this.#storeEach(
      followers.size > 0 ? pending.filter((item) => !followers.has(item)) : pending,
    );
    if (followers.size > 0) await this.#storeFollowers(followers, dictionary);
    return digests;
  }

  /** Stores the items, first versions of small files with a dictionary where there is one; gives that. */
  async #storeEach(pending: readonly Pending[]): Promise<Dictionary | null> {
    const first = pending.filter(mayUseDictionary);
    const dictionary =
      first.length === 0 ? null : await this.#dictionaries.choose(first.map(({ input }) => input.bytes));
    if (dictionary) await this.#storeWith(dictionary, first);
    const rest = dictionary ? pending.filter((item) => !mayUseDictionary(item)) : pending;
    const byLevel = new Map<number, Pending[]>();
    for (const item of rest) {
      const level = levelOf(item, this.#level);
      const same = byLevel.get(level);
      if (same) same.push(item);
      else byLevel.set(level, [item]);
    }
    for (const [level, items] of byLevel) await this.#encodeAndAppend(items, level);
    return dictionary;
  }

  /** What they resemble is stored: those that are better without it are stored as any other. */
  async #storeFollowers(followers: ReadonlyMap<Pending, Similar>, dictionary: Dictionary | null): Promise<void> {
    for await (const { followed, left } of this.#similar.code(followers, dictionary)) {
      for (const { item, coded } of followed) await this.#append(item, coded);
      if (left.length > 0) await this.#storeEach(left);
    }
  }

  /** Each with the dictionary or without, whichever is smaller in its record. */
  async #storeWith({ bytes, digest }: Dictionary, pending: readonly Pending[]): Promise<void> {
    const [info] = await this.#blobs.infos([digest]);
    // A file may happen to have the same bytes, and be a delta.
    if (info && info.depth > 0) return this.#encodeAndAppend(pending, this.#level);
    if (!info && !this.#staged.has(digest)) {
      const input: BlobInput = { bytes, kind: 'blob' };
      await this.#encodeAndAppend([{ input, digest, context: null, depth: 0 }], this.#level);
    }
    const context = { bytes, extents: dictionaryExtents(digest, bytes.length), aligned: false };
    for (let first = 0; first < pending.length; first += DICTIONARIES_AT_ONCE) {
      const plain = pending.slice(first, first + DICTIONARIES_AT_ONCE);
      const based = plain.map((item) => ({ ...item, context, depth: 1 }));
      const alone = await this.#encode(plain, this.#level);
      const coded = await this.#encode(based, this.#level);
      for (const [index, item] of plain.entries()) {
        const [one, other] = [coded[index] as Coded, alone[index] as Coded];
        const wins = usesContext(one.codec) && one.payload.length + DICTIONARY_LIST_BYTES < other.payload.length;
        if (wins) await this.#append(based[index] as Pending, one, encodeExtents(context.extents));
        else await this.#append(item, other);
      }
    }
  }

  async #digests(inputs: readonly BlobInput[]): Promise<Digest[]> {
    for (const { bytes } of inputs) {
      if (bytes.length > LIMITS.blobBytes || bytes.length === 0) {
        throw new RangeError(`a blob must have 1 to ${LIMITS.blobBytes} bytes, came ${bytes.length}`);
      }
    }
    const unknown = inputs.filter((input) => input.digest === undefined);
    const computed = await this.#engine.digestMany(
      this.#algo,
      joinBytes(unknown.map((input) => input.bytes)),
      Uint32Array.from(unknown, (input) => input.bytes.length),
    );
    let next = 0;
    return inputs.map((input) => {
      if (input.digest) return input.digest;
      next += 1;
      return Buffer.from(computed.subarray((next - 1) * 32, next * 32));
    });
  }

  async #withDepths(fresh: readonly { input: BlobInput; digest: Digest }[]): Promise<Pending[]> {
    const wanted = new Map<string, Digest>();
    for (const { input } of fresh) {
      for (const { digest } of input.context?.extents ?? []) if (digest) wanted.set(digestKey(digest), digest);
    }
    const keys = [...wanted.keys()];
    const found = await this.#blobs.infos([...wanted.values()]);
    const infos = new Map(keys.map((key, index) => [key, found[index]]));
    /** Blobs at the depth limit, by the position of what was to be coded against them. */
    const deep = new Map<number, Digest>();
    const pending = fresh.map(({ input, digest }, position): Pending => {
      const { context } = input;
      if (!context || context.bytes.length === 0 || context.bytes.length > LIMITS.contextBytes) {
        return { input, digest, context: null, depth: 0 };
      }
      let depth = 1;
      for (const extent of context.extents) {
        const below = extent.digest ? infos.get(digestKey(extent.digest)) : undefined;
        // A context that is not durably indexed, or lies too deep, must not be built upon.
        if (below === undefined || below.depth + 1 > this.#depthMax) {
          if (isWholeBlob(context.extents, below)) deep.set(position, (below as BlobInfo).digest);
          return { input, digest, context: null, depth: 0 };
        }
        depth = Math.max(depth, below.depth + 1);
      }
      return { input, digest, context, depth };
    });
    await this.#rebase(pending, deep);
    return pending;
  }

  /** Gives those whose chain is at its limit an older blob of it, where that is better than to stand alone. */
  async #rebase(pending: Pending[], deep: ReadonlyMap<number, Digest>): Promise<void> {
    if (deep.size === 0) return;
    const bases = await this.#blobs.bases([...deep.values()], this.#depthMax);
    for (const [index, position] of [...deep.keys()].entries()) {
      const base = bases[index];
      const { input, digest } = pending[position] as Pending;
      if (!base || base.depth + 1 > this.#depthMax) continue;
      const { bytes } = base;
      const extents = [{ digest: base.digest, offset: 0, length: bytes.length }];
      const aligned = input.context?.aligned === true && bytes.length === input.bytes.length;
      pending[position] = { input, digest, context: { bytes, extents, aligned }, depth: base.depth + 1 };
    }
  }

  async #encodeAndAppend(pending: readonly Pending[], level: number): Promise<void> {
    const coded = await this.#encode(pending, level);
    await this.#tryWithoutContext(pending, coded, level);
    const unlike = pending.filter(({ context }, index) => context && !usesContext((coded[index] as Coded).codec));
    const followers = await this.#similar.followers(unlike);
    for (const [index, item] of pending.entries()) {
      if (!followers.has(item)) await this.#append(item, coded[index] as Coded);
    }
    if (followers.size > 0) await this.#storeFollowers(followers, null);
  }

  #encode(pending: readonly Pending[], level: number): Promise<Coded[]> {
    return encodePending(this.#engine, pending, level);
  }

  /** Where the context hardly helped, absolute bytes are better: no depth, no dependence. */
  async #tryWithoutContext(pending: readonly Pending[], coded: Coded[], level: number): Promise<void> {
    const doubtful = pending
      .map((item, index) => ({ item, index }))
      .filter(({ item, index }) => {
        const { codec, payload } = coded[index] as Coded;
        return usesContext(codec) && payload.length * 2 > item.input.bytes.length;
      });
    const plain = await this.#encode(
      doubtful.map(({ item }) => ({ ...item, context: null, depth: 0 })),
      level,
    );
    for (const [position, { index }] of doubtful.entries()) {
      const alone = plain[position] as Coded;
      if (alone.payload.length * CONTEXT_GAIN <= (coded[index] as Coded).payload.length) coded[index] = alone;
    }
  }

  async #append(item: Pending, coded: Coded, list?: Buffer): Promise<void> {
    const based = usesContext(coded.codec);
    const merged = (): Buffer => encodeExtents(mergeExtents((item.context as BlobContext).extents));
    const contextList = based ? (list ?? merged()) : Buffer.alloc(0);
    const kind = item.input.kind === 'recipe' ? RECORD.recipe : RECORD.blob;
    const decodedBytes = item.input.bytes.length;
    const depth = based ? item.depth : 0;
    const { digest } = item;
    const { codec, payload } = coded;
    const record = this.#packs.records.encode({ kind, codec, depth, digest, decodedBytes, contextList, payload });
    const place = await this.#packs.append(record);
    this.#staged.add({ digest: item.digest, ...place, decodedBytes, depth }, indexKind(kind, contextList));
    this.storedBytes += record.length;
    if (item.input.keep) this.#blobs.contexts.keepStored(item.input, digest, item.context?.extents ?? []);
  }
}

/** What is coded against others takes the store's level at least, whatever was asked for the bytes alone. */
function levelOf({ context, input }: Pending, usual: number): number {
  if (context === null) return input.level ?? usual;
  return input.bytes.length <= SMALL_DELTA_BYTES ? Math.max(usual, SMALL_DELTA_LEVEL) : usual;
}
