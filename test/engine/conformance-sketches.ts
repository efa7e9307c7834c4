import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Engine, SKETCH_FEATURES } from '../../src/engine/engine.js';
import { editedBytes, patternBytes, RUNS, textBytes } from './samples.js';

const MASK = 0xffffffffffffffffn;

/** The table, as docs/format-chunking.md has it. */
function gearTable(): bigint[] {
  const table: bigint[] = [];
  for (let state = 0x446966664b656570n; table.length < 256; ) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let z = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    table.push(z ^ (z >> 31n));
  }
  return table;
}

const GEAR = gearTable();

/** Slow and plain: the hash of each stretch by itself. */
function reference(data: Uint8Array): number[] {
  const hashes = new Set<bigint>();
  for (let end = 64; end <= data.length; end += 1) {
    let hash = 0n;
    for (const byte of data.subarray(end - 64, end)) hash = ((hash << 1n) + (GEAR[byte] as bigint)) & MASK;
    hashes.add(hash);
  }
  const smallest = [...hashes].sort((one, other) => (one < other ? -1 : 1)).slice(0, SKETCH_FEATURES);
  const features = smallest.map((hash) => Number(((hash * 0x9e3779b97f4a7c15n) & MASK) >> 32n));
  return [...features, ...new Array(SKETCH_FEATURES - features.length).fill(0)];
}

async function sketch(engine: Engine, data: Uint8Array): Promise<number[]> {
  return [...(await engine.sketchMany(data, Uint32Array.of(0, data.length)))];
}

const common = (one: readonly number[], other: readonly number[]) =>
  one.filter((f) => f !== 0 && other.includes(f)).length;

export function describeSketches(engine: Engine): void {
  it('are those of the plain definition', async () => {
    const samples = [0, 1, 63, 64, 65, 70, 300, 3000].map((length) => patternBytes(length, length + 1));
    for (const data of [...samples, textBytes(3000, 4), Buffer.alloc(5000), Buffer.from('abc'.repeat(300))]) {
      expect(await sketch(engine, data), `${data.length}`).toEqual(reference(data));
    }
    expect(await sketch(engine, patternBytes(100_000, 7))).toEqual([1307693303, 2269756240, 3731253854, 124533222]);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (data) => {
        expect(await sketch(engine, data)).toEqual(reference(data));
      }),
      RUNS,
    );
  });

  it('of pieces, wherever they stand, and again', async () => {
    const data = patternBytes(100_000, 3);
    const pieces = Uint32Array.of(0, 100_000, 50_000, 50_000, 99_999, 1, 100_000, 0, 7, 40_000, 7, 40_000);
    const features = await engine.sketchMany(data, pieces);
    for (let i = 0; i < pieces.length / 2; i += 1) {
      const [offset = 0, length = 0] = pieces.subarray(2 * i, 2 * i + 2);
      const own = await sketch(engine, data.subarray(offset, offset + length));
      expect([...features.subarray(i * SKETCH_FEATURES, (i + 1) * SKETCH_FEATURES)]).toEqual(own);
    }
    expect([...(await engine.sketchMany(data, new Uint32Array(0)))]).toEqual([]);
  });

  it('are mostly the same after a shift and after edits, and not those of anything else', async () => {
    const data = patternBytes(60_000, 12);
    const own = await sketch(engine, data);
    expect(common(own, await sketch(engine, Buffer.concat([Buffer.from('inserted here'), data])))).toBe(
      SKETCH_FEATURES,
    );
    expect(common(own, await sketch(engine, data.subarray(100)))).toBeGreaterThanOrEqual(SKETCH_FEATURES - 1);
    for (let seed = 1; seed < 20; seed += 1) {
      expect(common(own, await sketch(engine, editedBytes(data, seed)))).toBeGreaterThanOrEqual(2);
      expect(common(own, await sketch(engine, patternBytes(60_000, seed + 100)))).toBe(0);
    }
  });

  it('refuse pieces that are not there', async () => {
    const data = Buffer.alloc(10);
    for (const pieces of [
      Uint32Array.of(0, 11),
      Uint32Array.of(11, 0),
      Uint32Array.of(1),
      Uint32Array.of(2 ** 32 - 1, 2),
    ]) {
      await expect(engine.sketchMany(data, pieces)).rejects.toThrow(RangeError);
    }
    await expect(engine.sketchMany(data, [0, 1] as unknown as Uint32Array)).rejects.toThrow(TypeError);
    await expect(engine.sketchMany('x' as unknown as Uint8Array, new Uint32Array(0))).rejects.toThrow(TypeError);
  });
}
