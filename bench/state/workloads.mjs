/** The older encoder's workloads, byte for byte as its tests made them, and the fair versions of two of them. */
import { SeededRandom } from '../lib/seeded-data.mjs';

const MIB = 1 << 20;

/**
 * @param {string} text
 * @param {number} length
 */
const repeated = (text, length) => Buffer.alloc(length, text);

/**
 * Inverts every `step`th byte, `count` of them.
 * @param {Buffer} source
 * @param {number} step
 * @param {number} count
 */
function inverted(source, step, count) {
  const target = Buffer.from(source);
  for (let i = 0; i < count; i += 1) target[i * step] = ~(/** @type {number} */ (target[i * step])) & 255;
  return target;
}

/**
 * Changes `count` bytes at random positions to random other values.
 * @param {Buffer} source
 * @param {number} count
 * @param {SeededRandom} random
 */
function scattered(source, count, random) {
  const target = Buffer.from(source);
  const taken = new Set();
  while (taken.size < count) {
    const at = random.below(source.length);
    if (taken.has(at)) continue;
    taken.add(at);
    target[at] = /** @type {number} */ (source[at] + 1 + random.below(255)) & 255;
  }
  return target;
}

/**
 * Bytes that positions and values of so many changes hold: log2(binomial) + values.
 * @param {number} length
 * @param {number} count
 */
function informationBytes(length, count) {
  const share = count / length;
  const entropy = -(share * Math.log2(share) + (1 - share) * Math.log2(1 - share));
  return (length * entropy + count * Math.log2(255)) / 8;
}

/** @param {string} text */
const vary = (text) => {
  const source = repeated(text, 16 * MIB);
  const target = Buffer.from(source);
  for (let i = 0; i * 10 < target.length; i += 1) target[i * 10] = i % 256;
  return { source, target };
};

/**
 * Makes the pair of states of a workload. `claimed` is what the older system's documents say, `measured` what it took
 * when it was run again, both bytes; `claimedRates` are bytes a second, of coding and of decoding. `full`: what is measured is a
 * first message, of `level` where the older test chose one.
 * @type {Readonly<Record<string, {
 *   readonly title: string, readonly full?: boolean, readonly claimed?: number, readonly measured?: number,
 *   readonly claimedRates?: readonly [number, number], readonly level?: number, readonly fair?: boolean, readonly make: () => { source: Buffer, target: Buffer, bound?: number } }>>}
 */
export const WORKLOADS = {
  repetitive: {
    title: '8 MiB repetitive, first message',
    full: true,
    claimed: 931,
    make: () => {
      const source = repeated('VM_MEMORY_PAGE_CONTENT_', 8 * MIB);
      return { source, target: source };
    },
  },
  'five-percent': {
    title: '8 MiB repetitive, every 20th byte inverted',
    claimed: 1023,
    measured: 1032,
    make: () => {
      const source = repeated('VM_MEMORY_PAGE_CONTENT_', 8 * MIB);
      return { source, target: inverted(source, 20, Math.floor(source.length / 20)) };
    },
  },
  'one-percent': {
    title: '1 MiB random, every 100th byte inverted',
    claimed: 156,
    make: () => {
      const source = new SeededRandom('state one percent').bytes(MIB);
      return { source, target: inverted(source, 100, Math.floor(source.length / 100)) };
    },
  },
  'end-to-end': {
    title: '4 MiB end to end, first message',
    full: true,
    claimed: 473,
    make: () => {
      const source = repeated('VM_STATE_DATA_', 4 * MIB);
      return { source, target: source };
    },
  },
  'one-mebibyte': {
    title: '1 MiB repetitive, first message',
    full: true,
    make: () => {
      const source = repeated('MEMORY_PAGE_PATTERN_', MIB);
      return { source, target: source };
    },
  },
  'level-nine': {
    title: '1 MiB repetitive, level 9, first message',
    full: true,
    level: 9,
    make: () => {
      const source = repeated('VM_MEMORY_HIGHLY_REPETITIVE_PATTERN_DATA_', MIB);
      return { source, target: source };
    },
  },
  variation: {
    title: '16 MiB, every 10th byte another (the throughput pair)',
    claimedRates: [196e6, 353e6],
    make: () => vary('VM_MEMORY_PAGE_ZEROED_'),
  },
  'fair-one-percent': {
    title: '1 MiB random, 1 % of its bytes at random places to random values',
    fair: true,
    make: () => {
      const random = new SeededRandom('state fair one percent');
      const source = random.bytes(MIB);
      const count = Math.floor(MIB / 100);
      return { source, target: scattered(source, count, random), bound: informationBytes(MIB, count) };
    },
  },
  'fair-five-percent': {
    title: '8 MiB repetitive, 5 % of its bytes at random places to random values',
    fair: true,
    make: () => {
      const random = new SeededRandom('state fair five percent');
      const source = repeated('VM_MEMORY_PAGE_CONTENT_', 8 * MIB);
      const count = Math.floor(source.length / 20);
      return { source, target: scattered(source, count, random), bound: informationBytes(source.length, count) };
    },
  },
  pages: {
    title: '64 MiB random, 1 % of its 4 KiB pages rewritten',
    fair: true,
    make: () => {
      const random = new SeededRandom('state pages');
      const source = random.bytes(64 * MIB);
      const target = Buffer.from(source);
      for (let i = 0; i < 164; i += 1) random.bytes(4096).copy(target, random.below(16384) * 4096);
      return { source, target };
    },
  },
};
