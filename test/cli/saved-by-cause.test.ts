/** What `stats` says that each cause saved, of stores whose savings are known beforehand. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { PackLiveness, StoreStats } from '../../src/index.js';
import { cliPlace } from './cli-place.js';
import { jsonLines } from './cli-process.js';

const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data', 'deep'), { recursive: true });
});
const file = (name: string): string => path.join(place.directory, 'data', name);
const pack = (number: number): string =>
  path.join(place.directory, 'keep', 'packs', `${String(number).padStart(8, '0')}.dkp`);
const MIB = 1 << 20;
/** How first versions of large files are cut. */
const CUT = { minBytes: 128 << 10, averageBytes: 512 << 10, maxBytes: MIB };
/** Header of a record: what a blob takes in a pack besides its coded bytes. */
const HEADER = 60;
/** What may come on top for each capture: versions, recipes, a checkpoint. */
const HISTORY = 4096;

/** Bytes that no coder makes less of, the same for the same name. */
const random = (name: string, outputLength: number): Buffer =>
  createHash('shake256', { outputLength }).update(name).digest();

async function capture(): Promise<void> {
  const { code, stderr } = await place.run('capture', '--state-dir=data', '--store=keep');
  expect([code, stderr]).toEqual([0, expect.any(String)]);
}

async function stats(): Promise<Required<StoreStats>> {
  const [line] = jsonLines((await place.run('stats', '--store=keep', '--packs', '--json')).stdout);
  const stats = line as unknown as Required<StoreStats>;
  const { otherBytes, ...saved } = stats.savings;
  const savedBytes = Object.values(saved).reduce((sum, bytes) => sum + bytes, 0);
  expect(stats.originalBytes - savedBytes + otherBytes).toBe(stats.packBytes);
  return stats;
}

function unneeded(one: PackLiveness | undefined): number {
  if (!one) throw new Error('no pack');
  return one.bytes - one.liveBytes;
}

/** What content takes once, cut as first versions are: equal pieces count once. */
async function pieces(...contents: readonly Buffer[]): Promise<{ readonly bytes: number; readonly count: number }> {
  const engine = loadEngine();
  const found = new Map<string, number>();
  for (const content of contents) {
    let at = 0;
    for (const length of await engine.cut(content, CUT)) {
      found.set(engine.digest('blake3', content.subarray(at, at + length)).toString('hex'), length);
      at += length;
    }
  }
  return { bytes: [...found.values()].reduce((sum, length) => sum + length, 0), count: found.size };
}

