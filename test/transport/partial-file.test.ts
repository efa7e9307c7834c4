/** The bytes of a file that arrives, through the page cache and past it. */
import { constants } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { PartialFile, WriteChoice } from '../../src/transport/partial-file.js';
import { scratch } from '../cli/cli-process.js';
import { seededBytes } from './session-fixture.js';

const MIB = 1 << 20;
const LARGE = 128 * MIB;
const engine = loadEngine();

let directory = '';
let remove = async (): Promise<void> => {};
beforeAll(async () => {
  ({ directory, remove } = await scratch());
});
afterAll(() => remove());

/** Whether the file system here takes writes past the cache. */
async function takesDirect(): Promise<boolean> {
  const file = path.join(directory, 'probe');
  try {
    const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT);
    await handle.write(engine.alignedBuffer(4096), 0, 4096, 0).finally(() => handle.close());
    return true;
  } catch {
    return false;
  } finally {
    await rm(file, { force: true });
  }
}

/** A piece in memory that suits such writes. */
function aligned(bytes: Buffer): Buffer {
  const buffer = engine.alignedBuffer(bytes.length);
  bytes.copy(buffer);
  return buffer;
}

describe('a partial file', () => {
  it('has what was written in any order, whichever way it went, also what fits no direct write', async () => {
    const file = path.join(directory, 'large');
    const bytes = seededBytes(6 * MIB + 1000, 1);
    const partial = await PartialFile.open(file, { size: LARGE, engine });
    const pieces = [4, 0, 2, 5, 1, 3].map((at) => [at * MIB, (at + 1) * MIB] as const);
    await Promise.all(pieces.map(([start, end]) => partial.write(start, aligned(bytes.subarray(start, end)))));
    await partial.write(6 * MIB, aligned(bytes.subarray(6 * MIB)));
    const back = Buffer.alloc(MIB);
    await partial.read(2 * MIB, back);
    expect(back.equals(bytes.subarray(2 * MIB, 3 * MIB))).toBe(true);
    // The first stretch is for looking at that way.
    expect(partial.directBytes).toBe((await takesDirect()) ? 6 * MIB : 0);
    const { size } = await partial.finish(bytes.length);
    await partial.close();
    expect(size).toBe(BigInt(bytes.length));
    expect((await readFile(file)).equals(bytes)).toBe(true);
  });

  it('has room made ahead of it that nobody can make large by what he says, and never less than it holds', async () => {
    const file = path.join(directory, 'ahead');
    const reserved: [number, number][] = [];
    const told = { preallocate: (_fd: number, from: number, bytes: number) => void reserved.push([from, bytes]) };
    const partial = await PartialFile.open(file, { size: 2 ** 40, engine: told });
    expect(reserved).toEqual([]);
    const pieces = [0, 70, 1, 200].map((at) => at * MIB);
    await Promise.all(pieces.map((at) => partial.write(at, aligned(seededBytes(MIB, at)))));
    const direct = partial.directBytes > 0;
    await partial.close();
    const again = await PartialFile.open(file, { size: 2 ** 40, engine: told });
    await again.close();
    expect(again.length).toBe(direct ? 256 * MIB : 201 * MIB);
    // One way only where the file system has the other.
    const all = [
      [0, 64 * MIB],
      [64 * MIB, 64 * MIB],
      [128 * MIB, 128 * MIB],
    ];
    expect(reserved).toEqual(direct ? all : reserved);
    const bytes = await readFile(file);
    for (const at of pieces) expect(bytes.subarray(at, at + MIB).equals(seededBytes(MIB, at))).toBe(true);
  });

  it('keeps what went through the cache far ahead when room is made before it', async () => {
    const file = path.join(directory, 'far');
    // Time stands still: both ways are as fast, so that after the looks at both the direct one is taken again.
    const partial = await PartialFile.open(file, { size: 2 * LARGE, engine, nowMs: () => 0 });
    const [near, far] = [0, 130].map((from) => Array.from({ length: 16 }, (_, index) => (from + index) * MIB));
    const write = (at: number): Promise<void> => partial.write(at, aligned(seededBytes(MIB, at)));
    await Promise.all((near as number[]).map(write));
    await Promise.all((far as number[]).map(write));
    await write(64 * MIB);
    expect(partial.directBytes).toBe((await takesDirect()) ? 17 * MIB : 0);
    await partial.close();
    const bytes = await readFile(file);
    for (const at of [...(near as number[]), ...(far as number[]), 64 * MIB]) {
      expect(bytes.subarray(at, at + MIB).equals(seededBytes(MIB, at)), `at ${at}`).toBe(true);
    }
  });

  it('tells that the disk is full', async () => {
    const direct = await takesDirect();
    const full = (): never => {
      throw Object.assign(new Error('ENOSPC: cannot preallocate'), { code: 'ENOSPC' });
    };
    const partial = await PartialFile.open(path.join(directory, 'full'), {
      size: LARGE,
      engine: { preallocate: full },
    });
    const writing = partial.write(0, aligned(seededBytes(MIB, 4)));
    if (direct) await expect(writing).rejects.toMatchObject({ code: 'ENOSPC' });
    else await writing;
    await partial.close();
  });

  it('takes memory and places that suit no direct write', async () => {
    const file = path.join(directory, 'odd');
    const bytes = seededBytes(3 * MIB, 2);
    const partial = await PartialFile.open(file, { size: LARGE, engine });
    // One byte behind the beginning of a page: refused by some, taken by other systems.
    const shifted = aligned(Buffer.concat([Buffer.alloc(1), bytes])).subarray(1);
    await partial.write(0, shifted.subarray(0, MIB));
    await partial.write(MIB, shifted.subarray(MIB, 2 * MIB + 5));
    await partial.write(2 * MIB + 5, shifted.subarray(2 * MIB + 5));
    await partial.finish(bytes.length);
    await partial.close();
    expect((await readFile(file)).equals(bytes)).toBe(true);
  });

  it('stays in the cache when it is small', async () => {
    const partial = await PartialFile.open(path.join(directory, 'small'), { size: LARGE - 1, engine });
    await partial.write(0, aligned(seededBytes(MIB, 3)));
    await partial.finish(MIB);
    await partial.close();
    expect(partial.directBytes).toBe(0);
  });

  it('is not reached through a link', async () => {
    const link = path.join(directory, 'link');
    await (await import('node:fs/promises')).symlink('/dev/null', link);
    await expect(PartialFile.open(link, { size: LARGE, engine })).rejects.toMatchObject({ code: 'ELOOP' });
  });
});

