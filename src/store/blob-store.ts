/** Reads blobs back: index, pack, checksum, context, decode, digest. Nothing unverified leaves this file. */
import { DiffKeeperError, isDiffKeeperError, LIMITS } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Checksum,
  type DecodedRecord,
  type Digest,
  decodeExtents,
  decodeRecord,
  type Extent,
} from '../format/format.js';
import { decodeBlobInfo } from './blob-index.js';
import type { Meta } from './meta.js';
import { blobKey } from './meta-keys.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Neighbouring records are read together when the gap between them is at most this. */
const READ_GAP_BYTES = 64 << 10;
const READ_RUN_BYTES = 4 << 20;
/** Bytes (decoded and context) handed to one decode call. */
const DECODE_BYTES = 16 << 20;
/** Smaller blobs cost less to read again than to keep. */
const CACHED_BYTES_MIN = 32 << 10;

type Blob = Buffer | Error;
interface Coded {
  readonly key: string;
  readonly record: DecodedRecord;
  readonly context: readonly Extent[];
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export class BlobStore {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #meta: Meta;
  readonly #packs: Packs;
  readonly #checksum: Checksum;
  readonly #cache = new Map<string, Buffer>();
  #cacheBytes = 0;

  constructor(parts: { engine: Engine; algo: HashAlgo; meta: Meta; packs: Packs; checksum: Checksum }) {
    this.#engine = parts.engine;
    this.#algo = parts.algo;
    this.#meta = parts.meta;
    this.#packs = parts.packs;
    this.#checksum = parts.checksum;
  }

  async infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    const values = await this.#meta.getMany(digests.map(blobKey));
    return values.map((value, index) => (value ? decodeBlobInfo(value, digests[index] as Digest) : undefined));
  }

  /** Decoded, verified bytes in order; an Error in the place of what cannot be read. */
  async read(digests: readonly Digest[]): Promise<Blob[]> {
    const found = new Map<string, Blob>();
    await this.#fill(digests, found, LIMITS.chainDepthMax);
    return digests.map((digest) => found.get(keyOf(digest)) ?? new Error('blob was not read'));
  }

  clearCache(): void {
    this.#cache.clear();
    this.#cacheBytes = 0;
  }

  #remember(key: string, bytes: Buffer): void {
    if (this.#cache.has(key)) return;
    this.#cache.set(key, bytes);
    this.#cacheBytes += bytes.length;
    for (const [oldest, old] of this.#cache) {
      if (this.#cacheBytes <= LIMITS.blobCacheBytes) return;
      this.#cache.delete(oldest);
      this.#cacheBytes -= old.length;
    }
  }

  #recall(key: string): Buffer | undefined {
    const bytes = this.#cache.get(key);
    if (bytes) {
      this.#cache.delete(key);
      this.#cache.set(key, bytes);
    }
    return bytes;
  }

  async #fill(digests: readonly Digest[], found: Map<string, Blob>, depthLeft: number): Promise<void> {
    const missing = new Map<string, Digest>();
    for (const digest of digests) {
      const key = keyOf(digest);
      if (found.has(key) || missing.has(key)) continue;
      const cached = this.#recall(key);
      if (cached) found.set(key, cached);
      else missing.set(key, digest);
    }
    if (missing.size === 0) return;
    const wanted = [...missing.values()];
    const infos = await this.infos(wanted);
    const places: BlobInfo[] = [];
    for (const [index, info] of infos.entries()) {
      if (info) places.push(info);
      else found.set(keyOf(wanted[index] as Digest), this.#notIndexed(wanted[index] as Digest));
    }
    places.sort((one, other) => one.pack - other.pack || one.offset - other.offset);
    for (const group of groupPlaces(places)) await this.#readGroup(group, found, depthLeft);
  }

