/** What every implementation of the `tensor` engine must do. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Effort, Engine, TensorRegion } from '../../src/engine/engine.js';
import { patternBytes, RUNS, textBytes } from './samples.js';

const EFFORTS: readonly Effort[] = ['fast', 'balanced', 'max'];
const DAMAGED = { code: 'DK_CORRUPT_DELTA' };

export interface TensorPair {
  readonly name: string;
  readonly source: Buffer;
  readonly target: Buffer;
  readonly regions: readonly TensorRegion[];
}

/** Weights as a training step leaves them: each moves by a little of its own size. */
function trained(count: number, width: 2 | 4 | 8): { readonly source: Buffer; readonly target: Buffer } {
  const noise = patternBytes(count * 8, 3);
  const [source, target] = [Buffer.alloc(count * width), Buffer.alloc(count * width)];
  for (let i = 0; i < count; i += 1) {
    const value = ((noise.readUInt32LE(8 * i) / 2 ** 31 - 1) * 0.05) ** 3;
    const moved = value + 1e-7 * (noise.readInt32LE(8 * i + 4) / 2 ** 31);
    for (const [bytes, number] of [
      [source, value],
      [target, moved],
    ] as const) {
      if (width === 8) bytes.writeDoubleLE(number, 8 * i);
      else if (width === 4) bytes.writeFloatLE(number, 4 * i);
      else bytes.writeUInt16LE(new Uint32Array(new Float32Array([number]).buffer)[0]! >>> 16, 2 * i);
    }
  }
  return { source, target };
}

const whole = (bytes: number, width: 2 | 4 | 8): TensorRegion[] => [{ begin: 0, bytes, width, source: 0 }];

/** Bit patterns at which the order of floats turns: zeros, infinities, NaN, the ends of the range. */
function extremes(width: 2 | 4 | 8): Buffer {
  const patterns = [0, 0x7f, 0x80, 0xff, 1].flatMap((high) =>
    [0, 0x80, 0xff].map((next) => [...Array<number>(width - 2).fill(next === 0xff ? 0xff : 0), next, high]),
  );
  return Buffer.from(patterns.flat());
}

/** Pairs that between them use every part of the format. */
export function tensorPairs(): TensorPair[] {
  const pairs: TensorPair[] = [
    { name: 'nothing', source: Buffer.alloc(0), target: Buffer.alloc(0), regions: [] },
    { name: 'nothing from something', source: patternBytes(99, 1), target: Buffer.alloc(0), regions: [] },
    { name: 'a byte in a region', source: Buffer.alloc(0), target: Buffer.from('a'), regions: whole(1, 4) },
    { name: 'bytes alone', source: textBytes(3000, 1), target: textBytes(3100, 1), regions: [] },
  ];
  for (const width of [2, 4, 8] as const) {
    const { source, target } = trained(40_000 / width, width);
    const ends = extremes(width);
    const head = textBytes(101, width);
    const { length } = target;
    const shifted = [{ begin: 101, bytes: length, width, source: 50 }];
    const frozen = Buffer.concat([target.subarray(0, length / 2), source.subarray(length / 2)]);
    pairs.push(
      { name: `trained, ${width}`, source, target, regions: whole(length, width) },
      { name: `equal, ${width}`, source, target: source, regions: whole(length, width) },
      { name: `half frozen, ${width}`, source, target: frozen, regions: whole(length, width) },
      { name: `no source, ${width}`, source: Buffer.alloc(0), target, regions: whole(length, width) },
      { name: `shrunk, ${width}`, source, target: target.subarray(0, 5003), regions: whole(5003, width) },
      { name: `grown, ${width}`, source: source.subarray(0, 7001), target, regions: whole(length, width) },
      {
        name: `behind a header at another place, ${width}`,
        source: Buffer.concat([head.subarray(0, 50), source]),
        target: Buffer.concat([head, target, head]),
        regions: shifted,
      },
      {
        name: `every order of extremes, ${width}`,
        source: Buffer.concat(Array.from({ length: ends.length / width }, () => ends)),
        target: Buffer.concat(
          Array.from({ length: ends.length / width }, (_, i) =>
            Buffer.concat([ends.subarray(i * width), ends.subarray(0, i * width)]),
          ),
        ),
        regions: whole(ends.length * (ends.length / width), width),
      },
      { name: `momentum, ${width}`, source: patternBytes(length, 5), target, regions: whole(length, width) },
    );
  }
  return pairs;
}

