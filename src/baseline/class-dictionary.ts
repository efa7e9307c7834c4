/**
 * Dictionaries for small states, one per class of keys: trained off-thread from samples of full states, used only when
 * they win on samples that the training did not see. A class may get a better one later; ids name contents.
 */
import type { Engine } from '../engine/engine.js';

export interface Dictionary {
  /** The low half of the XXH3-64 of the bytes, never 0. */
  readonly id: number;
  readonly bytes: Buffer;
}

interface ClassSamples {
  readonly samples: Buffer[];
  seen: number;
  /** Count of states at which the next training begins. */
  trainAt: number;
  training: Promise<void> | undefined;
  /** Newest first; the older one may still be asked for. */
  dictionaries: Dictionary[];
}

/** A class is judged from so many states on. */
const FIRST_TRAINING = 32;
/** Samples kept per class, of at most this many bytes each: 2 MiB. */
const SAMPLES_MAX = 128;
const SAMPLE_BYTES = { min: 64, max: 16 << 10 } as const;
const DICTIONARY_BYTES = 64 << 10;
/** Classes with samples; the least recently used goes. */
const CLASSES_MAX = 32;
/** Every so manieth sample is held out of the training. */
const HELD_OUT = 4;
/** Share of the size without it, or with the dictionary before, that must not be exceeded. */
const WORTH = 0.97;
const JUDGE_LEVEL = 3;
const DICTIONARIES_KEPT = 2;

export class ClassDictionaries {
  readonly #engine: Engine;
  readonly #classes = new Map<string, ClassSamples>();
  trained = 0;
  rejected = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The dictionary for the next state of this class. */
  current(keyClass: string): Dictionary | undefined {
    return this.#classes.get(keyClass)?.dictionaries[0];
  }

  /** All that messages on their way may need, newest first. */
  all(keyClass: string): readonly Dictionary[] {
    return this.#classes.get(keyClass)?.dictionaries ?? [];
  }

  /** A full state went by. Copies a sample now and then; starts a training when it is time. */
  offer(keyClass: string, state: Uint8Array): void {
    if (state.length < SAMPLE_BYTES.min) return;
    const known = this.#stateOf(keyClass);
    known.seen += 1;
    const sample = state.subarray(0, SAMPLE_BYTES.max);
    if (known.samples.length < SAMPLES_MAX) known.samples.push(Buffer.from(sample));
    else {
      // Each state has the same chance to be among the samples; the place is drawn from its number.
      const place = (Math.imul(known.seen, 2654435761) >>> 0) % known.seen;
      if (place < SAMPLES_MAX) known.samples[place] = Buffer.from(sample);
    }
    if (known.seen < known.trainAt || known.training !== undefined) return;
    known.trainAt = known.seen * 2;
    known.training = this.#train(known).finally(() => {
      known.training = undefined;
    });
  }

  /** Resolves when no training runs. */
  async idle(): Promise<void> {
    await Promise.all([...this.#classes.values()].map(({ training }) => training));
  }

  clear(): void {
    this.#classes.clear();
  }

  #stateOf(keyClass: string): ClassSamples {
    const known = this.#classes.get(keyClass) ?? {
      samples: [],
      seen: 0,
      trainAt: FIRST_TRAINING,
      training: undefined,
      dictionaries: [],
    };
    this.#classes.delete(keyClass);
    this.#classes.set(keyClass, known);
    if (this.#classes.size > CLASSES_MAX) this.#classes.delete(this.#classes.keys().next().value as string);
    return known;
  }

  async #train(known: ClassSamples): Promise<void> {
    const samples = [...known.samples];
    const heldOut = samples.filter((_, i) => i % HELD_OUT === 0);
    const training = samples.filter((_, i) => i % HELD_OUT !== 0);
    const bytes = training.reduce((sum, sample) => sum + sample.length, 0);
    const most = Math.max(1024, Math.min(DICTIONARY_BYTES, bytes >> 3));
    try {
      const lengths = Uint32Array.from(training, (sample) => sample.length);
      const made = await this.#engine.trainDictionary(Buffer.concat(training), lengths, most);
      if (made.length === 0) return this.#reject();
      const before = await this.#sizeWith(heldOut, known.dictionaries[0]?.bytes);
      if ((await this.#sizeWith(heldOut, made)) > WORTH * before) return this.#reject();
      const id = Number(this.#engine.xxh3(made) & 0xffffffffn) || 1;
      known.dictionaries = [{ id, bytes: made }, ...known.dictionaries].slice(0, DICTIONARIES_KEPT);
      this.trained += 1;
    } catch {
      // Without a dictionary everything works: the next training may do better.
      this.#reject();
    }
  }

  #reject(): void {
    this.rejected += 1;
  }

  async #sizeWith(samples: readonly Buffer[], dictionary: Buffer | undefined): Promise<number> {
    let bytes = 0;
    for (const sample of samples) {
      const options = { level: JUDGE_LEVEL, ...(dictionary === undefined ? {} : { dictionary }) };
      bytes += (await this.#engine.compress(sample, options)).length;
    }
    return bytes;
  }
}
