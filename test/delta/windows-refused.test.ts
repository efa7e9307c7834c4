/** Deltas in windows that are damaged, hostile, interrupted or out of room: a typed error, and nothing left behind. */
import { mkdtempSync } from 'node:fs';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { diff, diffBare, diffFile, inspectDeltaFile, patch, patchFile } from '../../src/delta/delta.js';
import { diffFileTuned } from '../../src/delta/delta-files.js';
import { encodeHeader, encodeRecord, type WindowRecord } from '../../src/delta/window-format.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes, textBytes } from '../engine/samples.js';
import { canMount, mountSmallDisk } from '../sidecar/small-disk.js';
import { inRoom, type Room, SMALL } from './window-fixture.js';

const MOUNTS = canMount(mkdtempSync(join(tmpdir(), 'dk-mount-')));
const engine = loadEngine();
const source = patternBytes(3000, 5);
const codeOf = (error: { code?: string; message: string }): string => error.code ?? error.message;

/** A sound header and these records. */
function forged(records: readonly WindowRecord[], targetBytes?: number): Buffer {
  const sourceDigest = engine.digest('blake3', source);
  const known = targetBytes === undefined ? {} : { targetBytes };
  const header = encodeHeader(engine, { hashAlgo: 'blake3', sourceBytes: source.length, sourceDigest, ...known });
  return Buffer.concat([header, ...records.map((record) => encodeRecord(engine, record))]);
}

function end(target: Buffer, records: number): WindowRecord {
  return { kind: 'end', targetBytes: target.length, records, targetDigest: engine.digest('blake3', target) };
}

const window = (
  ranges: readonly { offset: number; length: number }[],
  targetBytes = 4,
  payload: Uint8Array = Buffer.from('abcd'),
  engineNumber = 0,
): WindowRecord => ({ kind: 'window', targetBytes, engineNumber, ranges, payload });

/** Neither a target nor a temporary file. */
async function nothingLeft(room: Room): Promise<void> {
  expect((await room.names()).filter((name) => !['s', 't', 'd'].includes(name))).toEqual([]);
}

describe('damage', () => {
  it('every flipped bit and every cut is found', async () => {
    await inRoom(async (room) => {
      const target = Buffer.concat([source.subarray(1500), textBytes(900, 3), source.subarray(0, 700)]);
      const delta = await room.diff(source, target, { memoryBytes: -1, windowBytes: 1024, gatherBytes: 2048 });
      for (let at = 0; at < delta.length; at += 1) {
        const bad = Buffer.from(delta);
        bad[at] = (bad[at] as number) ^ (1 << (at % 8));
        expect(await patch(source, bad).catch(codeOf), `bit of ${at}`).toMatch(/^DK_(CORRUPT_DELTA|UNSUPPORTED)$/);
        expect(await patch(source, delta.subarray(0, at)).catch(codeOf), `${at} bytes`).toBe('DK_CORRUPT_DELTA');
      }
      expect(await patch(source, Buffer.concat([delta, Buffer.alloc(1)])).catch(codeOf)).toBe('DK_CORRUPT_DELTA');
    });
  });

  it('leaves no target, and an old one as it was', async () => {
    await inRoom(async (room) => {
      const big = patternBytes(200_000, 1);
      const delta = await room.diff(big, Buffer.concat([big.subarray(100_000), textBytes(90_000, 2)]));
      await writeFile(room.at('keep'), 'old');
      // The last window but one: most of the target is written by then.
      delta[delta.length - 200] = (delta[delta.length - 200] as number) ^ 4;
      await writeFile(room.at('d'), delta);
      for (const out of ['out', 'keep']) {
        const failing = patchFile(room.at('s'), room.at('d'), room.at(out));
        await expect(failing).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
      }
      expect(await room.names()).toEqual(['d', 'keep', 's', 't']);
      expect(await readFile(room.at('keep'), 'utf8')).toBe('old');
    });
  });

  it('a wrong source is told from a damaged delta', async () => {
    await inRoom(async (room) => {
      await room.diff(source, source.subarray(9));
      await writeFile(room.at('s'), patternBytes(3000, 6));
      expect(await room.patch().catch(codeOf)).toBe('DK_SOURCE_MISMATCH');
      await writeFile(room.at('s'), source.subarray(1));
      expect(await room.patch().catch(codeOf)).toBe('DK_SOURCE_MISMATCH');
      await nothingLeft(room);
    });
  });
});

