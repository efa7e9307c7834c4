/** The table of similar contents, and its files beside the store. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { SKETCH_FEATURES } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { OPEN_GUARD } from '../../src/store/cache-guard.js';
import { readSegments, writeSegment } from '../../src/store/similar-file.js';
import { SEGMENT_ROWS, SEGMENTS, SimilarTable } from '../../src/store/similar-table.js';

const always = () => true;

/** A digest that says which row it is of. */
function digestOf(row: number): Buffer {
  const digest = Buffer.alloc(32);
  digest.writeUInt32LE(row, 0);
  return digest;
}

/** Features that no other row has. */
function featuresOf(row: number): Uint32Array {
  return Uint32Array.from(
    { length: SKETCH_FEATURES },
    (_, k) => Math.imul(row * SKETCH_FEATURES + k + 1, 0x9e3779b1) >>> 0 || 1,
  );
}

function filled(rows: number): SimilarTable {
  const table = new SimilarTable();
  for (let row = 0; row < rows; row += 1) table.add(digestOf(row), featuresOf(row), 0);
  return table;
}

describe('a table of similar contents', () => {
  it('finds the row with most features in common, and needs two of them', () => {
    const table = new SimilarTable();
    table.add(digestOf(1), Uint32Array.of(1, 2, 3, 4), 0);
    table.add(digestOf(2), Uint32Array.of(9, 9, 9, 9, 3, 4, 5, 6), 4);
    expect(table.find(Uint32Array.of(1, 2, 7, 8), 0, always)).toBe(0);
    expect(table.find(Uint32Array.of(1, 7, 8, 9), 0, always)).toBe(-1);
    expect(table.find(Uint32Array.of(0, 0, 0, 0), 0, always)).toBe(-1);
    // What both have is found in the newer one.
    expect(table.find(Uint32Array.of(1, 3, 4, 5), 0, always)).toBe(1);
    expect(table.find(Uint32Array.of(1, 2, 3, 4), 0, always)).toBe(1);
    expect(table.find(Uint32Array.of(1, 2, 3, 4), 0, (row) => row === 0)).toBe(0);
    expect(table.find(Uint32Array.of(1, 2, 3, 4), 0, () => false)).toBe(-1);
    expect(table.rowsWith(Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8)).sort()).toEqual([0, 1]);
    expect(table.digest(1)).toEqual(digestOf(2));
  });

  it('keeps the newest rows, and forgets a segment of the oldest at a time', () => {
    const rows = LIMITS.similarBlobs + SEGMENT_ROWS + 10;
    const table = filled(rows);
    const kept = LIMITS.similarBlobs - SEGMENT_ROWS + 10;
    for (let row = 0; row < rows; row += 97) {
      const found = table.find(featuresOf(row), 0, always);
      expect(found, `${row}`).toBe(row < rows - kept ? -1 : row);
      if (found >= 0) expect(table.digest(found)).toEqual(digestOf(row));
    }
  });

  it('stands in segments that make the same table again', () => {
    const rows = LIMITS.similarBlobs + 3 * SEGMENT_ROWS + 77;
    const table = filled(rows);
    const segments = new Map<number, Buffer>();
    const last = Math.floor((rows - 1) / SEGMENT_ROWS);
    for (let number = last - SEGMENTS + 1; number <= last; number += 1) segments.set(number, table.segment(number));
    segments.delete(last - 2);
    const again = new SimilarTable();
    again.loadSegments(segments);
    expect(again.next).toBe(rows);
    again.add(digestOf(rows), featuresOf(rows), 0);
    for (let row = rows - SEGMENT_ROWS * 5; row <= rows; row += 61) {
      const lost = Math.floor(row / SEGMENT_ROWS) === last - 2;
      expect(again.find(featuresOf(row), 0, always), `${row}`).toBe(lost ? -1 : row);
    }
    const empty = new SimilarTable();
    empty.loadSegments(new Map());
    expect([empty.next, empty.find(featuresOf(1), 0, always)]).toEqual([0, -1]);
  });
});

describe('the files of the table', () => {
  let cachePath = '';
  const place = () => ({ engine: loadEngine(), guard: OPEN_GUARD, cachePath, storeId: 'ab'.repeat(16) });

  beforeEach(async () => {
    cachePath = await mkdtemp(path.join(tmpdir(), 'dk-similar-'));
  });
  afterEach(() => rm(cachePath, { recursive: true, force: true }));

  it('are read back, and not those of another store, of another place, or damaged', async () => {
    const rows = filled(3).segment(0);
    await writeSegment(place(), 5, rows);
    await writeSegment(place(), SEGMENTS + 6, rows);
    expect([...(await readSegments(place()))]).toEqual([
      [5, rows],
      [SEGMENTS + 6, rows],
    ]);
    expect((await readSegments({ ...place(), storeId: 'cd'.repeat(16) })).size).toBe(0);
    const file = path.join(cachePath, 'similar-5');
    const bytes = await readFile(file);
    await writeFile(path.join(cachePath, 'similar-7'), bytes);
    expect([...(await readSegments(place())).keys()]).toEqual([5, SEGMENTS + 6]);
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 1;
      await writeFile(file, damaged);
      expect([...(await readSegments(place())).keys()], `${at}`).toEqual([SEGMENTS + 6]);
    }
    await rm(file);
    await mkdir(file);
    expect((await readSegments(place())).size).toBe(1);
  });
});