describe('stats', () => {
  it('counts each byte saved at its cause, exactly where it can be known', async () => {
    // Equal content under three names, two of them there from the beginning; nothing of it compresses.
    await writeFile(file('one'), random('one', 100_000));
    await writeFile(file('deep/two'), random('one', 100_000));
    await writeFile(file('changed'), random('changed', 200_000));
    await capture();
    const first = await stats();
    // Nothing but records of the history: no content is among it.
    expect(first.savings.otherBytes).toBeGreaterThan(0);
    expect(first.savings.otherBytes).toBeLessThan(HISTORY);
    const shown = (await place.run('stats', '--store=keep')).stdout;
    expect(shown).toMatch(/saved: compression +│ +-120 B/);
    expect(shown).toMatch(/besides contents +│ +[\d.]+ (K?B)/);
    expect(first.savings).toMatchObject({
      dedupBytes: 100_000,
      deltaBytes: 0,
      compressionBytes: -2 * HEADER,
      dictionaryBytes: 0,
      denseBytes: 0,
    });
    // A rename, and text that is nothing but one word.
    await rename(file('one'), file('renamed'));
    await writeFile(file('text'), 'word '.repeat(12_000));
    await capture();
    const second = await stats();
    expect(second.savings).toMatchObject({ dedupBytes: 200_000, deltaBytes: 0 });
    const text = second.savings.compressionBytes + 2 * HEADER;
    expect(text).toBeGreaterThan(60_000 - HEADER - 100);
    expect(text).toBeLessThan(60_000 - HEADER);
    // A hundred bytes changed, three times, each on top of the one before.
    const changed = random('changed', 200_000);
    for (const version of [1, 2, 3]) {
      changed.fill(version, version * 50_000, version * 50_000 + 100);
      await writeFile(file('changed'), changed);
      await capture();
    }
    const third = await stats();
    expect(third.savings).toMatchObject({ dedupBytes: 200_000, compressionBytes: second.savings.compressionBytes });
    expect(third.savings.deltaBytes).toBeGreaterThan(3 * (200_000 - HEADER - 250));
    expect(third.savings.deltaBytes).toBeLessThan(3 * (200_000 - HEADER));
    expect(third.depths).toEqual([3, 1, 1, 1]);
    expect(third.originalBytes).toBe(2 * 100_000 + 100_000 + 60_000 + 4 * 200_000);
  }, 120_000);

  it('counts pieces that large files have in common once, and the runs of zeros not at all', async () => {
    const large = random('large', 8 * MIB);
    const other = Buffer.concat([random('other', MIB + 14), large.subarray(MIB)]);
    await writeFile(file('large'), large);
    await writeFile(file('other'), other);
    await writeFile(file('zeros'), Buffer.alloc(8 * MIB));
    await capture();
    const { savings, originalBytes, blobs, depths } = await stats();
    const { bytes, count } = await pieces(large, other);
    expect(originalBytes).toBe(large.length + other.length + 8 * MIB);
    expect(savings.dedupBytes).toBe(originalBytes - bytes);
    // The test would tell nothing if they had nothing in common.
    expect(savings.dedupBytes).toBeGreaterThan(8 * MIB + 4 * MIB);
    expect([blobs, depths]).toEqual([count, [count]]);
    expect([savings.deltaBytes, savings.compressionBytes]).toEqual([0, -count * HEADER]);
  }, 60_000);

  it('tells what packs are needed for, before and after a prune', async () => {
    await writeFile(file('kept'), random('kept', 100_000));
    await writeFile(file('twin'), random('kept', 100_000));
    await writeFile(file('gone'), random('gone', 150_000));
    await capture();
    const [only, ...more] = (await stats()).packs;
    expect(more).toEqual([]);
    expect(only).toMatchObject({ pack: 1, bytes: statSync(pack(1)).size });
    // All of it is needed: contents, versions, checkpoints; what is not is the header of the pack.
    expect(unneeded(only)).toBeLessThan(200);
    await rm(file('gone'));
    await capture();
    const [removed] = (await stats()).packs;
    expect(removed?.liveBytes).toBeGreaterThan(only?.liveBytes ?? 0);
    expect(unneeded(removed)).toBeLessThan(200);
    expect((await place.run('prune', '--store=keep', '--keep-last=1')).code).toBe(0);
    const after = (await stats()).packs;
    // What nobody needs has gone; what is left is content, and the history, which stands in packs of its own.
    const liveBytes = after.reduce((sum, one) => sum + one.liveBytes, 0);
    expect(liveBytes).toBeGreaterThan(100_000 + HEADER);
    expect(liveBytes).toBeLessThan(100_000 + HEADER + HISTORY);
    const [next, ...written] = after;
    expect(next).toMatchObject({ pack: 2, liveBytes: 0 });
    expect(written).toHaveLength(4);
    for (const one of written) expect(unneeded(one)).toBeLessThan(200);
    for (const one of written) expect(one.liveBytes).toBeGreaterThan(0);
  }, 60_000);
});

describe('content that is there already under another name', () => {
  const small = random('small', 200_000);
  const large = random('large', 8 * MIB);

  /** Bytes that the packs have more than before. */
  async function grownBy(action: () => Promise<void>): Promise<number> {
    const before = (await stats()).packBytes;
    await action();
    await capture();
    return (await stats()).packBytes - before;
  }

  it('is stored once, in one capture and in a later one of another process', async () => {
    for (const name of ['small', 'deep/small']) await writeFile(file(name), small);
    for (const name of ['large', 'deep/large']) await writeFile(file(name), large);
    await capture();
    const { packBytes, blobs } = await stats();
    expect(blobs).toBe(1 + (await pieces(large)).count);
    expect(packBytes).toBeLessThan(small.length + large.length + blobs * HEADER + HISTORY);
    const grown = await grownBy(async () => {
      await writeFile(file('small-again'), small);
      await writeFile(file('large-again'), large);
      await rename(file('deep/large'), file('large-renamed'));
      await rename(file('deep/small'), file('small-renamed'));
    });
    expect(grown).toBeLessThan(HISTORY);
    expect((await stats()).blobs).toBe(blobs);
  }, 60_000);

  it('and shifted costs, of a large file, what lies before the first cut they share', async () => {
    await writeFile(file('large'), large);
    await capture();
    const shifted = Buffer.concat([Buffer.from('fourteen bytes'), large]);
    const fresh = (await pieces(large, shifted)).bytes - large.length;
    // The test would tell nothing if they shared nothing.
    expect(fresh).toBeLessThan(large.length / 2);
    const later = await grownBy(() => writeFile(file('shifted'), shifted));
    expect(later).toBeGreaterThan(fresh);
    expect(later).toBeLessThan(fresh + HISTORY);
    // The same in front of the same in one capture: nothing is left to be stored.
    await writeFile(file('again'), shifted);
    expect(await grownBy(() => writeFile(file('deep/shifted'), shifted))).toBeLessThan(HISTORY);
  }, 60_000);

  it('and shifted under its own name costs next to nothing', async () => {
    await writeFile(file('small'), small);
    await capture();
    const grown = await grownBy(() => writeFile(file('small'), Buffer.concat([Buffer.from('fourteen bytes'), small])));
    expect(grown).toBeLessThan(small.length / 50);
  }, 60_000);
});