describe('the way of the bytes', () => {
  /** Chooses for so many MiB, each of which takes so long; gives what went past the cache. */
  function run(
    choice: WriteChoice,
    mebibytes: number,
    ms: { readonly direct: number; readonly cached: number },
  ): number {
    let nowMs = 0;
    let direct = 0;
    for (let count = 0; count < mebibytes; count += 1) {
      const past = choice.next(MIB);
      const way = past ? choice.direct : choice.cached;
      way.begin(nowMs);
      nowMs += past ? ms.direct : ms.cached;
      way.end(MIB, nowMs);
      direct += past ? 1 : 0;
    }
    return direct;
  }

  it('is past the cache, unless the disk is much slower than memory', () => {
    expect(run(new WriteChoice(), 512, { direct: 1, cached: 1 })).toBe(512 - 16);
    expect(run(new WriteChoice(), 512, { direct: 3.9, cached: 1 })).toBe(512 - 16);
    expect(run(new WriteChoice(), 512, { direct: 4.1, cached: 1 })).toBe(16);
  });

  it('is looked at again after each GiB, and what was before counts less', () => {
    const choice = new WriteChoice();
    expect(run(choice, 1024, { direct: 10, cached: 1 })).toBe(16);
    // The disk has become fast.
    const later = run(choice, 3 * 1024, { direct: 1, cached: 1 });
    expect(later).toBeGreaterThan(1024);
    expect(later).toBeLessThan(3 * 1024 - 32);
  });

  it('counts the time in which something is written once, however much is', () => {
    const { direct } = new WriteChoice();
    direct.begin(0);
    direct.begin(1);
    direct.end(MIB, 4);
    direct.end(MIB, 5);
    direct.begin(100);
    direct.end(MIB, 105);
    expect(direct.rate).toBeCloseTo((3 * MIB) / 10);
  });
});
