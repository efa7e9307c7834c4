/** Through the page cache or past it: whichever is faster, and never twice what is refused. */
import { expect, test } from 'vitest';
import type { FileWriter } from '../../src/engine/engine.js';
import { WriteWay } from '../../src/recover/write-way.js';

const STEP = Buffer.alloc(16 << 20);

/** A writer whose clock passes by the bytes written. */
class Disk implements FileWriter {
  nowMs = 0;
  readonly ways: ('direct' | 'cached')[] = [];
  readonly #msPerMib: { direct: number; cached: number };
  readonly #refuses: boolean;
  end = 0;

  constructor(msPerMib: { direct: number; cached: number }, refuses = false) {
    this.#msPerMib = msPerMib;
    this.#refuses = refuses;
  }

  async write(position: number, bytes: Uint8Array, direct: boolean): Promise<boolean> {
    expect(position).toBe(this.end);
    this.end += bytes.length;
    const way = direct ? 'direct' : 'cached';
    this.ways.push(way);
    this.nowMs += (bytes.length / (1 << 20)) * this.#msPerMib[way];
    return direct && !this.#refuses;
  }

  async finish(): Promise<Buffer> {
    return Buffer.alloc(32);
  }

  become(msPerMib: { direct: number; cached: number }): void {
    Object.assign(this.#msPerMib, msPerMib);
  }
}

async function writeSteps(disk: Disk, way: WriteWay, steps: number): Promise<string> {
  const from = disk.ways.length;
  for (let step = 0; step < steps; step += 1) await way.write(disk, disk.end, STEP);
  return disk.ways.slice(from).join(' ');
}

test.each([
  [{ direct: 1, cached: 3 }, 'direct'],
  [{ direct: 8, cached: 1 }, 'cached'],
])('looks once and keeps the faster way: %o', async (speed, expected) => {
  const disk = new Disk(speed);
  const way = new WriteWay(() => disk.nowMs);
  expect(await writeSteps(disk, way, 4)).toBe(`direct cached ${expected} ${expected} ${expected} ${expected}`);
});

test('changes when the other way has become faster', async () => {
  const disk = new Disk({ direct: 8, cached: 1 });
  const way = new WriteWay(() => disk.nowMs);
  await writeSteps(disk, way, 16);
  disk.become({ direct: 1, cached: 20 });
  expect(await writeSteps(disk, way, 3)).toBe('direct cached direct direct');
});

test('looks less often the longer nothing changes, with a piece each time', async () => {
  const disk = new Disk({ direct: 1, cached: 3 });
  const way = new WriteWay(() => disk.nowMs);
  const ways = (await writeSteps(disk, way, 16 + 32 + 64 + 128 + 256 + 257)).split(' ');
  // Steps that were divided: the first one in three, each other one in two, and one in 256 at last.
  expect(ways.length).toBe(753 + 2 + 6);
  expect(ways.filter((one) => one === 'cached').length).toBe(1 + 6);
});

test('goes past the cache where the disk is slower than it and still faster than steps come', async () => {
  const disk = new Disk({ direct: 2, cached: 1 });
  const way = new WriteWay(() => disk.nowMs);
  const written: string[] = [];
  const slowly = async (steps: number, stepMs: number) => {
    for (let step = 0; step < steps; step += 1) {
      written.push(await writeSteps(disk, way, 1));
      disk.nowMs += stepMs;
    }
    return written.splice(0).join(' ');
  };
  // 32 ms for a step past the cache, and 48 for reading one.
  expect(await slowly(4, 48)).toBe('direct cached cached direct direct direct');
  // The disk is what everybody waits for: now the cache takes more.
  expect((await slowly(12, 0)).split(' ').slice(-6)).toEqual(Array(6).fill('cached'));
});

test('asks no second time where direct writes are refused', async () => {
  const disk = new Disk({ direct: 1, cached: 1 }, true);
  const way = new WriteWay(() => disk.nowMs);
  expect(await writeSteps(disk, way, 70)).toBe(`direct ${Array(71).fill('cached').join(' ')}`);
});

test('what is too short to be divided goes through the cache', async () => {
  const disk = new Disk({ direct: 1, cached: 9 });
  await new WriteWay(() => disk.nowMs).write(disk, 0, Buffer.alloc(1000));
  expect(disk.ways).toEqual(['cached']);
});
