/**
 * At which level the new bytes of one large file are coded where they stand alone. Logs and much else come out hardly larger at
 * the lowest level, which takes half the time: that is tried with a sample, and remembered.
 */
import type { BytePath } from '../core/core.js';
import { CODEC, LEVEL_DEFAULT, TRY } from '../engine/engine.js';
import type { VersionReader } from '../store/store.js';
import type { CaptureWork } from './capture-work.js';

const QUICK_LEVEL = 1;
/** Of fewer bytes nothing is found out. */
const SAMPLE_BYTES_MIN = 64 << 10;
const SAMPLE_BYTES = 256 << 10;
/** Bytes after which it is found out anew. */
const TRY_EVERY_BYTES = 64 << 20;
/** Share of the sample's payload that the lowest level may cost. */
const LOSS_MAX = 0.03;

export class LevelChoice {
  readonly #work: CaptureWork;
  readonly #path: BytePath;
  readonly #before: BytePath | undefined;
  #quick = false;
  #bytesLeft = 0;

  /**
   * @param path of the file, now
   * @param source version that it is compared with; what nothing is known of is coded as usual
   */
  constructor(work: CaptureWork, path: BytePath, source: VersionReader | undefined) {
    this.#work = work;
    this.#path = path;
    // Whoever asked for a level gets that.
    this.#before = work.store.level === undefined ? source?.version.path : undefined;
    const known = this.#before === undefined ? undefined : work.levels.of(this.#before);
    if (!known) return;
    this.#quick = known.quick;
    this.#bytesLeft = known.bytesLeft;
  }

  /**
   * Level for these bytes, which are coded without others; undefined: that of the store.
   *
   * @param blobs all that are to be stored, in one step
   */
  async levelFor(blobs: readonly Uint8Array[]): Promise<number | undefined> {
    if (this.#before === undefined) return undefined;
    if (this.#bytesLeft <= 0) {
      const sample = blobs.find(({ length }) => length >= SAMPLE_BYTES_MIN);
      if (!sample) return undefined;
      this.#quick = await this.#tryOut(sample.subarray(0, SAMPLE_BYTES));
      this.#bytesLeft = TRY_EVERY_BYTES;
    }
    for (const { length } of blobs) this.#bytesLeft -= length;
    return this.#quick ? QUICK_LEVEL : undefined;
  }

  /** After all bytes of this capture: for the next one. */
  remember(): void {
    if (this.#before === undefined) return;
    const { levels } = this.#work;
    levels.note(this.#path, this.#before, { quick: this.#quick, bytesLeft: this.#bytesLeft });
  }

  async #tryOut(sample: Uint8Array): Promise<boolean> {
    const coded = (level: number) =>
      this.#work.engine.encodeBlobs({
        targets: sample,
        targetLengths: Uint32Array.of(sample.length),
        contexts: new Uint8Array(0),
        contextLengths: Uint32Array.of(0),
        tries: Uint8Array.of(TRY.zstd),
        level,
      });
    const quick = await coded(QUICK_LEVEL);
    // Bytes that are kept as they are cost no time at any level.
    if (quick.codecs[0] === CODEC.raw) return false;
    const usual = await coded(LEVEL_DEFAULT);
    const [quickBytes = 0] = quick.payloadLengths;
    const [usualBytes = 0] = usual.payloadLengths;
    return quickBytes <= usualBytes * (1 + LOSS_MAX);
  }
}