const sized = (name: string): TensorPair => {
  const pair = tensorPairs().find((one) => one.name === name);
  if (pair === undefined) throw new Error(`no pair ${name}`);
  return pair;
};

export function describeTensor(engine: Engine): void {
  it.each(tensorPairs().map((pair) => [pair.name, pair] as const))('turns one into the other: %s', async (_, pair) => {
    const { source, target, regions } = pair;
    for (const effort of EFFORTS) {
      const payload = await engine.tensorDiff(source, target, effort, regions);
      expect((await engine.tensorPatch(source, payload, target.length)).equals(target), effort).toBe(true);
      expect(payload.length).toBeLessThanOrEqual(target.length + 64);
    }
  });

  it('is small where a step changed little', async () => {
    const share = async (name: string) => {
      const { source, target, regions } = sized(name);
      return (await engine.tensorDiff(source, target, 'fast', regions)).length / target.length;
    };
    expect(await share('trained, 4')).toBeLessThan(0.7);
    expect(await share('trained, 2')).toBeLessThan(0.4);
    expect(await share('equal, 4')).toBeLessThan(0.001);
    expect(await share('half frozen, 4')).toBeLessThan(0.45);
    // Where the source is of no use, its differences are not taken.
    const alone = await share('no source, 4');
    expect(await share('momentum, 4')).toBeLessThan(alone + 0.001);
  });

  it('turns any bytes into any others, whatever the regions say', async () => {
    const cases = fc.tuple(
      fc.uint8Array({ maxLength: 3000 }),
      fc.uint8Array({ maxLength: 3000 }),
      fc.array(fc.tuple(fc.nat(400), fc.nat(900), fc.constantFrom(2, 4, 8), fc.option(fc.nat(3500))), { maxLength: 5 }),
      fc.constantFrom(...EFFORTS),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([source, target, wanted, effort]) => {
        let end = 0;
        const regions: TensorRegion[] = [];
        for (const [gap, bytes, width, from] of wanted) {
          const begin = Math.min(end + gap, target.length);
          end = Math.min(begin + bytes, target.length);
          const place = from === null ? {} : { source: from };
          regions.push({ begin, bytes: end - begin, width: width as 2 | 4 | 8, ...place });
        }
        const payload = await engine.tensorDiff(source, target, effort, regions);
        expect(Buffer.compare(await engine.tensorPatch(source, payload, target.length), target)).toBe(0);
      }),
      RUNS,
    );
  });

  it('refuses every cut and any other length', async () => {
    const { source, target, regions } = sized('behind a header at another place, 4');
    const payload = await engine.tensorDiff(source, target, 'fast', regions);
    const step = Math.max(1, Math.floor(payload.length / 200));
    for (let end = 0; end < payload.length; end += step) {
      const cut = payload.subarray(0, end);
      await expect(engine.tensorPatch(source, cut, target.length)).rejects.toMatchObject(DAMAGED);
    }
    for (const bytes of [0, 1, target.length - 1, target.length + 1]) {
      await expect(engine.tensorPatch(source, payload, bytes)).rejects.toMatchObject(DAMAGED);
    }
    const longer = Buffer.concat([payload, Buffer.alloc(1)]);
    await expect(engine.tensorPatch(source, longer, target.length)).rejects.toMatchObject(DAMAGED);
  });

  it('survives any flipped byte', async () => {
    const { source, target, regions } = sized('half frozen, 2');
    const payload = await engine.tensorDiff(source, target, 'fast', regions);
    const step = Math.max(1, Math.floor(payload.length / 300));
    for (let at = 0; at < payload.length; at += step) {
      const bad = Buffer.from(payload);
      bad[at] = (bad[at] as number) ^ (1 << (at % 8));
      const got = await engine.tensorPatch(source, bad, target.length).catch((error: { code?: string }) => error);
      if (Buffer.isBuffer(got)) expect(got.length).toBe(target.length);
      else expect(got).toMatchObject(DAMAGED);
    }
  });

  // A target of 8 bytes from a source of 8; form 1, then length, kind, diagonal, planes.
  it.each([
    ['nothing', []],
    ['an unknown form', [2, 8, 17, 0]],
    ['no segment', [1]],
    ['an empty segment', [1, 0, 17, 0, 8, 17, 0]],
    ['a segment beyond the target', [1, 9, 17, 0]],
    ['a copy without a source', [1, 8, 1]],
    ['a copy beyond the source', [1, 8, 17, 2]],
    ['a copy before the source', [1, 8, 17, 1]],
    ['an unknown width', [1, 8, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['an unknown flag', [1, 8, 32, 0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['half an element', [1, 3, 2, 0, 1, 2, 5, 17, 0]],
    ['elements beyond the source', [1, 8, 20, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]],
    ['too few planes', [1, 8, 4, 0, 1, 2, 0, 1, 2, 0, 1, 2]],
    ['bytes that are cut off', [1, 8, 0, 0, 1, 2, 3]],
    ['a frame that is none', [1, 8, 0, 3, 1, 2, 3]],
    ['a length not in its shortest form', [1, 0x88, 0, 17, 0]],
    ['bytes from beyond the source', [1, 8, 16, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['something behind the end', [1, 8, 17, 0, 0]],
    ['a huge diagonal', [1, 8, 17, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ] as [string, number[]][])('refuses %s', async (_name, bytes) => {
    await expect(engine.tensorPatch(patternBytes(8, 1), Buffer.from(bytes), 8)).rejects.toMatchObject(DAMAGED);
  });

  it('reads the same by hand', async () => {
    const source = Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]);
    const made = async (bytes: number[]) => [...(await engine.tensorPatch(source, Buffer.from(bytes), 8))];
    expect(await made([1, 8, 17, 0])).toEqual([...source]);
    expect(await made([1, 4, 17, 8, 4, 17, 15])).toEqual([5, 6, 7, 8, 1, 2, 3, 4]);
    expect(await made([1, 8, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1])).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    // Rotated: 0x0003 is 0x8001, 0x0002 is 1.
    expect(await made([1, 4, 2, 0, 3, 2, 0, 0, 0, 4, 17, 0])).toEqual([1, 0x80, 1, 0, 5, 6, 7, 8]);
    // Differences 1, -1 of positive floats of 16 bits: zigzag 2, 1.
    expect(await made([1, 4, 18, 0, 0, 2, 1, 0, 0, 0, 4, 17, 0])).toEqual([2, 2, 2, 4, 5, 6, 7, 8]);
    // One step down from zero is the negative zero.
    const zero = await engine.tensorPatch(Buffer.alloc(2), Buffer.from([1, 2, 18, 0, 0, 1, 0, 0]), 2);
    expect([...zero]).toEqual([0, 0x80]);
  });

  it('does not decode bombs', async () => {
    const bomb = await engine.compress(Buffer.alloc(32 << 20));
    const varint = [(bomb.length & 127) | 128, bomb.length >> 7];
    const payload = Buffer.concat([Buffer.from([1, 8, 0, ...varint]), bomb]);
    await expect(engine.tensorPatch(Buffer.alloc(8), payload, 8)).rejects.toMatchObject(DAMAGED);
    // A segment of 32 MiB, twice what one may take.
    const long = Buffer.from([1, 0x80, 0x80, 0x80, 0x10, 0, 0]);
    await expect(engine.tensorPatch(Buffer.alloc(8), long, 32 << 20)).rejects.toMatchObject(DAMAGED);
  });

  it('refuses wrong arguments', async () => {
    const bytes = Buffer.alloc(8);
    const region = (changes: object) => [{ begin: 0, bytes: 8, width: 4, ...changes } as TensorRegion];
    await expect(engine.tensorDiff(bytes, bytes, 'best' as Effort, [])).rejects.toThrow(TypeError);
    await expect(engine.tensorDiff(bytes, bytes, 'fast', region({ width: 3 }))).rejects.toThrow(RangeError);
    await expect(engine.tensorDiff(bytes, bytes, 'fast', region({ bytes: 9 }))).rejects.toThrow(RangeError);
    await expect(engine.tensorDiff(bytes, bytes, 'fast', [...region({}), ...region({})])).rejects.toThrow(RangeError);
    await expect(engine.tensorPatch(bytes, bytes, -1)).rejects.toThrow(RangeError);
  });
}
