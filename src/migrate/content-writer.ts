/**
 * Content on its way into a store's transaction. Short content is gathered and stored in batches; long content is cut
 * where capture would cut it, so that a later capture of the same file finds its pieces. Memory is bounded either way.
 */
import { createHash, LIMITS } from '../core/core.js';
import { type RunningDigest, startDigest } from '../engine/load.js';
import type { Digest, Extent, Recipe } from '../format/format.js';
import type { BlobInput, Store, Transaction } from '../store/store.js';
import { digestOf } from './content-id.js';
import type { Chunks } from './gunzip-value.js';

/** As in capture: equal content then is cut alike. */
const CUT = { minBytes: 128 << 10, averageBytes: 512 << 10, maxBytes: LIMITS.blobBytes } as const;
const WINDOW_BYTES = 2 << 20;
const BATCH_BYTES = 4 << 20;
const BATCH_ITEMS = 1024;
const ZEROS = Buffer.alloc(LIMITS.blobBytes);

/** Content that is in the store, or will be once the writer is flushed. */
export interface StoredContent {
  readonly size: number;
  readonly digest: Digest;
  readonly sha256: Buffer;
  readonly recipe: Recipe;
}

export class ContentWriter {
  readonly #store: Store;
  readonly #tx: Transaction;
  #pending: BlobInput[] = [];
  #pendingBytes = 0;
  readonly #pendingDigests = new Set<string>();
  /** Batches are stored one after the other, whoever asked for them. */
  #stored: Promise<unknown> = Promise.resolve();
  /** Content bytes taken so far. */
  bytes = 0;

  constructor(store: Store, tx: Transaction) {
    this.#store = store;
    this.#tx = tx;
  }

  /** Stores bytes of any length, which must not change until the next `flush`. `source` is older content they may be coded against. */
  async addBytes(
    bytes: Buffer,
    source?: { readonly content: StoredContent; readonly bytes: Buffer },
  ): Promise<StoredContent> {
    if (bytes.length > LIMITS.blobBytes) return this.addChunks(pieces(bytes));
    const { engine, hashAlgo } = this.#store;
    const sha = await digestOf(engine, 'sha256', bytes);
    const digest = hashAlgo === 'sha256' ? sha : engine.digest(hashAlgo, bytes);
    this.bytes += bytes.length;
    if (bytes.length === 0) return { size: 0, digest, sha256: sha, recipe: { kind: 'empty' } };
    const context = source && (await this.#contextOf(source));
    await this.#push({ bytes, digest, kind: 'blob', similar: true, ...(context && { context }) });
    return { size: bytes.length, digest, sha256: sha, recipe: { kind: 'whole' } };
  }

  /** A context must be stored before anything is coded against it. */
  async #contextOf(source: {
    readonly content: StoredContent;
    readonly bytes: Buffer;
  }): Promise<BlobInput['context'] | undefined> {
    const { content, bytes } = source;
    if (content.recipe.kind !== 'whole') return undefined;
    if (this.#pendingDigests.has(content.digest.toString('latin1'))) await this.flush();
    else await this.#stored;
    return { bytes, extents: [{ digest: content.digest, offset: 0, length: content.size }], aligned: false };
  }

  /** Stores a stream. When it fails, what was stored of it stays unnamed. */
  async addChunks(chunks: Chunks): Promise<StoredContent> {
    const running = await startDigest(this.#store.hashAlgo);
    const sha = createHash('sha256');
    const state = { extents: [] as Extent[], window: [] as Buffer[], windowBytes: 0, size: 0 };
    for await (const chunk of chunks) {
      if (this.#store.hashAlgo !== 'sha256') running.update(chunk);
      sha.update(chunk);
      state.size += chunk.length;
      state.window.push(chunk);
      state.windowBytes += chunk.length;
      if (state.windowBytes >= WINDOW_BYTES) await this.#cutWindow(state, false);
    }
    const sha256 = sha.digest();
    return this.#finish(state, sha256, running);
  }

  async #finish(
    state: { extents: Extent[]; window: Buffer[]; windowBytes: number; size: number },
    sha256: Buffer,
    running: RunningDigest,
  ): Promise<StoredContent> {
    const { size } = state;
    const digest = this.#store.hashAlgo === 'sha256' ? sha256 : running.digest();
    this.bytes += size;
    if (size <= LIMITS.blobBytes) {
      const bytes = Buffer.concat(state.window);
      if (size === 0) return { size, digest, sha256, recipe: { kind: 'empty' } };
      await this.#push({ bytes, digest, kind: 'blob', similar: true });
      return { size, digest, sha256, recipe: { kind: 'whole' } };
    }
    await this.#cutWindow(state, true);
    await this.flush();
    const recipe = await this.#tx.storeRecipe({ extents: state.extents, size, digest });
    return { size, digest, sha256, recipe };
  }

  /** Cuts what is gathered; the last piece may go on and is kept unless this is the end. */
  async #cutWindow(state: { extents: Extent[]; window: Buffer[]; windowBytes: number }, end: boolean): Promise<void> {
    const data = state.window.length === 1 ? (state.window[0] as Buffer) : Buffer.concat(state.window);
    const lengths = await this.#store.engine.cut(data, CUT);
    let at = 0;
    for (let index = 0; index < lengths.length - (end ? 0 : 1); index += 1) {
      const bytes = data.subarray(at, at + (lengths[index] ?? 0));
      at += bytes.length;
      if (bytes.equals(ZEROS.subarray(0, bytes.length))) {
        state.extents.push({ digest: null, offset: 0, length: bytes.length });
        continue;
      }
      const digest = this.#store.engine.digest(this.#store.hashAlgo, bytes);
      state.extents.push({ digest, offset: 0, length: bytes.length });
      await this.#push({ bytes, digest, kind: 'blob' });
    }
    // Windows are stored before the next one is read: their memory is the bound.
    await this.flush();
    state.window = at < data.length ? [Buffer.from(data.subarray(at))] : [];
    state.windowBytes = data.length - at;
  }

  async #push(input: BlobInput): Promise<void> {
    this.#pending.push(input);
    this.#pendingBytes += input.bytes.length;
    if (input.digest) this.#pendingDigests.add(input.digest.toString('latin1'));
    if (this.#pendingBytes >= BATCH_BYTES || this.#pending.length >= BATCH_ITEMS) await this.flush();
  }

  /** Stores what is gathered. */
  async flush(): Promise<void> {
    const inputs = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pendingDigests.clear();
    this.#stored = this.#stored.then(() => (inputs.length > 0 ? this.#tx.storeBlobs(inputs) : undefined));
    await this.#stored;
  }
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += WINDOW_BYTES) yield bytes.subarray(at, at + WINDOW_BYTES);
}
