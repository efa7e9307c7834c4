/** Payloads of the `sparse` engine that are read quickly, beside the twin, which reads each run for itself. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { sparsePatchNow } from '../../src/engine/twin-sparse.js';
import { warmZstd } from '../../src/engine/twin-zstd.js';
import { patternBytes, RUNS } from '../engine/samples.js';
import { addon } from './addon-door.js';

const GROUP_BYTES = 64 << 10;
const LEVELS = ['portable', 'avx2', undefined];

beforeAll(() => warmZstd());

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** Rice codes of numbers, as `docs/format-sparse.md` has them. */
function rice(values: readonly number[], k: number): Buffer {
  const bits: number[] = [];
  const low = (value: number, count: number): void => {
    for (let i = 0; i < count; i += 1) bits.push(Math.floor(value / 2 ** i) % 2);
  };
  for (const value of values) {
    const ones = Math.floor(value / 2 ** k);
    if (ones < 24) bits.push(...Array<number>(ones).fill(1), 0);
    else bits.push(...Array<number>(24).fill(1));
    low(value, ones < 24 ? k : 32);
  }
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  for (const [i, bit] of bits.entries()) bytes[i >> 3] = (bytes[i >> 3] as number) | (bit << (i & 7));
  return bytes;
}

/** A block of single bytes. */
const pointsOf = (skips: readonly number[], k: number): Buffer =>
  Buffer.concat([Buffer.from([1, ...varint(skips.length), k]), rice(skips, k)]);
/** A block of equal runs. */
const evenOf = (count: number, skip: number, length = 1): Buffer =>
  Buffer.from([0, ...varint(count), ...varint(skip), ...varint(length)]);

function payloadOf(blocks: readonly Buffer[], changed: number, plain = false): Buffer {
  const positions = Buffer.concat(blocks);
  const head = [...varint(changed), plain ? 1 : 0, ...varint(positions.length)];
  return Buffer.concat([Buffer.from(head), positions, patternBytes(changed, 5)]);
}

/** What every level and the twin make of a payload; 'refused' when it is damaged. */
async function outcome(
  source: Buffer,
  payload: Buffer,
  targetBytes: number,
  into?: Buffer,
): Promise<Buffer | 'refused'> {
  const twin = await sparsePatchNow(source, payload, targetBytes, undefined, undefined).then(
    ({ data }) => data,
    () => 'refused' as const,
  );
  for (const simd of LEVELS) {
    into?.fill(255);
    const made = await addon.sparsePatch(source, payload, targetBytes, undefined, into, undefined, simd).then(
      ({ data }) => into?.subarray(0, targetBytes) ?? data,
      (error: { code?: string }) => error.code,
    );
    if (twin === 'refused') expect(made).toBe('DK_CORRUPT_DELTA');
    else expect(twin.equals(made as Buffer)).toBe(true);
  }
  return twin;
}

