import { readFile, stat, writeFile } from 'node:fs/promises';
import { Readable, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DeltaReport, diffFile, inspectDelta, inspectDeltaFile, patch, patchFile } from '../../src/delta/delta.js';
import { diffFileTuned } from '../../src/delta/delta-files.js';
import { patternBytes, RUNS, textBytes } from '../engine/samples.js';
import { inRoom, SMALL } from './window-fixture.js';

const noise = patternBytes(900_000, 11);

/** Pieces of the source and new bytes, in any order. */
const pieces = fc.array(
  fc.record({
    from: fc.nat(60_000),
    length: fc.integer({ min: 1, max: 9000 }),
    fresh: fc.boolean(),
    flip: fc.boolean(),
  }),
  { maxLength: 12 },
);

function build(source: Buffer, parts: readonly { from: number; length: number; fresh: boolean; flip: boolean }[]) {
  return Buffer.concat(
    parts.map(({ from, length, fresh, flip }) => {
      const piece = fresh ? patternBytes(length, from + 1) : Buffer.from(source.subarray(from, from + length));
      if (flip && piece.length > 0) piece[piece.length >> 1] = (piece[piece.length >> 1] as number) ^ 64;
      return piece;
    }),
  );
}

describe('files in windows', () => {
  it('come back, whatever was moved, changed, added or removed', async () => {
    await inRoom(async (room) => {
      const sizes = fc.constantFrom(512, 4096, 16 << 10);
      const property = fc.asyncProperty(fc.nat(60_000), pieces, sizes, sizes, async (length, parts, window, gather) => {
        const source = noise.subarray(0, length);
        const target = build(source, parts);
        const tuning = { memoryBytes: -1, windowBytes: window, gatherBytes: gather };
        const delta = await room.diff(source, target, tuning);
        expect((await room.patch()).equals(target)).toBe(true);
        expect((await patch(source, delta)).equals(target)).toBe(true);
      });
      await fc.assert(property, { ...RUNS, numRuns: 25 });
    });
  }, 120_000);

  it.each(['auto', 'align', 'bsdiff', 'xdelta', 'zstd', 'xor'] as const)('engine %s', async (engine) => {
    await inRoom(async (room) => {
      const source = Buffer.concat([textBytes(60_000, 1), noise.subarray(0, 60_000)]);
      const target = Buffer.concat([
        source.subarray(50_000, 110_000),
        textBytes(30_000, 7),
        source.subarray(0, 40_000),
      ]);
      await room.diff(source, target, SMALL, { engine, hashAlgo: 'sha256' });
      expect((await room.patch()).equals(target)).toBe(true);
    });
  });

  it('finds blocks that moved far, and shifts', async () => {
    await inRoom(async (room) => {
      const tuning = { memoryBytes: -1, windowBytes: 64 << 10, gatherBytes: 96 << 10 };
      const half = noise.length / 2;
      const cases: Buffer[] = [
        Buffer.concat([noise.subarray(half), noise.subarray(0, half)]),
        Buffer.concat([Buffer.from('x'), noise]),
        Buffer.concat([noise.subarray(7), noise.subarray(0, 300_000)]),
        Buffer.concat(Array.from({ length: 30 }, (_, i) => noise.subarray((29 - i) * 30_000, (30 - i) * 30_000))),
      ];
      for (const target of cases) {
        const delta = await room.diff(noise, target, tuning);
        expect((await room.patch()).equals(target)).toBe(true);
        expect(delta.length).toBeLessThan(target.length / 100);
      }
    });
  });

  it('what is equal in place costs one record', async () => {
    await inRoom(async (room) => {
      expect((await room.diff(noise, noise)).length).toBeLessThan(180);
      const target = Buffer.from(noise);
      target[500_000] = (target[500_000] as number) ^ 1;
      expect((await room.diff(noise, target)).length).toBeLessThan(400);
      const info = await inspectDeltaFile(room.at('d'));
      expect(info).toMatchObject({ format: 'dkd', engine: 'windows', windows: 3, targetBytes: noise.length });
      expect(info).toEqual({ format: 'dkd', ...(await inspectDelta(await readFile(room.at('d')))) });
      expect((await room.patch()).equals(target)).toBe(true);
    });
  });

  it('are reported together: what was tried on how many windows, and what was taken', async () => {
    await inRoom(async (room) => {
      const target = Buffer.concat([
        noise.subarray(0, 64 << 10),
        noise.subarray(200_000, 220_000),
        textBytes(20_000, 3),
      ]);
      const reports: DeltaReport[] = [];
      await room.diff(noise, target, SMALL, { onReport: (report) => void reports.push(report) });
      expect(reports).toHaveLength(1);
      expect(reports[0]).toMatchObject({ engine: 'windows', effort: 'fast' });
      expect(reports[0]?.why).toMatch(/^7 windows: 4 equal in place, \d by /);
      const tried = reports[0]?.candidates.filter(({ bytes }) => bytes !== undefined) ?? [];
      expect(tried.map(({ engine }) => engine)).toEqual(expect.arrayContaining(['raw', 'align', 'zstd-prefix']));
      expect(tried.every(({ reason }) => /^tried on [123] windows?, taken for \d$/.test(reason))).toBe(true);
    });
  });

  it('empty, growing, shrinking', async () => {
    await inRoom(async (room) => {
      const nothing = Buffer.alloc(0);
      const part = noise.subarray(0, 40_000);
      const pairs: [Buffer, Buffer][] = [
        [nothing, nothing],
        [nothing, part],
        [part, nothing],
        [part, noise.subarray(0, 100_000)],
        [noise.subarray(0, 100_000), noise.subarray(0, 16 << 10)],
        [noise.subarray(0, 16 << 10), noise.subarray(0, (16 << 10) + 1)],
      ];
      for (const [source, target] of pairs) {
        await room.diff(source, target);
        expect((await room.patch()).equals(target)).toBe(true);
      }
    });
  });

  it('small files keep the container in memory', async () => {
    await inRoom(async (room) => {
      await writeFile(room.at('s'), noise);
      await writeFile(room.at('t'), noise.subarray(1));
      const info = await diffFile(room.at('s'), room.at('t'), room.at('d'));
      expect(info.engine).not.toBe('windows');
      expect(await patchFile(room.at('s'), room.at('d'), room.at('out'))).toEqual({
        format: 'dkd',
        verified: true,
        targetBytes: noise.length - 1,
      });
      expect((await readFile(room.at('out'))).equals(noise.subarray(1))).toBe(true);
      expect(await room.names()).toEqual(['d', 'out', 's', 't']);
    });
  });
});

