/**
 * Reads blobs back: index, pack, checksum, context, decode, digest. Nothing
 * unverified leaves this file.
 *
 * A blob coded against others needs them first, and they may need others. The
 * whole set is gathered before anything is decoded, then decoded once each,
 * lowest depth first: following the chains one by one would decode shared
 * ancestors again and again, doubling with every layer.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { Checksum, Digest, Extent } from '../format/format.js';
import { BlobCache } from './blob-cache.js';
import { BlobFetch, blobKeyText, type CodedBlob } from './blob-fetch.js';
import type { Meta } from './meta.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Bytes (decoded and context) handed to one decode call. */
const DECODE_BYTES = 16 << 20;
/** Decoded bytes of one plan; a request that needs more is cut in halves. */
const PLAN_BYTES = 96 << 20;
/** A single blob may not need more than this, whatever the store says. */
const PLAN_BYTES_MAX = 1 << 30;

type Blob = Buffer | Error;

/** Everything that a request needs, by depth. */
interface Plan {
  readonly levels: Map<number, CodedBlob[]>;
  readonly ready: Map<string, Blob>;
  /** How many planned blobs still need this one. */
  readonly uses: Map<string, number>;
  bytes: number;
}

export class BlobStore {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #fetch: BlobFetch;
  readonly #cache = new BlobCache();

  constructor(parts: { engine: Engine; algo: HashAlgo; meta: Meta; packs: Packs; checksum: Checksum }) {
    this.#engine = parts.engine;
    this.#algo = parts.algo;
    this.#fetch = new BlobFetch(parts);
  }

  async infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    return this.#fetch.infos(digests);
  }

  clearCache(): void {
    this.#cache.clear();
  }

  /** Decoded, verified bytes in order; an Error in the place of what cannot be read. */
  async read(digests: readonly Digest[]): Promise<Blob[]> {
    const plan = await this.#plan(digests);
    if (plan.bytes > PLAN_BYTES && digests.length > 1) {
      const middle = digests.length >> 1;
      const front = await this.read(digests.slice(0, middle));
      return [...front, ...(await this.read(digests.slice(middle)))];
    }
    const wanted = new Set(digests.map(blobKeyText));
    const depths = [...plan.levels.keys()].sort((one, other) => one - other);
    for (const depth of depths) await this.#decodeLevel(plan, plan.levels.get(depth) ?? [], wanted);
    return digests.map((digest) => plan.ready.get(blobKeyText(digest)) ?? new Error('blob was not read'));
  }

  /** Follows the context lists down to absolute bytes. Stops early when the plan is too large to carry out at once. */
  async #plan(digests: readonly Digest[]): Promise<Plan> {
    const plan: Plan = { levels: new Map(), ready: new Map(), uses: new Map(), bytes: 0 };
    const failed = new Map<string, Error>();
    const seen = new Set<string>();
    let next = this.#unread(digests, seen, plan);
    while (next.length > 0) {
      const coded = await this.#fetch.fetch(next, failed);
      const needed: Digest[] = [];
      for (const blob of coded) {
        plan.bytes += blob.record.head.decodedBytes;
        const level = plan.levels.get(blob.record.head.depth);
        if (level) level.push(blob);
        else plan.levels.set(blob.record.head.depth, [blob]);
        for (const { digest } of blob.context) {
          if (digest === null) continue;
          const key = blobKeyText(digest);
          plan.uses.set(key, (plan.uses.get(key) ?? 0) + 1);
          needed.push(digest);
        }
      }
      if (plan.bytes > PLAN_BYTES && digests.length > 1) return plan;
      if (plan.bytes > PLAN_BYTES_MAX) {
        const error = new DiffKeeperError('DK_LIMIT', `a blob needs more than ${PLAN_BYTES_MAX} bytes of others`);
        for (const digest of digests) plan.ready.set(blobKeyText(digest), error);
        plan.levels.clear();
        return plan;
      }
      next = this.#unread(needed, seen, plan);
    }
    for (const [key, error] of failed) plan.ready.set(key, error);
    return plan;
  }

  /** Those not seen before and not in the cache. */
  #unread(digests: readonly Digest[], seen: Set<string>, plan: Plan): Digest[] {
    const unread: Digest[] = [];
    for (const digest of digests) {
      const key = blobKeyText(digest);
      if (seen.has(key)) continue;
      seen.add(key);
      const cached = this.#cache.get(key);
      if (cached) plan.ready.set(key, cached);
      else unread.push(digest);
    }
    return unread;
  }

  async #decodeLevel(plan: Plan, level: readonly CodedBlob[], wanted: ReadonlySet<string>): Promise<void> {
    let batch: { blob: CodedBlob; context: Buffer }[] = [];
    let bytes = 0;
    for (const blob of level) {
      const context = gather(blob.context, plan.ready);
      if (!Buffer.isBuffer(context)) {
        plan.ready.set(blob.key, context);
        continue;
      }
      batch.push({ blob, context });
      bytes += blob.record.head.decodedBytes + context.length;
      if (bytes >= DECODE_BYTES) {
        await this.#decodeBatch(batch, plan.ready);
        batch = [];
        bytes = 0;
      }
    }
    if (batch.length > 0) await this.#decodeBatch(batch, plan.ready);
    release(plan, level, wanted);
  }

  async #decodeBatch(batch: readonly { blob: CodedBlob; context: Buffer }[], ready: Map<string, Blob>): Promise<void> {
    const payloads = batch.map(({ blob }) => blob.record.payload);
    const decodedLengths = Uint32Array.from(batch, ({ blob }) => blob.record.head.decodedBytes);
    const { data, status } = await this.#engine.decodeBlobs({
      payloads: Buffer.concat(payloads),
      payloadLengths: Uint32Array.from(payloads, (payload) => payload.length),
      codecs: Uint8Array.from(batch, ({ blob }) => blob.record.head.codec),
      decodedLengths,
      contexts: Buffer.concat(batch.map(({ context }) => context)),
      contextLengths: Uint32Array.from(batch, ({ context }) => context.length),
      digests: Buffer.concat(batch.map(({ blob }) => blob.record.head.digest)),
      algo: this.#algo,
    });
    let at = 0;
    for (const [index, { blob }] of batch.entries()) {
      const length = decodedLengths[index] as number;
      const good = status[index] === 0;
      const view = data.subarray(at, at + length);
      ready.set(blob.key, good ? this.#cache.keep(blob.key, view) : decodeFailure(blob, status[index] as number));
      at += length;
    }
  }
}

