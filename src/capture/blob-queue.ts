/**
 * Changed bytes of one large file on their way into blobs: gathers each blob's context from the source version
 * (only where that pays) and stores several blobs at once, so that they are coded in parallel. While one batch is
 * stored, the contexts of the next are gathered and the file is read on: at most three batches exist at a time.
 */
import { type BytePath, joinBytes } from '../core/core.js';
import { CODEC, TRY } from '../engine/engine.js';
import type { Digest } from '../format/format.js';
import type { BlobContext, BlobInput, VersionReader } from '../store/store.js';
import { alone, type BlobJob, type PlacedJob, placeJobs, readContexts } from './blob-context.js';
import type { CaptureWork } from './capture-work.js';
import { joinScattered } from './join-scattered.js';
import { LevelChoice } from './level-choice.js';

export type { BlobJob, Slot } from './blob-context.js';

/** Changed bytes after which the worth of contexts is looked at again. */
const PROBE_EVERY_BYTES = 16 << 20;
/** Bytes that are coded to see whether a context helps. */
const PROBE_BYTES = 64 << 10;
/** Changed parts at either end of a batch that may be looked at for it. */
const PROBE_JOBS = 4;
/** Of a file that changes a little again and again, what was stored is wanted soon; where more is written, not. */
const KEPT_BYTES = 8 << 20;
/** A context must save at least this share of what the bytes take without it. */
const PROBE_GAIN = 0.05;

interface Prepared {
  readonly placed: readonly PlacedJob[];
  readonly inputs: readonly BlobInput[];
}

export class BlobQueue {
  readonly #work: CaptureWork;
  readonly #path: BytePath;
  readonly #source: VersionReader | undefined;
  readonly #level: LevelChoice;
  #jobs: BlobJob[] = [];
  #bytes = 0;
  #contextsPay = true;
  /** Neither contexts nor compression made the sample smaller. */
  #incompressible = false;
  #nextProbe = 0;
  #seenBytes = 0;
  #recalled = false;
  /** Much is written at once: what holds for it may hold for the next capture. */
  #bulky = false;
  /** The batch whose contexts are being gathered, the one that is being stored, and the one before that. */
  #prepared: Promise<unknown> = Promise.resolve();
  #stored: Promise<void> = Promise.resolve();
  #storedBefore: Promise<void> = Promise.resolve();

  /** @param path of the file, now */
  constructor(work: CaptureWork, path: BytePath, source: VersionReader | undefined) {
    this.#work = work;
    this.#path = path;
    this.#source = work.deltas ? source : undefined;
    this.#level = new LevelChoice(work, path, source);
  }