describe('streams', () => {
  function collect(): { stream: Writable; parts: Buffer[] } {
    const parts: Buffer[] = [];
    const stream = new Writable({
      highWaterMark: 100,
      write(chunk: Buffer, _encoding, done) {
        parts.push(Buffer.from(chunk));
        setImmediate(done);
      },
    });
    return { stream, parts };
  }
  const pieces = (bytes: Buffer): Readable =>
    Readable.from(
      (function* () {
        for (let at = 0; at < bytes.length; at += 7001) yield bytes.subarray(at, at + 7001);
      })(),
    );

  it('target and delta may be streams, which stay open', async () => {
    await inRoom(async (room) => {
      const target = Buffer.concat([noise.subarray(100_000), noise.subarray(0, 100_000)]);
      await writeFile(room.at('s'), noise);
      for (const tuning of [SMALL, { ...SMALL, memoryBytes: 950_000 }, { ...SMALL, memoryBytes: 1 << 26 }]) {
        const made = collect();
        const job = { source: room.at('s'), target: pieces(target), delta: made.stream, options: {}, tuning };
        const info = await diffFileTuned(job);
        const delta = Buffer.concat(made.parts);
        expect(info.deltaBytes).toBe(delta.length);
        expect(made.stream.writableEnded).toBe(false);
        const out = collect();
        await patchFile(room.at('s'), pieces(delta), out.stream);
        expect(Buffer.concat(out.parts).equals(target)).toBe(true);
        const again = collect();
        await patchFile(pieces(noise), pieces(delta), again.stream);
        expect(Buffer.concat(again.parts).equals(target)).toBe(true);
      }
    });
  });

  it('a stream that fails is DK_IO', async () => {
    await inRoom(async (room) => {
      await room.diff(noise, noise.subarray(5));
      const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('gone')) });
      await expect(patchFile(room.at('s'), room.at('d'), broken)).rejects.toMatchObject({ code: 'DK_IO' });
      const failing = new Readable({ read: () => failing.destroy(new Error('gone')) });
      await expect(patchFile(room.at('s'), failing, room.at('out'))).rejects.toMatchObject({ code: 'DK_IO' });
      expect(await room.names()).toEqual(['d', 's', 't']);
    });
  });
});

describe('outputs', () => {
  it('are replaced only when they may be, and keep their mode', async () => {
    await inRoom(async (room) => {
      await room.diff(noise, noise.subarray(5));
      await writeFile(room.at('out'), 'old', { mode: 0o640 });
      await expect(room.patch({ overwrite: false })).rejects.toMatchObject({ code: 'DK_ARGUMENT' });
      expect(await readFile(room.at('out'), 'utf8')).toBe('old');
      expect((await room.patch()).equals(noise.subarray(5))).toBe(true);
      expect((await stat(room.at('out'))).mode & 0o777).toBe(0o640);
      // In place: the source is read to the end before it is replaced.
      await patchFile(room.at('s'), room.at('d'), room.at('s'));
      expect((await readFile(room.at('s'))).equals(noise.subarray(5))).toBe(true);
      expect(await room.names()).toEqual(['d', 'out', 's', 't']);
    });
  });

  it('progress counts both files', async () => {
    await inRoom(async (room) => {
      const seen: [number, number][] = [];
      const onProgress = (done: number, total: number): void => void seen.push([done, total]);
      await room.diff(noise, noise.subarray(5), SMALL, { onProgress });
      expect(seen.at(-1)).toEqual([2 * noise.length - 5, 2 * noise.length - 5]);
      expect(seen.length).toBeGreaterThan(10);
      seen.length = 0;
      await room.patch({ onProgress });
      expect(seen.at(-1)).toEqual([2 * noise.length - 5, 2 * noise.length - 5]);
    });
  });
});
