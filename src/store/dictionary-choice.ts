/**
 * A dictionary for first versions of small files: bytes that many of them have in common, stored as a blob like any other,
 * that they are coded against. Trained from what a transaction brings, used only when it wins on files that the training
 * did not see.
 */
import { join } from 'node:path';
import { joinBytes } from '../core/core.js';
import { type Engine, type HashAlgo, TRY } from '../engine/engine.js';
import type { Digest } from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { CacheGuard } from './cache-guard.js';
import { DICTIONARY_LIST_BYTES } from './dictionary-list.js';
import { readSealedFile, writeSealedFile } from './sealed-file.js';

export interface Dictionary {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

/** Files that a dictionary may help: smaller ones fit their own record, larger ones have enough of their own. */
export const DICTIONARY_FILE = { min: 64, max: 16 << 10 } as const;
/** So many at once are judged; of fewer nothing can be learned. */
const JUDGED_FROM = 64;
const SAMPLES_MAX = 256;
/** Every so manieth sample is held out of the training. */
const HELD_OUT = 4;
/** Each file is compared with all of it: more would cost more time than it saves bytes. */
const DICTIONARY_BYTES = 32 << 10;
/** Share of the size without it, or with the one before, that must not be exceeded. */
const WORTH = 0.97;
/** Trainings of one opening that came to nothing, before no more are tried. */
const FAILURES_MAX = 4;
const LEVEL = 3;
const MAGIC = Buffer.from('DKDICT01', 'latin1');
const NOTE_BYTES_MAX = 256;

export class DictionaryChoice {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #blobs: BlobStore;
  readonly #ways: { readonly engine: Engine; readonly guard: CacheGuard };
  readonly #file: string;
  readonly #about: Buffer;
  /** Undefined until it was looked for. */
  #current: Dictionary | null | undefined;
  #failures = 0;

  constructor(parts: {
    readonly engine: Engine;
    readonly algo: HashAlgo;
    readonly blobs: BlobStore;
    readonly guard: CacheGuard;
    readonly cachePath: string;
    readonly storeId: string;
  }) {
    const { engine, algo, blobs, guard, cachePath, storeId } = parts;
    this.#engine = engine;
    this.#algo = algo;
    this.#blobs = blobs;
    this.#ways = { engine, guard };
    this.#file = join(cachePath, 'dictionary');
    this.#about = Buffer.concat([MAGIC, Buffer.from(storeId, 'hex')]);
  }

  /** The dictionary for these files; null when none is worth it. It need not be stored. */
  async choose(files: readonly Uint8Array[]): Promise<Dictionary | null> {
    if (this.#current === undefined) this.#current = await this.#noted();
    if (files.length < JUDGED_FROM) return this.#current;
    const step = Math.max(1, Math.floor(files.length / SAMPLES_MAX));
    const samples = files.filter((_, index) => index % step === 0).slice(0, SAMPLES_MAX);
    const heldOut = samples.filter((_, index) => index % HELD_OUT === 0);
    const alone = await this.#sizeWith(heldOut, null);
    const before = this.#current === null ? alone : await this.#sizeWith(heldOut, this.#current.bytes);
    if (before <= WORTH * alone) return this.#current;
    if (this.#failures >= FAILURES_MAX) return null;
    const made = await this.#train(samples.filter((_, index) => index % HELD_OUT !== 0));
    // What it saves must also be more than it takes itself.
    const share = made === null ? 1 : (await this.#sizeWith(heldOut, made)) / alone;
    const expected = (1 - share) * alone * (files.length / heldOut.length);
    if (made === null || share > WORTH || expected < made.length) {
      this.#failures += 1;
      return null;
    }
    this.#current = { bytes: made, digest: this.#engine.digest(this.#algo, made) };
    // Should it be lost, another one is trained.
    await writeSealedFile(this.#ways, this.#file, this.#about, this.#current.digest).catch(() => {});
    return this.#current;
  }

  /** The one that was used last, if the store still has it. */
  async #noted(): Promise<Dictionary | null> {
    const digest = await readSealedFile(this.#ways, this.#file, this.#about, NOTE_BYTES_MAX);
    if (digest?.length !== 32) return null;
    const [bytes] = await this.#blobs.read([digest]).catch(() => []);
    return Buffer.isBuffer(bytes) ? { bytes, digest } : null;
  }

  async #train(samples: readonly Uint8Array[]): Promise<Buffer | null> {
    const bytes = samples.reduce((sum, sample) => sum + sample.length, 0);
    const most = Math.max(1024, Math.min(DICTIONARY_BYTES, bytes >> 3));
    const lengths = Uint32Array.from(samples, (sample) => sample.length);
    const made = await this.#engine.trainDictionary(joinBytes(samples), lengths, most);
    return made.length > 1 ? made : null;
  }

  /** Stored bytes of these files, each with the dictionary or without, whichever is smaller. */
  async #sizeWith(samples: readonly Uint8Array[], dictionary: Buffer | null): Promise<number> {
    const contexts = samples.map(() => dictionary ?? new Uint8Array(0));
    const common = { targets: joinBytes(samples), targetLengths: Uint32Array.from(samples, (one) => one.length) };
    const lengthsFor = async (used: readonly Uint8Array[], tries: number): Promise<Uint32Array> => {
      const batch = { contexts: joinBytes(used), contextLengths: Uint32Array.from(used, (one) => one.length) };
      const all = { ...common, ...batch, tries: new Uint8Array(samples.length).fill(tries), level: LEVEL };
      return (await this.#engine.encodeBlobs(all)).payloadLengths;
    };
    const alone = await lengthsFor(
      samples.map(() => new Uint8Array(0)),
      TRY.zstd,
    );
    const based = dictionary === null ? alone : await lengthsFor(contexts, TRY.zstdContext);
    const extra = dictionary === null ? 0 : DICTIONARY_LIST_BYTES;
    return based.reduce((sum, length, index) => sum + Math.min(length + extra, alone[index] as number), 0);
  }
}
