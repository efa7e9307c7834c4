/** Scattered pages that do not compress make one blob for a region; what compresses stays within its window. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { joinScattered } from '../../src/capture/join-scattered.js';
import { LIMITS } from '../../src/core/core.js';
import { engines, MIB, noise, StateFixture } from './state-fixture.js';

const PAGE = 4096;
let fixture: StateFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});

function job(at: number, lengths: readonly number[], seed = 1) {
  const pieces = lengths.map((length, index) => noise(length, seed + index));
  const ranges = lengths.flatMap((length, index) => [at + index * 10_000, length]);
  let offset = 0;
  const slots = lengths.map((length) => {
    const slot = { digest: null, offset, length };
    offset += length;
    return slot;
  });
  return { pieces, ranges, slots };
}

/** Each slot names the bytes of its range in the joined blob. */
function expectWhole(jobs: ReturnType<typeof joinScattered>): void {
  for (const { pieces, ranges, slots } of jobs) {
    const bytes = Buffer.concat(pieces);
    expect(bytes.length).toBeLessThanOrEqual(LIMITS.blobBytes);
    expect(slots).toHaveLength(pieces.length);
    for (const [index, { offset, length }] of slots.entries()) {
      expect(length).toBe(ranges[2 * index + 1]);
      expect(bytes.subarray(offset, offset + length).equals(pieces[index] as Uint8Array)).toBe(true);
    }
  }
}

describe('joining of scattered jobs', () => {
  it('keeps regions apart, single ranges as they are, and blobs below the largest', () => {
    const region = LIMITS.regionBytes;
    const single = job(5 * MIB, [200_000], 40);
    const half = MIB / 2;
    const jobs = [
      job(0, [PAGE, 77], 1),
      job(17 * MIB, [PAGE, PAGE], 10),
      single,
      job(33 * MIB, [half, half - PAGE], 20),
      job(50 * MIB, [PAGE - 10, 5], 30),
      job(region + 3, [PAGE, 6], 50),
      job(region + 17 * MIB, [7, PAGE], 60),
    ];
    const joined = joinScattered(jobs);
    expect(joined).toContain(single);
    expectWhole(joined.filter((one) => one !== single));
    expect(joined.map(({ slots }) => slots.length).sort()).toEqual([1, 4, 4, 4]);
    for (const { ranges } of joined) {
      const regions = ranges.filter((_, index) => index % 2 === 0).map((at) => Math.floor(at / region));
      expect(new Set(regions).size).toBe(1);
    }
  });
});

describe.each(engines())('a capture of pages all over a file (%s)', (_name, engine) => {
  it.each([
    ['that do not compress', (page: number) => noise(PAGE, 1000 + page), 1],
    ['that do', (page: number) => Buffer.alloc(PAGE, `page ${page} `), 3],
  ])('%s', async (_what, content, blobs) => {
    fixture = await StateFixture.create(engine, {});
    fixture.write('big', noise(40 * MIB, 1));
    await fixture.capture();
    const before = (await fixture.store.stats()).blobs;
    const fd = openSync(fixture.path('big'), 'r+');
    // Twenty pages in each of three windows: enough for a blob of each.
    for (let page = 0; page < 60; page += 1) {
      const at = Math.floor(page / 20) * LIMITS.windowBytes + (page % 20) * 3 * PAGE;
      writeSync(fd, content(page), 0, PAGE, at);
    }
    closeSync(fd);
    const hashed = vi.spyOn(engine, 'digestMany');
    await fixture.capture();
    // Each page once, and a recipe.
    const hashedBytes = hashed.mock.calls.reduce((sum, [, bytes]) => sum + bytes.length, 0);
    hashed.mockRestore();
    expect(hashedBytes).toBeLessThan(1.2 * 60 * PAGE);
    expect((await fixture.store.stats()).blobs - before).toBe(blobs);
    await fixture.expectKept();
    expect((await fixture.store.verify()).damage).toEqual([]);
  });
});
