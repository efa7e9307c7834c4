/** Where samples of a long source are: the same samples, hashes and slots as in `native/window/source_index.cc`. */

export const SAMPLE_BYTES = 32;
/** Half of the slots, so that few samples find no room. */
const SAMPLES_MAX = 2 ** 22;
const SLOT_BITS_MIN = 10;
const STEP_MIN = 256;
const STEP_UNIT = 64;
/** Neighbouring slots that a sample may take. */
const PROBES = 8;

export const FIRST = 0x9e3779b1;
export const SECOND = 0x85ebca77;

function scramble(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Polynomial over one sample, modulo 2^32. */
export function sampleHash(data: Uint8Array, at: number, base: number): number {
  let hash = 0;
  for (let i = at; i < at + SAMPLE_BYTES; i += 1) hash = (Math.imul(hash, base) + (data[i] as number)) | 0;
  return hash;
}

/** One byte over and over says nothing about where it comes from. */
export function isUniform(data: Uint8Array, at: number): boolean {
  for (let i = at + 1; i < at + SAMPLE_BYTES; i += 1) if (data[i] !== data[at]) return false;
  return true;
}

/** Table of samples: two bits of a word in a filter, and a slot with the number of the sample and 16 bits of its hash. */
export class SampleTable {
  readonly step: number;
  readonly #slotShift: number;
  readonly #positions: Uint32Array;
  readonly #tags: Uint16Array;
  readonly #filter: Int32Array;

  constructor(sourceBytes: number) {
    const least = Math.ceil(sourceBytes / SAMPLES_MAX);
    this.step = Math.max(STEP_MIN, Math.ceil(least / STEP_UNIT) * STEP_UNIT);
    let bits = SLOT_BITS_MIN;
    while (2 ** bits < 2 * Math.floor(sourceBytes / this.step)) bits += 1;
    this.#slotShift = 32 - bits;
    this.#positions = new Uint32Array(2 ** bits + PROBES);
    this.#tags = new Uint16Array(2 ** bits + PROBES);
    this.#filter = new Int32Array(2 ** (bits - 2));
  }

  put(first: number, second: number, sample: number): void {
    const place = scramble(first);
    const check = scramble(second);
    const slot = place >>> this.#slotShift;
    for (let i = slot; i < slot + PROBES; i += 1) {
      if (this.#positions[i] !== 0) continue;
      this.#positions[i] = sample + 1;
      this.#tags[i] = check >>> 16;
      const word = place >>> (this.#slotShift + 2);
      this.#filter[word] = (this.#filter[word] as number) | (1 << (check & 31)) | (1 << ((check >>> 5) & 31));
      return;
    }
  }

  /** Calls `visit` with the position of every sample that seems to be equal. */
  each(first: number, second: number, visit: (position: number) => void): void {
    const place = scramble(first);
    const check = scramble(second);
    const bits = (1 << (check & 31)) | (1 << ((check >>> 5) & 31));
    if (((this.#filter[place >>> (this.#slotShift + 2)] as number) & bits) !== bits) return;
    const slot = place >>> this.#slotShift;
    for (let i = slot; i < slot + PROBES; i += 1) {
      const sample = this.#positions[i] as number;
      if (sample === 0) return;
      if (this.#tags[i] === check >>> 16) visit((sample - 1) * this.step);
    }
  }
}