  #notIndexed(digest: Digest): Error {
    const name = digest.toString('hex');
    return new DiffKeeperError('DK_CORRUPT_INDEX', `blob ${name} is not in the index: run \`diffkeeper repair\``, {
      name,
    });
  }

  /** Records that stand close together in one pack: one read, one decode. */
  async #readGroup(group: readonly BlobInfo[], found: Map<string, Blob>, depthLeft: number): Promise<void> {
    const first = group[0] as BlobInfo;
    const last = group[group.length - 1] as BlobInfo;
    let bytes: Buffer;
    try {
      bytes = await this.#packs.read(first.pack, first.offset, last.offset + last.recordBytes - first.offset);
    } catch (error) {
      for (const info of group) found.set(keyOf(info.digest), asError(error));
      return;
    }
    const coded: Coded[] = [];
    for (const info of group) {
      const key = keyOf(info.digest);
      const at = info.offset - first.offset;
      try {
        const record = decodeRecord(bytes.subarray(at, at + info.recordBytes), info.offset, this.#checksum);
        if (!record.head.digest.equals(info.digest)) {
          throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index points at another blob in pack ${info.pack}`);
        }
        const context = record.contextList.length > 0 ? decodeExtents(record.contextList) : [];
        coded.push({ key, record, context });
      } catch (error) {
        found.set(key, inPack(error, this.#packs.file(info.pack)));
      }
    }
    await this.#decodeAll(coded, found, depthLeft);
  }

  async #decodeAll(coded: readonly Coded[], found: Map<string, Blob>, depthLeft: number): Promise<void> {
    const needed: Digest[] = [];
    for (const item of coded) for (const extent of item.context) if (extent.digest) needed.push(extent.digest);
    const contexts = new Map<string, Blob>();
    if (needed.length > 0) {
      if (depthLeft <= 0) {
        const error = new DiffKeeperError('DK_LIMIT', `a chain is deeper than ${LIMITS.chainDepthMax}`);
        for (const item of coded) found.set(item.key, error);
        return;
      }
      await this.#fill(needed, contexts, depthLeft - 1);
    }
    let batch: { item: Coded; context: Buffer }[] = [];
    let bytes = 0;
    for (const item of coded) {
      const context = gather(item.context, contexts);
      if (!Buffer.isBuffer(context)) {
        found.set(item.key, context);
        continue;
      }
      batch.push({ item, context });
      bytes += item.record.head.decodedBytes + context.length;
      if (bytes >= DECODE_BYTES) {
        await this.#decodeBatch(batch, found);
        batch = [];
        bytes = 0;
      }
    }
    if (batch.length > 0) await this.#decodeBatch(batch, found);
  }

  async #decodeBatch(batch: readonly { item: Coded; context: Buffer }[], found: Map<string, Blob>): Promise<void> {
    const payloads = batch.map(({ item }) => item.record.payload);
    const decodedLengths = Uint32Array.from(batch, ({ item }) => item.record.head.decodedBytes);
    const { data, status } = await this.#engine.decodeBlobs({
      payloads: Buffer.concat(payloads),
      payloadLengths: Uint32Array.from(payloads, (payload) => payload.length),
      codecs: Uint8Array.from(batch, ({ item }) => item.record.head.codec),
      decodedLengths,
      contexts: Buffer.concat(batch.map(({ context }) => context)),
      contextLengths: Uint32Array.from(batch, ({ context }) => context.length),
      digests: Buffer.concat(batch.map(({ item }) => item.record.head.digest)),
      algo: this.#algo,
    });
    let at = 0;
    for (const [index, { item }] of batch.entries()) {
      const length = decodedLengths[index] as number;
      if (status[index] === 0) {
        const view = data.subarray(at, at + length);
        // A cached view would keep its whole batch alive: what is worth caching is copied, the rest is a view.
        const bytes = length >= CACHED_BYTES_MIN && batch.length > 1 ? Buffer.from(view) : view;
        found.set(item.key, bytes);
        if (length >= CACHED_BYTES_MIN) this.#remember(item.key, bytes);
      } else {
        found.set(item.key, decodeFailure(item, status[index] as number));
      }
      at += length;
    }
  }
}

function decodeFailure(item: Coded, status: number): Error {
  const name = item.record.head.digest.toString('hex');
  return status === 1
    ? new DiffKeeperError('DK_CORRUPT_RECORD', `blob ${name} does not decode`, { name })
    : new DiffKeeperError('DK_DIGEST_MISMATCH', `blob ${name} decodes to other bytes`, { name, expected: name });
}

function inPack(error: unknown, file: string): Error {
  if (!isDiffKeeperError(error)) return asError(error);
  return new DiffKeeperError(error.code, `${file}: ${error.message}`, { ...error.facts, path: file }, error);
}

/** Context bytes of one record, or the error that keeps them away. */
function gather(extents: readonly Extent[], blobs: ReadonlyMap<string, Blob>): Blob {
  if (extents.length === 0) return Buffer.alloc(0);
  const parts: Buffer[] = [];
  let total = 0;
  for (const extent of extents) {
    total += extent.length;
    if (total > LIMITS.contextBytes) return new DiffKeeperError('DK_LIMIT', 'a context is too long', { actual: total });
    const blob = extent.digest === null ? Buffer.alloc(extent.length) : blobs.get(keyOf(extent.digest));
    if (!Buffer.isBuffer(blob)) return blob ?? new Error('a context blob was not read');
    if (extent.offset + extent.length > blob.length) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context lies outside its blob');
    }
    parts.push(blob.subarray(extent.offset, extent.offset + extent.length));
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

function* groupPlaces(places: readonly BlobInfo[]): Generator<BlobInfo[]> {
  let group: BlobInfo[] = [];
  let start = 0;
  let end = 0;
  for (const place of places) {
    const placeEnd = place.offset + place.recordBytes;
    const near = group[0]?.pack === place.pack && place.offset - end <= READ_GAP_BYTES;
    if (group.length > 0 && !(near && placeEnd - start <= READ_RUN_BYTES)) {
      yield group;
      group = [];
    }
    if (group.length === 0) start = place.offset;
    group.push(place);
    end = placeEnd;
  }
  if (group.length > 0) yield group;
}
