/**
 * Changed bytes of one large file on their way into blobs: gathers each blob's context from the source version
 * (only where that pays) and stores several blobs at once, so that they are coded in parallel.
 */
import { LIMITS } from '../core/core.js';
import { CODEC, TRY } from '../engine/engine.js';
import type { Digest, Extent } from '../format/format.js';
import type { BlobContext, BlobInput, VersionReader } from '../store/store.js';
import type { CaptureWork } from './capture-work.js';

/** An extent whose blob may not be named yet. */
export interface Slot {
  digest: Digest | null;
  readonly offset: number;
  length: number;
}

/** Bytes that become one blob. */
export interface BlobJob {
  readonly bytes: Buffer;
  /** Where these bytes lie in the target: pairs (offset, length), ascending. */
  readonly ranges: readonly number[];
  /** Extents that wait for the blob's digest. */
  readonly slots: readonly Slot[];
}

/** Changed bytes after which the worth of contexts is looked at again. */
const PROBE_EVERY_BYTES = 16 << 20;
/** Bytes that are coded to see whether a context helps. */
const PROBE_BYTES = 64 << 10;
/** A context must save at least this share of what the bytes take without it. */
const PROBE_GAIN = 0.05;
/** More pieces than this would make a record's context list too long and decoding too slow. */
const CONTEXT_EXTENTS_MAX = 2048;

export class BlobQueue {
  readonly #work: CaptureWork;
  readonly #source: VersionReader | undefined;
  #jobs: BlobJob[] = [];
  #bytes = 0;
  #contextsPay = true;
  #nextProbe = 0;
  #seenBytes = 0;

  constructor(work: CaptureWork, source: VersionReader | undefined) {
    this.#work = work;
    this.#source = source;
  }

  /** Takes over `job.bytes`: they must not change any more. */
  async add(job: BlobJob): Promise<void> {
    this.#jobs.push(job);
    this.#bytes += job.bytes.length;
    if (this.#bytes >= this.#work.chunkBytes) await this.flush();
  }

  /** Stores what is queued and names its slots. */
  async flush(): Promise<void> {
    const jobs = this.#jobs;
    if (jobs.length === 0) return;
    this.#jobs = [];
    this.#bytes = 0;
    this.#work.checkAborted();
    const inputs = this.#source ? await this.#withContexts(jobs, this.#source) : jobs.map((job) => this.#input(job));
    const digests = await this.#work.tx.storeBlobs(inputs);
    for (const [i, job] of jobs.entries()) {
      const digest = digests[i];
      if (!digest) throw new Error('the store returned fewer digests than blobs');
      for (const slot of job.slots) slot.digest = digest;
    }
  }

  #input(job: BlobJob, digest?: Digest, context?: BlobContext): BlobInput {
    const { tries } = this.#work;
    return {
      bytes: job.bytes,
      kind: 'blob',
      ...(digest && { digest }),
      ...(context && { context }),
      ...(tries !== undefined && { tries }),
    };
  }

  /** Shifted bytes are often stored already: no source is read for a blob that will not be written. */
  async #withContexts(jobs: readonly BlobJob[], source: VersionReader): Promise<BlobInput[]> {
    const { engine, store, tx } = this.#work;
    const lengths = Uint32Array.from(jobs, (job) => job.bytes.length);
    const joined = jobs.length === 1 && jobs[0] ? jobs[0].bytes : Buffer.concat(jobs.map((job) => job.bytes));
    const packed = await engine.digestMany(store.hashAlgo, joined, lengths);
    const digests = jobs.map((_, i) => Buffer.from(packed.subarray(i * 32, i * 32 + 32)));
    const stored = await tx.hasBlobs(digests);
    const inputs: BlobInput[] = [];
    for (const [i, job] of jobs.entries()) {
      const context = stored[i] ? undefined : await this.#contextOf(job, source);
      inputs.push(this.#input(job, digests[i], context));
    }
    return inputs;
  }

  async #contextOf(job: BlobJob, source: VersionReader): Promise<BlobContext | undefined> {
    const probe = this.#seenBytes >= this.#nextProbe;
    this.#seenBytes += job.bytes.length;
    if (!probe && !this.#contextsPay) return undefined;
    const context = await sourceContext(job.ranges, source);
    if (probe && context) {
      this.#nextProbe = this.#seenBytes + PROBE_EVERY_BYTES;
      this.#contextsPay = await this.#helps(job.bytes, context);
    }
    return this.#contextsPay ? context : undefined;
  }

  /** Codes the first bytes with and without the context. */
  async #helps(bytes: Buffer, context: BlobContext): Promise<boolean> {
    const sample = bytes.subarray(0, PROBE_BYTES);
    const sourceSample = context.aligned ? context.bytes.subarray(0, PROBE_BYTES) : context.bytes;
    const xor = context.aligned ? TRY.xor : 0;
    const encoded = await this.#work.engine.encodeBlobs({
      targets: Buffer.concat([sample, sample]),
      targetLengths: Uint32Array.of(sample.length, sample.length),
      contexts: sourceSample,
      contextLengths: Uint32Array.of(sourceSample.length, 0),
      tries: Uint8Array.of(TRY.zstdContext | TRY.zstd | xor, TRY.zstd),
      level: 1,
    });
    const coded = encoded.codecs[0] ?? CODEC.raw;
    if (coded === CODEC.raw || coded === CODEC.zstd) return false;
    const [withContext = 0, alone = 0] = encoded.payloadLengths;
    return withContext < alone * (1 - PROBE_GAIN);
  }
}

/** The source's bytes at the same offsets, without the zeros (which are not stored, so nothing can refer to them). */
async function sourceContext(ranges: readonly number[], source: VersionReader): Promise<BlobContext | undefined> {
  const extents: Extent[] = [];
  const kept: number[] = [];
  let keptBytes = 0;
  let aligned = true;
  for (let i = 0; i < ranges.length; i += 2) {
    let at = ranges[i] ?? 0;
    const length = Math.min(ranges[i + 1] ?? 0, source.version.size - at);
    if (length <= 0) continue;
    for (const extent of await source.extents(at, length)) {
      if (extent.digest === null) aligned = false;
      else {
        extents.push(extent);
        kept.push(at, extent.length);
        keptBytes += extent.length;
      }
      at += extent.length;
    }
  }
  if (keptBytes === 0 || keptBytes > LIMITS.contextBytes || extents.length > CONTEXT_EXTENTS_MAX) return undefined;
  try {
    return { bytes: await source.readRanges(Float64Array.from(kept)), extents, aligned };
  } catch {
    // A damaged source is `verify`'s business: here it only means that the new bytes are stored on their own.
    return undefined;
  }
}