/** Lets go of context blobs that nothing in the plan needs any more. */
function release(plan: Plan, level: readonly CodedBlob[], wanted: ReadonlySet<string>): void {
  for (const blob of level) {
    for (const { digest } of blob.context) {
      if (digest === null) continue;
      const key = blobKeyText(digest);
      const left = (plan.uses.get(key) ?? 1) - 1;
      plan.uses.set(key, left);
      if (left <= 0 && !wanted.has(key)) plan.ready.delete(key);
    }
  }
}

function decodeFailure(blob: CodedBlob, status: number): Error {
  const name = blob.record.head.digest.toString('hex');
  return status === 1
    ? new DiffKeeperError('DK_CORRUPT_RECORD', `blob ${name} does not decode`, { name })
    : new DiffKeeperError('DK_DIGEST_MISMATCH', `blob ${name} decodes to other bytes`, { name, expected: name });
}

/** Context bytes of one record, or the error that keeps them away. */
function gather(extents: readonly Extent[], blobs: ReadonlyMap<string, Blob>): Blob {
  if (extents.length === 0) return Buffer.alloc(0);
  const parts: Buffer[] = [];
  let total = 0;
  for (const extent of extents) {
    const blob = extent.digest === null ? Buffer.alloc(extent.length) : blobs.get(blobKeyText(extent.digest));
    if (!Buffer.isBuffer(blob)) {
      // Not there although planned: its depth is not below ours, which no writer produces.
      return blob ?? new DiffKeeperError('DK_CORRUPT_RECORD', 'a context blob is not below the blob that needs it');
    }
    if (extent.offset + extent.length > blob.length) {
      return new DiffKeeperError('DK_CORRUPT_RECORD', 'a context lies outside its blob');
    }
    total += extent.length;
    if (total > LIMITS.contextBytes) return new DiffKeeperError('DK_LIMIT', 'a context is too long', { actual: total });
    parts.push(blob.subarray(extent.offset, extent.offset + extent.length));
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}