describe('single bytes', () => {
  const source = patternBytes(200_000, 1);

  it.each([0, 1, 3, 4, 7, 12, 16, 31])('come from codes of every length, k = %i', async (k) => {
    const picks = patternBytes(4000, k + 1);
    const skips = [...picks].map((pick, i) => (i % 500 === 7 ? 25 * 2 ** Math.min(k, 8) : pick % (i % 3 ? 40 : 9)));
    const length = skips.reduce((sum, skip) => sum + skip + 1, 0);
    for (const count of [1, 4, 5, 6, 8, 9, 1024, skips.length]) {
      const payload = payloadOf(
        [pointsOf(skips.slice(0, count), k), ...(count < 9 ? [evenOf(3, 1)] : [])],
        count + (count < 9 ? 3 : 0),
      );
      expect(await outcome(source, payload, length + 9)).not.toBe('refused');
    }
  });

  it('end with the target, and with the groups that it is made in', async () => {
    for (const end of [5000, GROUP_BYTES - 1, GROUP_BYTES, GROUP_BYTES + 1, 2 * GROUP_BYTES]) {
      for (const before of [1, 2, 3, 4, 5]) {
        // One after the other over the end, all in one block.
        const skips = [...Array<number>(300).fill(3), end - 1200 - before, ...Array<number>(before + 30).fill(0)];
        const payload = payloadOf([pointsOf(skips, 3)], skips.length);
        expect(await outcome(source, payload, end + 31)).not.toBe('refused');
        // The last ones lie behind it.
        for (const short of [30, 21, 20, 8, 5, 4, 3, 1, 0, -1]) {
          expect(await outcome(source, payload, end + short)).toBe('refused');
        }
      }
    }
  });

  it('are refused when bits are missing, left over or not zero', async () => {
    const skips = [...patternBytes(2000, 3)].map((pick) => pick % 50);
    const block = pointsOf(skips, 4);
    const length = skips.reduce((sum, skip) => sum + skip + 1, 0);
    const good = (bytes: Buffer, changed = skips.length): Promise<Buffer | 'refused'> =>
      outcome(source, payloadOf([bytes], changed), length);
    expect(await good(block)).not.toBe('refused');
    for (const cut of [1, 2, 7, 8, 9, 20]) expect(await good(block.subarray(0, -cut))).toBe('refused');
    expect(await good(Buffer.concat([block, Buffer.alloc(1)]))).toBe('refused');
    expect(await good(block, skips.length + 1)).toBe('refused');
    expect(await good(block, skips.length - 1)).toBe('refused');
    // One code of five bits, and padding behind it.
    for (const [bits, made] of [
      [0b0000_0000, true],
      [0b1000_0000, false],
      [0b0010_0000, false],
    ] as const) {
      const found = await outcome(source, payloadOf([Buffer.from([1, 1, 4, bits])], 1), 100);
      expect(found !== 'refused').toBe(made);
    }
  });

  it('of any payload: as the twin', async () => {
    const block = fc.oneof(
      fc.record({ k: fc.nat(8), skips: fc.array(fc.nat(90), { minLength: 1, maxLength: 80 }) }).map(({ k, skips }) => ({
        bytes: pointsOf(skips, k),
        changed: skips.length,
      })),
      fc
        .tuple(fc.integer({ min: 1, max: 400 }), fc.nat(70), fc.integer({ min: 1, max: 3 }))
        .map(([count, skip, length]) => ({
          bytes: evenOf(count, skip, length),
          changed: count * length,
        })),
    );
    const damage = fc.option(fc.tuple(fc.nat(), fc.nat(255)), { freq: 2 });
    const any = fc.record({
      blocks: fc.array(block, { maxLength: 8 }),
      length: fc.nat(20_000),
      plain: fc.boolean(),
      damage,
    });
    const check = async (one: typeof any extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
      const changed = one.blocks.reduce((sum, { changed: some }) => sum + some, 0);
      const payload = payloadOf(
        one.blocks.map(({ bytes }) => bytes),
        changed,
        one.plain,
      );
      if (one.damage !== null) payload[one.damage[0] % payload.length] = one.damage[1];
      await outcome(source, payload, one.length);
    };
    await fc.assert(fc.asyncProperty(any, check), { ...RUNS, numRuns: 150 });
  });
});

describe('bytes at even distances', () => {
  it('are changed in any place of any memory', async () => {
    const room = Buffer.alloc(3 * GROUP_BYTES + 64);
    for (const stride of [1, 2, 3, 5, 20, 31, 33, 63, 64, 65, 100, 128, 255, 256, 257, 5000]) {
      for (const [first, offset] of [
        [0, 0],
        [1, 1],
        [stride + 77, 16],
        [GROUP_BYTES - 3, 33],
        [GROUP_BYTES + 700, 63],
      ] as const) {
        const length = 2 * GROUP_BYTES + 1000 + ((stride * 7) % 300);
        // All of it, or up to anywhere.
        const count = Math.max(2, Math.floor((length - first - 2) / stride / (1 + (first % 2))));
        // A point that is alone, the even ones, and some that are not even behind them.
        const blocks = [evenOf(1, first), evenOf(count - 1, stride - 1), evenOf(1, stride % 3)];
        const payload = payloadOf(blocks, count + 1, first % 3 === 0);
        const source = patternBytes(length - (stride === 31 ? 999 : 0), stride);
        const into = room.subarray(offset, offset + length);
        expect(await outcome(source, payload, length, into)).not.toBe('refused');
        expect(await outcome(source, payload, (count - 1) * stride + first, into)).toBe('refused');
      }
    }
  });
});
