/** Records that resemble each other: the right ones must be found, not those that happen to stand where they stood. */
import { describe, expect, it } from 'vitest';
import type { Effort, Engine } from '../../src/engine/engine.js';
import { loadNative } from '../../src/engine/load.js';
import { patternBytes } from './samples.js';

const native: Engine = loadNative();
const EFFORTS: readonly Effort[] = ['fast', 'balanced', 'max'];

/** Rows of a table: a counter, a few bytes of their own, and much that is the same in each. */
function rows(first: number, count: number): Buffer {
  const own = patternBytes(count * 8, first + 1);
  const row = Buffer.concat([Buffer.alloc(12), Buffer.from('the same in every row of the table, to the end of it')]);
  return Buffer.concat(
    Array.from({ length: count }, (_, i) => {
      row.writeUInt32LE(first + i);
      own.copy(row, 4, i * 8, i * 8 + 8);
      return Buffer.from(row);
    }),
  );
}

async function sizeOf(source: Buffer, target: Buffer, effort: Effort): Promise<number> {
  const payload = await native.alignDiff(source, target, effort);
  expect((await native.alignPatch(source, payload, target.length)).equals(target)).toBe(true);
  return payload.length;
}

describe.each(EFFORTS)('align, records that resemble each other, %s', (effort) => {
  it('finds the rows behind some new ones', async () => {
    const table = rows(0, 8000);
    expect(await sizeOf(table, Buffer.concat([rows(9000, 50), table]), effort)).toBeLessThan(1500);
  });

  it('finds tables that changed places', async () => {
    const tables = [rows(0, 3000), rows(50_000, 3000), rows(70_000, 3000)];
    const target = Buffer.concat([tables[2], tables[0], tables[1]] as Buffer[]);
    expect(await sizeOf(Buffer.concat(tables), target, effort)).toBeLessThan(1500);
  });

  it('looks into what lies between two values whose changes of length cancel out, where all has moved', async () => {
    const noise = patternBytes(400_000, 6);
    const part = (i: number, seed: number, longer: number): Buffer =>
      Buffer.concat([
        patternBytes(40 + longer, seed + i),
        noise.subarray(i * 1000, i * 1000 + 130),
        patternBytes(43 - longer, seed + 1000 + i),
        noise.subarray(i * 1000 + 300, i * 1000 + 900),
      ]);
    const source = Buffer.concat(Array.from({ length: 400 }, (_, i) => part(i, 1000, 0)));
    const target = Buffer.concat(Array.from({ length: 400 }, (_, i) => part((i + 200) % 400, 5000, 3)));
    const fresh = 400 * 83;
    expect(await sizeOf(source, target, effort)).toBeLessThan(fresh + 8000);
  });
});

it('finds the way back behind long insertions and removals, where there are few of them', async () => {
  const noise = patternBytes(9 << 20, 3);
  const parts = [noise.subarray(0, 2 << 20), noise.subarray(2 << 20, 6 << 20), noise.subarray(6 << 20)] as const;
  const fresh = patternBytes(70_000, 8);
  const longer = Buffer.concat([parts[0], fresh, ...parts.slice(1)]);
  const shorter = Buffer.concat([parts[0].subarray(0, -90_000), parts[1], parts[2]]);
  expect(await sizeOf(noise, longer, 'fast')).toBeLessThan(fresh.length + 100);
  expect(await sizeOf(noise, shorter, 'fast')).toBeLessThan(100);
});

it('searches long targets in parts that know of what the one before found', async () => {
  const noise = patternBytes(12 << 20, 4);
  const block = 1_000_003;
  const moved = Array.from({ length: 11 }, (_, i) =>
    noise.subarray(((i * 7) % 11) * block, ((i * 7) % 11) * block + block),
  );
  const fresh = patternBytes(5 << 20, 9);
  const target = Buffer.concat([...moved, fresh, noise.subarray(0, block)]);
  expect(await sizeOf(noise, target, 'fast')).toBeLessThan(fresh.length + 1000);
});
