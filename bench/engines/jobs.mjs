/** What the comparison of native and TypeScript engine does: each job works on a seeded pair and checks what comes out. */
import { SeededRandom } from '../lib/seeded-data.mjs';

/**
 * @typedef {import('../../dist/esm/index.js').Engine} Engine
 * @typedef {{ source: Buffer, target: Buffer }} Pair
 * @typedef {{ size?: number, digest: string, work: () => Promise<unknown> | unknown }} Ready
 * @typedef {object} Job
 * @property {string} name
 * @property {'text' | 'floats'} data
 * @property {(engine: Engine, pair: Pair) => Promise<Ready>} make prepares and checks one turn; `work` is what is timed
 */

const CUTS = { minBytes: 16 << 10, averageBytes: 64 << 10, maxBytes: 256 << 10 };
const PAGE = 4096;

/**
 * Words; the target has 1 % of its pages rewritten and a line inserted in the middle.
 * @param {number} bytes
 * @returns {Pair}
 */
function textPair(bytes) {
  const random = new SeededRandom(`engines text ${bytes}`);
  const source = Buffer.from(random.words(Math.ceil(bytes / 6) + 1000)).subarray(0, bytes);
  const changed = Buffer.from(source);
  for (let i = 0; i < Math.max(1, bytes / PAGE / 100); i += 1) {
    const at = random.below(bytes - PAGE);
    changed.set(Buffer.from(random.words(PAGE)).subarray(0, PAGE), at);
  }
  const middle = bytes >> 1;
  const target = Buffer.concat([changed.subarray(0, middle), Buffer.from('one line more\n'), changed.subarray(middle)]);
  return { source, target: target.subarray(0, bytes) };
}

/**
 * Weights before and after a small step.
 * @param {number} bytes
 * @returns {Pair}
 */
function floatPair(bytes) {
  const random = new SeededRandom(`engines floats ${bytes}`);
  const count = bytes / 4;
  const before = new Float32Array(count);
  const after = new Float32Array(count);
  const noise = new Uint16Array(random.bytes(count * 4).buffer.slice(0, count * 4));
  for (let i = 0; i < count; i += 1) {
    before[i] = (noise[2 * i] / 32768 - 1) * 0.1;
    after[i] = before[i] * (1 - 1e-4) + (noise[2 * i + 1] / 32768 - 1) * 1e-4;
  }
  return { source: Buffer.from(before.buffer), target: Buffer.from(after.buffer) };
}

export const PAIRS = { text: textPair, floats: floatPair };

/** @param {Engine} engine @param {Uint8Array} bytes */
const digestOf = async (engine, bytes) => (await engine.digestAsync('blake3', bytes)).toString('hex');

/** @param {boolean} right @param {string} what */
function must(right, what) {
  if (!right) throw new Error(`${what}: wrong bytes came out`);
}

/**
 * Diff and patch of one engine.
 * @param {string} name
 * @param {'text' | 'floats'} data
 * @param {(engine: Engine, pair: Pair) => Promise<Buffer>} diff
 * @param {(engine: Engine, source: Buffer, delta: Buffer, bytes: number) => Promise<Uint8Array | { data: Uint8Array }>} patch
 * @param {readonly [string, string]} words what the two are called
 * @returns {Job[]}
 */
function both(name, data, diff, patch, [making, applying] = ['diff', 'patch']) {
  /** @param {Engine} engine @param {Pair} pair */
  const prepared = async (engine, pair) => {
    const delta = await diff(engine, pair);
    const made = await patch(engine, pair.source, delta, pair.target.length);
    const bytes = 'data' in made ? made.data : made;
    must(pair.target.equals(bytes), name);
    return { delta, digest: await digestOf(engine, bytes) };
  };
  return [
    {
      name: `${name} ${making}`,
      data,
      make: async (engine, pair) => {
        const { delta, digest } = await prepared(engine, pair);
        return { size: delta.length, digest, work: () => diff(engine, pair) };
      },
    },
    {
      name: `${name} ${applying}`,
      data,
      make: async (engine, pair) => {
        const { delta, digest } = await prepared(engine, pair);
        return { digest, work: () => patch(engine, pair.source, delta, pair.target.length) };
      },
    },
  ];
}

/** @param {Buffer} target */
const wholeRegion = (target) => [{ begin: 0, bytes: target.length, width: /** @type {4} */ (4), source: 0 }];

/** @type {readonly Job[]} */
export const JOBS = [
  ...['blake3', 'sha256'].map((algo) => ({
    name: algo,
    data: /** @type {'text'} */ ('text'),
    /** @param {Engine} engine @param {Pair} pair */
    make: async (engine, { target }) => {
      const digest = (await engine.digestAsync(/** @type {'blake3'} */ (algo), target)).toString('hex');
      return { digest, work: () => engine.digestAsync(/** @type {'blake3'} */ (algo), target) };
    },
  })),
  {
    name: 'xxh3',
    data: 'text',
    make: async (engine, { target }) => ({
      digest: engine.xxh3(target).toString(16),
      work: () => engine.xxh3(target),
    }),
  },
  {
    name: 'FastCDC',
    data: 'text',
    make: async (engine, { target }) => ({
      digest: (await engine.cut(target, CUTS)).join(),
      work: () => engine.cut(target, CUTS),
    }),
  },
  ...both(
    'zstd -3',
    'text',
    (engine, { target }) => engine.compress(target, { level: 3 }),
    (engine, _, frame, decodedBytes) => engine.decompress(frame, { decodedBytes }),
    ['compress', 'decompress'],
  ),
  ...both(
    'zstd prefix',
    'text',
    (engine, { source, target }) => engine.compress(target, { level: 3, context: source }),
    (engine, source, frame, decodedBytes) => engine.decompress(frame, { decodedBytes, context: source }),
  ),
  ...both(
    'xor',
    'floats',
    (engine, { source, target }) => engine.xorDiff(source, target, 3),
    (engine, source, delta, bytes) => engine.xorPatch(source, delta, bytes),
  ),
  ...both(
    'align',
    'text',
    (engine, { source, target }) => engine.alignDiff(source, target, 'fast'),
    (engine, source, delta, bytes) => engine.alignPatch(source, delta, bytes),
  ),
  ...both(
    'bsdiff',
    'text',
    (engine, { source, target }) => engine.bsdiffDiff(source, target),
    (engine, source, delta, bytes) => engine.bsdiffPatch(source, delta, bytes),
  ),
  ...both(
    'xdelta',
    'text',
    (engine, { source, target }) => engine.vcdiffDiff(source, target, true),
    (engine, source, delta, bytes) => engine.vcdiffPatch(source, delta, bytes),
  ),
  ...both(
    'tensor',
    'floats',
    (engine, { source, target }) => engine.tensorDiff(source, target, 'fast', wholeRegion(target)),
    (engine, source, delta, bytes) => engine.tensorPatch(source, delta, bytes),
  ),
];
