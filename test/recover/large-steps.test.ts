import { describe, expect, it } from 'vitest';
import type { Extent, Version } from '../../src/format/format.js';
import { STEP_BYTES_MAX, stepsOf } from '../../src/recover/large-steps.js';
import type { VersionReader } from '../../src/store/store.js';

const MIB = 1 << 20;

/** A file made of these blobs, each named by a number; null for zeros. */
function fileOf(blobs: readonly (readonly [number | null, number])[], isScattered = false): VersionReader {
  const extents = blobs.map(
    ([name, length]): Extent => ({ digest: name === null ? null : Buffer.alloc(32, name), offset: 0, length }),
  );
  const size = extents.reduce((sum, { length }) => sum + length, 0);
  const reader = { version: { size } as Version, extents: async () => extents, isScattered: async () => isScattered };
  return reader as unknown as VersionReader;
}

const distinct = (count: number, length: number) => Array.from({ length: count }, (_, at) => [at, length] as const);

describe('steps of a large file', () => {
  it('end where blobs end when no blob comes twice', async () => {
    const { steps, prefetch } = await stepsOf(fileOf([...distinct(7, 0.75 * MIB), [7, 5]]));
    expect(prefetch).toBe(true);
    expect(steps).toEqual([
      { offset: 0, bytes: 2.25 * MIB },
      { offset: 2.25 * MIB, bytes: 2.25 * MIB },
      { offset: 4.5 * MIB, bytes: 0.75 * MIB + 5 },
    ]);
  });

  it('have nothing left over behind the last blob', async () => {
    expect((await stepsOf(fileOf(distinct(4, MIB)))).steps).toEqual([
      { offset: 0, bytes: 2 * MIB },
      { offset: 2 * MIB, bytes: 2 * MIB },
    ]);
  });

  it.each([
    ['a blob comes twice', [...distinct(20, MIB), [3, 5] as const]],
    ['there are holes', [...distinct(20, MIB), [null, 5] as const]],
  ])('are whole windows where %s', async (_, blobs) => {
    expect((await stepsOf(fileOf(blobs))).steps).toEqual([
      { offset: 0, bytes: STEP_BYTES_MAX },
      { offset: STEP_BYTES_MAX, bytes: 4 * MIB + 5 },
    ]);
  });

  it('are whole windows of a file that is long', async () => {
    const { steps } = await stepsOf(fileOf(distinct(65, MIB), true));
    expect(steps.map(({ bytes }) => bytes)).toEqual([...Array.from({ length: 4 }, () => STEP_BYTES_MAX), MIB]);
  });

  it('are short ones of a scattered file, whose pieces are read without asking for them before', async () => {
    const pieces = Array.from({ length: 9 * 256 }, (_, at) => [at % 7, 4096] as const);
    expect(await stepsOf(fileOf(pieces, true))).toEqual({
      steps: [
        { offset: 0, bytes: 4 * MIB },
        { offset: 4 * MIB, bytes: 4 * MIB },
        { offset: 8 * MIB, bytes: MIB },
      ],
      prefetch: false,
    });
  });
});