  /** Takes over the job's pieces: they must not change any more. */
  async add(job: BlobJob): Promise<void> {
    this.#jobs.push(job);
    this.#bytes += bytesOf(job);
    if (this.#bytes >= this.#work.chunkBytes) await this.#start();
  }

  /** Stores what is queued; resolves when all slots are named. */
  async flush(): Promise<void> {
    await this.#start();
    await this.#stored;
    this.#remember();
    this.#level.remember();
  }

  /** Waits for work under way, whatever comes of it: nothing uses the transaction afterwards. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#prepared, this.#stored]);
  }

  /** Begins to store what is queued, once the batch before the last is done. */
  async #start(): Promise<void> {
    const jobs = this.#jobs;
    if (jobs.length === 0) return;
    this.#jobs = [];
    this.#bytes = 0;
    this.#work.checkAborted();
    await this.#storedBefore;
    const prepared = this.#prepared.then(() => this.#prepare(jobs));
    const stored = Promise.all([prepared, this.#stored]).then(([batch]) => this.#store(batch));
    // `flush`, `settle` or the next batch awaits them; until then a failure must not count as unhandled.
    stored.catch(() => {});
    prepared.catch(() => {});
    this.#storedBefore = this.#stored;
    this.#prepared = prepared;
    this.#stored = stored;
  }

  async #prepare(jobs: readonly BlobJob[]): Promise<Prepared> {
    const source = this.#source;
    this.#recall(jobs);
    const unlike = this.#passesOver(jobs);
    const placed = source && !unlike ? await placeJobs(this.#work.store, source, jobs) : jobs.map(alone);
    await this.#probe(placed);
    // Before they are hashed: the digest of a joined blob is none of its parts'.
    const joined = this.#incompressible ? joinScattered(placed.map(({ job }) => job)).map(alone) : placed;
    const final = joined.length < placed.length ? joined : placed;
    return { placed: final, inputs: await this.#inputs(final) };
  }

  /** What the captures before found out, when as much is written again; of less, the next bytes may be quite different. */
  #recall([first]: readonly BlobJob[]): void {
    const source = this.#source;
    if (!source || !first || this.#recalled) return;
    this.#recalled = true;
    this.#bulky = bytesOf(first) >= PROBE_BYTES;
    const known = this.#bulky ? this.#work.unlike.of(source.version.path) : undefined;
    if (!known) return;
    this.#contextsPay = false;
    this.#incompressible = known.incompressible;
    this.#nextProbe = known.bytesLeft;
  }

  /** Whether these are coded without a look at what they replace. */
  #passesOver(jobs: readonly BlobJob[]): boolean {
    if (this.#contextsPay || this.#seenBytes >= this.#nextProbe) return false;
    for (const job of jobs) this.#seenBytes += bytesOf(job);
    return true;
  }

  #remember(): void {
    const source = this.#source;
    if (!source) return;
    const { unlike } = this.#work;
    const before = source.version.path;
    const found = { incompressible: this.#incompressible, bytesLeft: this.#nextProbe - this.#seenBytes };
    // Of a file that has only got another name it is as true as before.
    const worth = this.#recalled ? this.#bulky && !this.#contextsPay && found : unlike.of(before);
    unlike.note(this.#path, before, worth || undefined);
  }

  async #store({ placed, inputs }: Prepared): Promise<void> {
    const digests = await this.#work.tx.storeBlobs(inputs);
    for (const [i, { job }] of placed.entries()) {
      const digest = digests[i];
      if (!digest) throw new Error('the store returned fewer digests than blobs');
      for (const slot of job.slots) slot.digest = digest;
    }
  }

  /** Shifted bytes are often stored already: no source is read for a blob that will not be written. */
  async #inputs(placed: readonly PlacedJob[]): Promise<BlobInput[]> {
    const { engine, store, tx, tries } = this.#work;
    const lengths = Uint32Array.from(placed, ({ job }) => bytesOf(job));
    // One copy for everything that follows: what is done with the blobs in order finds them side by side.
    const joined = joinBytes(placed.flatMap(({ job }) => job.pieces));
    const packed = await engine.digestMany(store.hashAlgo, joined, lengths);
    const digests = placed.map((_, i) => Buffer.from(packed.subarray(i * 32, i * 32 + 32)));
    const stored = this.#source ? await tx.hasBlobs(digests) : [];
    const contexts = await this.#contexts(placed.map((item, i) => (stored[i] ? alone(item.job) : item)));
    let end = 0;
    const bytes = Array.from(lengths, (length) => {
      end += length;
      return joined.subarray(end - length, end);
    });
    const level = await this.#level.levelFor(bytes.filter((_, i) => !stored[i] && !contexts[i]));
    return bytes.map((part, i) => {
      const context = contexts[i];
      return {
        bytes: part,
        kind: 'blob',
        digest: digests[i] as Digest,
        ...(context && { context, keep: this.#seenBytes <= KEPT_BYTES }),
        ...(tries !== undefined && { tries }),
        ...(!context && level !== undefined && { level }),
      };
    });
  }

  /** Looks now and then whether contexts, or coding at all, make such bytes smaller. */
  async #probe(placed: readonly PlacedJob[]): Promise<void> {
    const source = this.#source;
    const replacing = placed.filter(({ kept }) => kept.length > 0);
    if (!source || replacing.length === 0) return;
    if (this.#seenBytes >= this.#nextProbe) {
      const first = await this.#unstored(replacing.slice(0, PROBE_JOBS));
      if (first) {
        this.#nextProbe = this.#seenBytes + PROBE_EVERY_BYTES;
        const found = await this.#tryOut(source, first);
        // One place may be unlike the rest of the file: what is to be relied upon holds at its other end, too.
        const last = found.pays ? first : await this.#unstored(replacing.slice(-PROBE_JOBS).reverse());
        const second = last && last !== first ? await this.#tryOut(source, last) : found;
        this.#contextsPay = second.pays;
        this.#incompressible = found.incompressible && second.incompressible;
      }
    }
    for (const { job } of placed) this.#seenBytes += bytesOf(job);
  }

  /** The first that is not stored: what is says nothing of what will be. */
  async #unstored(placed: readonly PlacedJob[]): Promise<PlacedJob | undefined> {
    const { engine, store, tx } = this.#work;
    for (const one of placed) {
      const [stored] = await tx.hasBlobs([await engine.digestAsync(store.hashAlgo, joinBytes(one.job.pieces))]);
      if (!stored) return one;
    }
    return undefined;
  }

  async #contexts(placed: readonly PlacedJob[]): Promise<(BlobContext | undefined)[]> {
    const source = this.#source;
    if (!source || !this.#contextsPay || placed.every(({ kept }) => kept.length === 0)) return [];
    return readContexts(source, placed);
  }

  /** Codes its first bytes with and without its context. */
  async #tryOut(source: VersionReader, placed: PlacedJob): Promise<{ pays: boolean; incompressible: boolean }> {
    const [context] = await readContexts(source, [placed]);
    if (!context) return { pays: this.#contextsPay, incompressible: this.#incompressible };
    const sample = joinBytes(placed.job.pieces).subarray(0, PROBE_BYTES);
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
    const incompressible = coded === CODEC.raw;
    const [withContext = 0, alone = 0] = encoded.payloadLengths;
    const pays = coded !== CODEC.raw && coded !== CODEC.zstd && withContext < alone * (1 - PROBE_GAIN);
    return { pays, incompressible };
  }
}

function bytesOf(job: BlobJob): number {
  return job.pieces.reduce((sum, piece) => sum + piece.length, 0);
}
