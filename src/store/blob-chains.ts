/**
 * Many blobs together with the chains of deltas that they are made of, in a few crossings: the engine follows the chains
 * through what stands near, and the index is asked only for what does not. Whatever cannot be had in this way is left to
 * the plan, which tells what is wrong.
 */
import { LIMITS } from '../core/core.js';
import type { Engine, FollowedChains, HashAlgo, RecordPlaces } from '../engine/engine.js';
import { type Digest, digestKey } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Decoded bytes of one request. */
const TARGET_BYTES_MAX = 32 << 20;
/** Records that one request holds, roughly. */
const RECORDS_BYTES_MAX = 48 << 20;
/** Bytes of records that are followed in one crossing. */
const FOLLOW_BYTES = 8 << 20;
/** Packs of one request: so many are open at once. */
const PACKS_MAX = 16;
const DIGEST_BYTES = 32;

/** Verified blobs, one behind the other in one piece of memory. */
export type FoundBlobs = Map<string, Buffer>;

export class BlobChains {
  readonly #fetch: BlobFetch;
  readonly #packs: Packs;
  readonly #engine: Engine;
  readonly #algo: HashAlgo;

  constructor(fetch: BlobFetch, parts: { readonly packs: Packs; readonly engine: Engine; readonly algo: HashAlgo }) {
    this.#fetch = fetch;
    this.#packs = parts.packs;
    this.#engine = parts.engine;
    this.#algo = parts.algo;
  }

  /** Those of the blobs that come out as their digests say, in any case nothing else. */
  async read(digests: readonly Digest[]): Promise<FoundBlobs> {
    // Of a sealed record nothing can be told before it is opened.
    if (this.#packs.records.sealed) return new Map();
    try {
      const wanted = new Map<string, Digest>();
      for (const digest of digests) wanted.set(digestKey(digest), digest);
      return await this.#read(wanted);
    } catch {
      // It is read again, and what is wrong is told then.
      return new Map();
    }
  }

  async #read(wanted: ReadonlyMap<string, Digest>): Promise<FoundBlobs> {
    const infos = (await this.#fetch.infos([...wanted.values()])).filter((info) => info !== undefined);
    const bytes = infos.reduce((sum, info) => sum + info.decodedBytes, 0);
    if (infos.length === 0 || bytes > TARGET_BYTES_MAX) return new Map();
    const followed = await this.#follow(infos, new Set(wanted.keys()));
    if (followed === null) return new Map();
    const target = Buffer.allocUnsafeSlow(bytes);
    const status = await this.#withPlaces(followed.alone, (places) =>
      this.#engine.decodeChains({
        ...places,
        records: followed.records,
        digests: joined(infos),
        decodedLengths: Uint32Array.from(infos, (info) => info.decodedBytes),
        target,
        algo: this.#algo,
      }),
    );
    const found: FoundBlobs = new Map();
    let at = 0;
    for (const [index, { digest, decodedBytes }] of infos.entries()) {
      const end = at + decodedBytes;
      if (status?.[index] === 0) found.set(digestKey(digest), target.subarray(at, end));
      at = end;
    }
    return found;
  }

  /** The records of all chains, and where those stand that need nothing; null when it is too much. */
  async #follow(
    infos: readonly BlobInfo[],
    known: Set<string>,
  ): Promise<{ readonly records: Buffer[]; readonly alone: BlobInfo[] } | null> {
    const records: Buffer[] = [];
    const alone: BlobInfo[] = [];
    let bytes = 0;
    let fresh = infos;
    for (let level = 0; fresh.length > 0; level += 1) {
      if (level > LIMITS.chainDepthMax) return null;
      const based: BlobInfo[] = [];
      for (const info of fresh) (info.depth > 0 ? based : alone).push(info);
      const unknown: Digest[] = [];
      for (const group of inFollows(based)) {
        const followed = await this.#withPlaces(group, (places) => this.#engine.followChains(places));
        if (followed === null) return null;
        bytes += followed.records.length;
        if (bytes > RECORDS_BYTES_MAX) return null;
        if (followed.records.length > 0) records.push(followed.records);
        unknown.push(...newDigests(followed, known));
      }
      fresh = (await this.#fetch.infos(unknown)).filter((info) => info !== undefined);
    }
    return { records, alone };
  }

  /** Null when they stand in too many packs. */
  async #withPlaces<T>(infos: readonly BlobInfo[], work: (places: RecordPlaces) => Promise<T>): Promise<T | null> {
    const numbers = new Map<number, number>();
    const places = new Float64Array(infos.length * 3);
    for (const [index, { pack, offset, recordBytes }] of infos.entries()) {
      let file = numbers.get(pack);
      if (file === undefined) {
        file = numbers.size;
        numbers.set(pack, file);
      }
      places[3 * index] = file;
      places[3 * index + 1] = offset;
      places[3 * index + 2] = recordBytes;
    }
    if (numbers.size > PACKS_MAX) return null;
    return this.#packs.withDescriptors([...numbers.keys()], (fds) =>
      work({ fds, places, placeDigests: joined(infos) }),
    );
  }
}

function joined(infos: readonly BlobInfo[]): Buffer {
  const digests = Buffer.allocUnsafe(infos.length * DIGEST_BYTES);
  for (const [index, { digest }] of infos.entries()) digests.set(digest, index * DIGEST_BYTES);
  return digests;
}

/** Groups of records to be followed in one crossing each. */
function* inFollows(infos: readonly BlobInfo[]): Generator<BlobInfo[]> {
  let group: BlobInfo[] = [];
  let bytes = 0;
  for (const info of infos) {
    if (group.length > 0 && bytes + info.recordBytes > FOLLOW_BYTES) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(info);
    bytes += info.recordBytes;
  }
  if (group.length > 0) yield group;
}

/** Digests that are met for the first time. */
function newDigests({ missing }: FollowedChains, known: Set<string>): Digest[] {
  const fresh: Digest[] = [];
  for (let at = 0; at < missing.length; at += DIGEST_BYTES) {
    const digest = missing.subarray(at, at + DIGEST_BYTES);
    const key = digestKey(digest);
    if (known.has(key)) continue;
    known.add(key);
    fresh.push(digest);
  }
  return fresh;
}
