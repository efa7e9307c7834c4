/** The rules hold for baselines in a store, too, and damage there blocks no key. */
import { open as openFile, readdir, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type BaselineStore,
  StateDecoder,
  type StateDecoderOptions,
  StateEncoder,
  type StateEncoderOptions,
} from '../../src/baseline/baseline.js';
import type { Logger } from '../../src/core/core.js';
import { TestClock } from '../baseline/codec-fixture.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { BaselineRoom, SEGMENT, state } from './baseline-room.js';

const MINUTE = 60_000;
const room = new BaselineRoom();

/** What was warned of. */
function warnings(): { readonly logger: Logger; readonly said: string[] } {
  const said: string[] = [];
  const keep = (_facts: object, message: string): void => void said.push(message);
  return { said, logger: { debug: () => {}, info: () => {}, warn: keep, error: keep } };
}

async function kinds(encoder: StateEncoder, count: number, between: () => void = () => {}): Promise<string> {
  let text = '';
  for (let i = 0; i < count; i += 1) {
    text += (await encoder.encode('k', editedBytes(state, i))).kind === 'full' ? 'F' : 'd';
    between();
  }
  return text;
}

describe('the rules of age and count', () => {
  it.each([
    ['count', { deltasMax: 4, baselineIntervalMs: 60 * MINUTE, baselineAgeMaxMs: 60 * MINUTE }],
    ['age', { baselineIntervalMs: 5 * MINUTE }],
  ])('go on (%s) where a baseline was pruned from memory and loaded again', async (_name, rules) => {
    const clock = new TestClock();
    const encoder = new StateEncoder({ store: await room.open(), clock, pruneIntervalMs: MINUTE, ...rules });
    const seen = await kinds(encoder, 7, () => {
      clock.pass(MINUTE);
      encoder.prune();
      expect(encoder.metrics().baselineCount).toBe(0);
    });
    expect(seen).toBe('FddddFd');
    await encoder.close();
  });

  it('hold when more keys are used than memory has room for', async () => {
    const encoder = new StateEncoder({ store: await room.open(), deltasMax: 3, memoryBytesMax: 5_200_000 });
    const seen: Record<string, string> = { a: '', b: '', c: '' };
    for (let i = 0; i < 6; i += 1) {
      for (const key of ['a', 'b', 'c']) {
        seen[key] += (await encoder.encode(key, editedBytes(state, i))).kind === 'full' ? 'F' : 'd';
      }
    }
    expect(encoder.metrics().baselinesEvicted).toBeGreaterThan(10);
    expect(seen).toEqual({ a: 'FdddFd', b: 'FdddFd', c: 'FdddFd' });
    await encoder.close();
  });

  it.each(['baseline', 'previous'] as const)('know the age of a baseline over a restart (%s)', async (reference) => {
    const clock = new TestClock();
    let encoder = new StateEncoder({ store: await room.open(), clock, reference });
    expect(await kinds(encoder, 2)).toBe('Fd');
    for (const [minutes, kind] of [
      [3, 'd'],
      [3, 'F'],
      [-60, 'd'],
    ] as const) {
      await encoder.close();
      await room.store.close();
      const later = new TestClock();
      later.wall = clock.wall + minutes * MINUTE;
      clock.wall = later.wall;
      encoder = new StateEncoder({ store: await room.open(), clock: later, reference });
      expect(await kinds(encoder, 1)).toBe(kind);
    }
    await encoder.close();
  });

  it('count from when it is loaded where a store knows no time', async () => {
    const baselines = await room.open();
    const timeless: BaselineStore = {
      begin: (key) => baselines.begin(key),
      remove: (key) => baselines.remove(key),
      load: async (key) => {
        const stored = await baselines.load(key);
        return stored && { ...stored, madeMs: undefined };
      },
    };
    const clock = new TestClock();
    await kinds(new StateEncoder({ store: timeless, clock }), 1);
    clock.pass(20 * MINUTE);
    expect(await kinds(new StateEncoder({ store: timeless, clock }), 2)).toBe('dd');
  });
});

/** Flips one byte in the middle of the largest pack. */
async function damage(): Promise<void> {
  const packs = join(room.directory, 'store', 'packs');
  const files = await Promise.all(
    (await readdir(packs)).map(async (name) => ({
      path: join(packs, name),
      size: (await stat(join(packs, name))).size,
    })),
  );
  const { path, size } = files.sort((a, b) => b.size - a.size)[0] as (typeof files)[0];
  const file = await openFile(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size >> 1);
  await file.write(Buffer.of((byte[0] as number) ^ 4), 0, 1, size >> 1);
  await file.close();
}