describe('forged records behind right checksums', () => {
  const four = Buffer.from('abcd');
  const cases: [name: string, delta: Buffer, code: string][] = [
    ['sound', forged([window([]), end(four, 1)]), 'abcd'],
    ['sound, of two windows', forged([window([]), window([]), end(Buffer.from('abcdabcd'), 2)], 8), 'abcdabcd'],
    ['no end', forged([window([])]), 'DK_CORRUPT_DELTA'],
    ['wrong digest', forged([window([]), end(Buffer.from('abce'), 1)]), 'DK_DIGEST_MISMATCH'],
    ['wrong count of records', forged([window([]), end(four, 2)]), 'DK_CORRUPT_DELTA'],
    [
      'wrong target length',
      forged([window([]), { ...end(four, 1), targetBytes: 5 } as WindowRecord]),
      'DK_CORRUPT_DELTA',
    ],
    ['other length than the header says', forged([window([]), end(four, 1)], 5), 'DK_CORRUPT_DELTA'],
    ['more than the header says', forged([window([]), window([]), end(four, 1)], 4), 'DK_CORRUPT_DELTA'],
    ['unknown engine', forged([window([], 4, four, 99), end(four, 1)]), 'DK_UNSUPPORTED'],
    ['window of no bytes', forged([window([], 0), end(four, 1)]), 'DK_CORRUPT_DELTA'],
    ['window too long', forged([window([], 2 ** 40), end(four, 1)]), 'DK_CORRUPT_DELTA'],
    ['payload of another length', forged([window([], 5), end(four, 1)]), 'DK_CORRUPT_DELTA'],
    ['range behind the source', forged([window([{ offset: 2990, length: 11 }]), end(four, 1)]), 'DK_CORRUPT_DELTA'],
    [
      'range far behind the source',
      forged([window([{ offset: 2 ** 50, length: 1 }]), end(four, 1)]),
      'DK_CORRUPT_DELTA',
    ],
    ['range of no bytes', forged([window([{ offset: 5, length: 0 }]), end(four, 1)]), 'DK_CORRUPT_DELTA'],
    ['copy behind the source', forged([{ kind: 'copy', offset: 0, length: 3001 }, end(source, 1)]), 'DK_CORRUPT_DELTA'],
    ['copy of no bytes', forged([{ kind: 'copy', offset: 0, length: 0 }, end(four, 1)]), 'DK_CORRUPT_DELTA'],
    ['damaged payload', forged([window([{ offset: 0, length: 9 }], 4, four, 4), end(four, 1)]), 'DK_CORRUPT_DELTA'],
  ];

  it.each(cases)('%s', async (_, delta, result) => {
    const outcome = await patch(source, delta).then((made) => made.toString('latin1'), codeOf);
    expect(outcome).toBe(result);
  });

  it('a record that claims gigabytes takes no memory', async () => {
    const lie = forged([window([])]);
    lie.writeUInt32LE(0xffffffff, lie.length - 8 - 4 - 3 - 4);
    const before = process.memoryUsage().rss;
    expect(await patch(source, lie).catch(codeOf)).toBe('DK_CORRUPT_DELTA');
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  it('copies that grow without end meet the limit', async () => {
    await inRoom(async (room) => {
      await writeFile(room.at('s'), source);
      const copies = Array.from({ length: 2000 }, (): WindowRecord => ({ kind: 'copy', offset: 0, length: 3000 }));
      await writeFile(room.at('d'), forged(copies));
      expect(await room.patch({ targetBytesMax: 1_000_000 }).catch(codeOf)).toBe('DK_LIMIT');
      await writeFile(room.at('d'), forged(copies, 2 ** 45));
      expect(await room.patch().catch(codeOf)).toBe('DK_LIMIT');
      await nothingLeft(room);
    });
  });
});

describe('interruption', () => {
  it('an abort ends diff and patch and leaves nothing', async () => {
    await inRoom(async (room) => {
      const big = patternBytes(300_000, 8);
      const target = Buffer.concat([big.subarray(150_000), textBytes(200_000, 2)]);
      await room.diff(big, target);
      for (const share of [0, 0.3, 0.7]) {
        const stopAt = (): { signal: AbortSignal; onProgress: (done: number, total: number) => void } => {
          const controller = new AbortController();
          return {
            signal: controller.signal,
            onProgress: (done, total) => void (done >= share * total && controller.abort()),
          };
        };
        const job = { source: room.at('s'), target: room.at('t'), delta: room.at('d2'), tuning: SMALL };
        expect(await diffFileTuned({ ...job, options: stopAt() }).catch(codeOf)).toBe('DK_ABORTED');
        expect(await room.patch(stopAt()).catch(codeOf)).toBe('DK_ABORTED');
      }
      const signal = AbortSignal.abort();
      await expect(diffFile(room.at('s'), room.at('t'), room.at('d2'), { signal })).rejects.toMatchObject({
        code: 'DK_ABORTED',
        name: 'AbortError',
      });
      await nothingLeft(room);
    });
  });

  it('an abort does not wait for a stream that gives nothing any more', async () => {
    await inRoom(async (room) => {
      await writeFile(room.at('s'), source);
      const first = patternBytes(100_000, 1);
      for (const tuning of [SMALL, { ...SMALL, memoryBytes: 1 << 20 }]) {
        const controller = new AbortController();
        const parts = [first];
        const target = new Readable({
          read() {
            const part = parts.pop();
            if (part === undefined) setTimeout(() => controller.abort(), 20);
            else this.push(part);
          },
        });
        const options = { signal: controller.signal };
        const job = { source: room.at('s'), target, delta: room.at('out'), options, tuning };
        expect(await diffFileTuned(job).catch(codeOf)).toBe('DK_ABORTED');
      }
      await nothingLeft(room);
    });
  });

  it.runIf(MOUNTS)('a disk that fills up keeps no half of a target', async () => {
    await inRoom(async (room) => {
      await room.diff(source, patternBytes(400_000, 3));
      const disk = mountSmallDisk(room.at('disk'), 128 << 10);
      try {
        const out = room.at('disk/out');
        expect(await patchFile(room.at('s'), room.at('d'), out).then(() => 'written', codeOf)).toBe('DK_DISK_FULL');
        expect(
          await diffFileTuned({
            source: room.at('s'),
            target: room.at('t'),
            delta: out,
            options: {},
            tuning: SMALL,
          }).then(() => 'written', codeOf),
        ).toBe('DK_DISK_FULL');
        expect(await readdir(room.at('disk'))).toEqual([]);
      } finally {
        disk?.unmount();
      }
    });
  });

  it('a full disk is DK_DISK_FULL', async () => {
    await inRoom(async (room) => {
      await room.diff(source, source.subarray(9));
      expect(await patchFile(room.at('s'), room.at('d'), '/dev/full').then(() => 'written', codeOf)).toBe(
        'DK_DISK_FULL',
      );
      expect(await diffFile(room.at('s'), room.at('t'), '/dev/full').then(() => 'written', codeOf)).toBe(
        'DK_DISK_FULL',
      );
    });
  });

  it('gigabytes that cannot be right are refused before they are read', async () => {
    await inRoom(async (room) => {
      const [small, bare] = [
        await diff(source, source.subarray(9)),
        await diffBare(source, source, { format: 'bsdiff' }),
      ];
      await writeFile(room.at('d'), small);
      await writeFile(room.at('t'), bare);
      for (const gigabytes of [3, 5]) {
        await writeFile(room.at('s'), '');
        await truncate(room.at('s'), gigabytes * 2 ** 30);
        expect(await patchFile(room.at('s'), room.at('d'), room.at('out')).catch(codeOf)).toBe('DK_SOURCE_MISMATCH');
        expect(await patchFile(room.at('d'), room.at('s'), room.at('out')).catch(codeOf)).toBe('DK_LIMIT');
        expect(await inspectDeltaFile(room.at('s')).catch(codeOf)).toBe('DK_LIMIT');
      }
      expect(await patchFile(room.at('s'), room.at('t'), room.at('out')).catch(codeOf)).toBe('DK_LIMIT');
      await nothingLeft(room);
    });
  });

  it('what is not there or cannot be read says so', async () => {
    await inRoom(async (room) => {
      await room.diff(source, source.subarray(9));
      const no = room.at('no');
      expect(await diffFile(no, room.at('t'), room.at('out')).catch(codeOf)).toBe('DK_NOT_FOUND');
      expect(await diffFile(room.at('s'), no, room.at('out')).catch(codeOf)).toBe('DK_NOT_FOUND');
      expect(await patchFile(room.at('s'), no, room.at('out')).catch(codeOf)).toBe('DK_NOT_FOUND');
      expect(await diffFile(room.folder, room.at('t'), room.at('out')).catch(codeOf)).toBe('DK_UNSUPPORTED');
      expect(await diffFile(room.at('s'), room.folder, room.at('out')).catch(codeOf)).toBe('DK_IO');
      expect(await diffFile(room.at('s'), room.at('t'), `${no}/out`).catch(codeOf)).toBe('DK_IO');
      await expect(diffFile(room.at('s'), room.at('t'), no, { level: 99 })).rejects.toThrow(RangeError);
      await expect(patchFile(room.at('s'), room.at('d'), no, { targetBytesMax: -1 })).rejects.toThrow(RangeError);
      await nothingLeft(room);
    });
  });
});