describe('a damaged baseline in a store', () => {
  const ways: [string, StateEncoderOptions][] = [
    ['copy', { keep: 'copy' }],
    ['copy, beyond memory', { keep: 'copy', memoryBytesMax: 1_000_000 }],
    ['pages', { keep: 'pages' }],
  ];
  it.each(ways)('costs an encoder one full state (%s)', async (_name, options) => {
    const decoder = new StateDecoder();
    let encoder = new StateEncoder({ store: await room.open(), segmentBytes: SEGMENT, ...options });
    await decoder.decode((await encoder.encode('k', state)).parts);
    await encoder.close();
    await room.store.close();
    await damage();
    const { said, logger } = warnings();
    encoder = new StateEncoder({ store: await room.open(), segmentBytes: SEGMENT, logger, ...options });
    let fulls = 0;
    for (let i = 0; i < 4; i += 1) {
      const target = patternBytes(2_500_000, 5);
      target[i * 700_000] = i;
      const message = await encoder.encode('k', target);
      if (message.kind === 'full') fulls += 1;
      expect((await decoder.decode(message.parts)).bytes.equals(target)).toBe(true);
    }
    expect([fulls, said.filter((line) => line.includes('cannot be read')).length]).toEqual([1, 1]);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it.each(ways)('is none for resync, and the next state is full (%s)', async (_name, options) => {
    let encoder = new StateEncoder({ store: await room.open(), segmentBytes: SEGMENT, ...options });
    await encoder.encode('k', state);
    await encoder.close();
    await room.store.close();
    await damage();
    encoder = new StateEncoder({ store: await room.open(), segmentBytes: SEGMENT, ...options });
    expect(await encoder.resync('k')).toBeUndefined();
    const next = await encoder.encode('k', patternBytes(100_000, 2));
    expect(next.kind).toBe('full');
    await encoder.close();
  });

  const readers: [string, StateDecoderOptions][] = [
    ['in memory', {}],
    ['beyond memory', { memoryBytesMax: 2000 }],
  ];
  it.each(readers)('is missing for a decoder, which goes on after the answer (%s)', async (_name, options) => {
    const encoder = new StateEncoder({ segmentBytes: SEGMENT });
    let decoder = new StateDecoder({ store: await room.open(), ...options });
    await decoder.decode((await encoder.encode('k', state)).parts);
    await decoder.close();
    await room.store.close();
    await damage();
    const { said, logger } = warnings();
    decoder = new StateDecoder({ store: await room.open(), logger, ...options });
    const target = editedBytes(state, 1);
    const delta = await encoder.encode('k', target);
    for (let i = 0; i < 2; i += 1) {
      await expect(decoder.decode(delta.parts)).rejects.toMatchObject({
        code: 'DK_BASELINE_MISSING',
        facts: { key: 'k', baselineId: delta.sourceId, expected: delta.sourceDigest },
      });
    }
    expect(said).toHaveLength(1);
    await decoder.decode((await encoder.resync('k'))?.parts ?? []);
    expect((await decoder.decode(delta.parts)).bytes.equals(target)).toBe(true);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('that cannot be loaded at all is absent', async () => {
    await room.open();
    const broken: BaselineStore = {
      load: () => Promise.reject(new Error('the other machine is down')),
      remove: async () => {},
      begin: async () => ({ write: async () => {}, commit: async () => {}, abort: async () => {} }),
    };
    const { said, logger } = warnings();
    const encoder = new StateEncoder({ store: broken, logger, deltasMax: 1 });
    expect(await kinds(encoder, 2)).toBe('Fd');
    const decoder = new StateDecoder({ store: broken, logger });
    await expect(decoder.decode((await kindsOf(encoder)).parts)).rejects.toMatchObject({ code: 'DK_BASELINE_MISSING' });
    expect(said.length).toBeGreaterThan(1);
  });
});

async function kindsOf(encoder: StateEncoder): ReturnType<StateEncoder['encode']> {
  await encoder.encode('other', state);
  return encoder.encode('other', editedBytes(state, 1));
}

describe('resync', () => {
  it('that gets nothing makes the next state full, whatever the store has', async () => {
    const baselines = await room.open();
    let readable = true;
    const flaky: BaselineStore = {
      begin: (key) => baselines.begin(key),
      remove: (key) => baselines.remove(key),
      load: async (key) => (readable ? baselines.load(key) : undefined),
    };
    const encoder = new StateEncoder({ store: flaky, pruneIntervalMs: 1 });
    await encoder.encode('k', state);
    await new Promise((resolve) => setTimeout(resolve, 5));
    encoder.prune();
    readable = false;
    expect(await encoder.resync('k')).toBeUndefined();
    readable = true;
    expect(await kinds(encoder, 2)).toBe('Fd');
    await encoder.close();
  });
});

describe('a file that is encoded', () => {
  const openHandles = async (path: string): Promise<number> => {
    const targets = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    return targets.filter((target) => target === path).length;
  };

  it('is closed when the store fails, and when a stream is left at its head', async () => {
    const baselines = await room.open();
    const path = join(room.directory, 'state');
    await writeFile(path, state);
    const failing = (what: 'load' | 'begin'): BaselineStore => ({
      load: (key) => (what === 'load' ? room.store.close().then(() => baselines.load(key)) : baselines.load(key)),
      begin: () => Promise.reject(new Error('no room')),
      remove: (key) => baselines.remove(key),
    });
    for (const what of ['begin', 'load'] as const) {
      const encoder = new StateEncoder({ store: failing(what), segmentBytes: SEGMENT });
      await expect(encoder.encode('k', { file: path })).rejects.toThrow();
      expect([what, await openHandles(path)]).toEqual([what, 0]);
      await encoder.close();
    }
    for (const enabled of [true, false]) {
      const encoder = new StateEncoder({ enabled, segmentBytes: SEGMENT });
      for await (const _part of encoder.encodeStream('k', { file: path })) break;
      expect([enabled, await openHandles(path)]).toEqual([enabled, 0]);
      await encoder.close();
    }
  });

  it('and chunks of which the first was taken are given back to their producer', async () => {
    await room.open();
    let ended = false;
    async function* produce(): AsyncGenerator<Uint8Array> {
      try {
        for (let i = 0; i < 40; i += 1) yield state.subarray(0, 1 << 16);
      } finally {
        ended = true;
      }
    }
    const encoder = new StateEncoder({ enabled: false, segmentBytes: 1 << 16 });
    for await (const _part of encoder.encodeStream('k', produce())) break;
    expect(ended).toBe(true);
    await encoder.close();
  });
});
