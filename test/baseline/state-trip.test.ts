/** States of every shape come back, over every way in and out. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder, type StateEncoderOptions, type StateInput } from '../../src/baseline/baseline.js';
import { loadTwin } from '../../src/engine/load.js';
import { editedBytes, patternBytes, RUNS, textBytes } from '../engine/samples.js';
import { pair, statesOfEverySize, trip } from './codec-fixture.js';

const SEGMENT = 1 << 16;

describe('round trips', () => {
  const modes: [string, StateEncoderOptions][] = [
    ['default', {}],
    ['previous', { reference: 'previous' }],
    ['small segments', { segmentBytes: SEGMENT }],
    ['small segments, previous', { segmentBytes: SEGMENT, reference: 'previous' }],
    ['sha256', { hashAlgo: 'sha256' }],
    ['xor', { engine: 'xor' }],
    ['sparse', { engine: 'sparse' }],
    ['zstd', { engine: 'zstd' }],
    ['align', { engine: 'align', level: 19 }],
    ['tensor', { engine: 'tensor' }],
    ['tensor, previous', { engine: 'tensor', reference: 'previous', segmentBytes: SEGMENT }],
    ['disabled', { enabled: false }],
    ['disabled, small segments', { enabled: false, segmentBytes: SEGMENT }],
  ];
  it.each(modes)('%s: growing, shrinking, empty, one byte, at the ends of segments', async (_name, options) => {
    const both = pair(options);
    const states = [...statesOfEverySize(SEGMENT), textBytes(200_000, 3)];
    for (const state of states) expect((await trip(both, 'vm-1', state)).same).toBe(true);
    expect(both.encoder.metrics()).toMatchObject({ operations: states.length, failures: 0 });
  });

  it('any two states, one after the other', async () => {
    const state = fc.uint8Array({ maxLength: 3000 });
    await fc.assert(
      fc.asyncProperty(state, state, fc.boolean(), async (first, second, previous) => {
        const both = pair({ segmentBytes: SEGMENT, reference: previous ? 'previous' : 'baseline' });
        for (const bytes of [first, second, Buffer.concat([second, first])]) {
          expect((await trip(both, 'k', bytes)).same).toBe(true);
        }
      }),
      RUNS,
    );
  });

  it('the TypeScript engine makes messages that decode, and reads those of the other', async () => {
    const nativeEngine = loadTwin();
    const base = textBytes(70_000, 1);
    for (const [encoding, decoding] of [
      [{ nativeEngine }, {}],
      [{}, { nativeEngine }],
    ]) {
      const both = pair({ segmentBytes: SEGMENT, ...encoding }, decoding);
      for (const state of [base, editedBytes(base, 4)]) expect((await trip(both, 'a', state)).same).toBe(true);
    }
  });

  it('is small where little changed, and says what it did', async () => {
    const both = pair();
    const base = patternBytes(400_000, 7);
    const full = await trip(both, 'vm-12-memory', base);
    expect(full.message).toMatchObject({ kind: 'full', keyClass: 'vm-memory', stateBytes: 400_000, engines: ['raw'] });
    expect(full.message.messageBytes).toBeLessThan(400_000 + 160);
    const changed = Buffer.from(base);
    changed.fill(1, 1000, 1100);
    const { message, same } = await trip(both, 'vm-12-memory', changed);
    expect(same).toBe(true);
    expect(message).toMatchObject({
      kind: 'delta',
      sourceId: full.message.baselineId,
      sourceDigest: full.message.targetDigest,
    });
    expect(message.messageBytes).toBeLessThan(320);
    expect(message.toBuffer()).toHaveLength(message.messageBytes);
    expect(both.encoder.metrics()).toMatchObject({
      operations: 2,
      deltaHits: 1,
      deltaHitRate: 0.5,
      incompressibleSkips: 1,
    });
  });

  it('passes noise through without touching it', async () => {
    const both = pair();
    const noise = patternBytes(300_000, 9);
    const { message, same } = await trip(both, 'k', noise);
    expect(same).toBe(true);
    expect(message.parts.some((part) => part.buffer === noise.buffer && part.length === noise.length)).toBe(true);
  });
});

describe('weights', () => {
  it('become deltas of tensors when asked for, in one segment and in several', async () => {
    for (const segmentBytes of [SEGMENT, 1 << 22]) {
      const both = pair({ engine: 'tensor', segmentBytes });
      const weights = new Float32Array(200_000);
      const noise = patternBytes(200_000, 5);
      for (const [i, byte] of noise.entries()) weights[i] = Math.sin(i) * 0.02 + (byte - 128) * 1e-4;
      const bytes = (): Buffer => Buffer.from(weights.buffer);
      expect((await trip(both, 'layer', bytes())).message.kind).toBe('full');
      for (const [i, weight] of weights.entries()) weights[i] = weight + 1e-6 * Math.cos(i);
      const { message, same } = await trip(both, 'layer', bytes());
      expect([same, message.kind, message.engines[0]]).toEqual([true, 'delta', 'tensor']);
      expect(message.messageBytes).toBeLessThan(0.7 * weights.byteLength);
      await both.encoder.close();
    }
  });
});

describe('noise that repeats itself', () => {
  it.each([
    ['blocks of 4 KiB', 4096],
    ['blocks of 100,003 bytes', 100_003],
    ['blocks of 1.5 MB', 1_500_000],
  ])('is compressed: %s', async (_name, length) => {
    const both = pair({ dictionaries: false });
    const block = patternBytes(length, 3);
    const state = Buffer.concat(Array.from({ length: Math.ceil(4_000_000 / length) }, () => block));
    const { message, same } = await trip(both, 'k', state);
    expect([same, both.encoder.metrics().incompressibleSkips]).toEqual([true, 0]);
    expect(message.messageBytes).toBeLessThan(1.1 * length + 5000);
  });

  it('in one half is found there', async () => {
    const block = patternBytes(50_000, 3);
    const state = Buffer.concat([patternBytes(1_000_000, 9), ...Array.from({ length: 20 }, () => block)]);
    const { message } = await trip(pair(), 'k', state);
    expect(message.messageBytes).toBeLessThan(1_100_000);
  });
});

describe('ways in', () => {
  const base = patternBytes(3 * SEGMENT + 77, 5);
  const next = editedBytes(base, 1);

  async function* chunksOf(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
    const memory = Buffer.alloc(length);
    for (let at = 0; at < bytes.length; at += length) {
      const part = bytes.subarray(at, at + length);
      // The producer uses its memory again, as streams do.
      memory.set(part);
      yield memory.subarray(0, part.length);
    }
  }

  function shared(bytes: Uint8Array): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(bytes.length);
    new Uint8Array(memory).set(bytes);
    return memory;
  }

  const ways: [string, (bytes: Buffer) => StateInput][] = [
    ['Uint8Array', (bytes) => new Uint8Array(bytes)],
    ['ArrayBuffer', (bytes) => new Uint8Array(bytes).buffer],
    ['SharedArrayBuffer', (bytes) => shared(bytes)],
    ['a view of shared memory', (bytes) => new Uint8Array(shared(bytes))],
    ['an array of chunks', (bytes) => [bytes.subarray(0, 10), bytes.subarray(10, 10), bytes.subarray(10)]],
    ['a stream of small chunks', (bytes) => chunksOf(bytes, 7777)],
    ['a stream of large chunks', (bytes) => chunksOf(bytes, 150_000)],
    ['chunks of exactly one segment', (bytes) => chunksOf(bytes.subarray(0, SEGMENT), SEGMENT)],
  ];
  it.each(ways)('%s', async (_name, way) => {
    const both = pair({ segmentBytes: SEGMENT });
    const limit = _name.includes('exactly') ? SEGMENT : Number.POSITIVE_INFINITY;
    for (const state of [base, next]) {
      const message = await both.encoder.encode('k', way(state));
      const { bytes } = await both.decoder.decode(message.parts);
      expect(bytes.equals(state.subarray(0, limit))).toBe(true);
    }
  });

  it('a file, an empty one, and one that is not there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dk-state-'));
    try {
      const both = pair({ segmentBytes: SEGMENT });
      const file = join(directory, 'state');
      for (const state of [base, next, Buffer.alloc(0)]) {
        await writeFile(file, state);
        const message = await both.encoder.encode('k', { file });
        expect((await both.decoder.decode(message.toBuffer())).bytes.equals(state)).toBe(true);
      }
      await expect(both.encoder.encode('k', { file: join(directory, 'none') })).rejects.toMatchObject({
        code: 'DK_IO',
      });
      await expect(both.encoder.encode('k', { file: directory })).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('refuses what holds no bytes, and wrong options', async () => {
    const { encoder } = pair();
    for (const bad of [42, 'text', null, [1, 2], {}]) {
      await expect(encoder.encode('k', bad as unknown as Buffer)).rejects.toThrow(TypeError);
    }
    await expect(encoder.encode('', Buffer.alloc(1))).rejects.toThrow(RangeError);
    await expect(encoder.encode('k'.repeat(1025), Buffer.alloc(1))).rejects.toThrow(RangeError);
    await expect(encoder.encode('\ud800', Buffer.alloc(1))).rejects.toThrow(TypeError);
    for (const bad of [{ level: 20 }, { segmentBytes: 100_000 }, { deltasMax: 0 }, { memoryBytesMax: -1 }]) {
      expect(() => new StateEncoder(bad)).toThrow(RangeError);
    }
    expect(() => new StateEncoder({ engine: 'bsdiff' as 'xor' })).toThrow(TypeError);
  });

  it.each([
    { enabled: 'no' },
    { dictionaries: 1 },
    { classOf: 5 },
    { store: {} },
    { store: null },
    { store: { load: async () => undefined, begin: 1, remove: async () => {} } },
    { clock: {} },
    { logger: { warn: 'me' } },
  ])('refuses options of another type: %j', (bad) => {
    const name = new RegExp(`^${Object.keys(bad)[0]}`);
    expect(() => new StateEncoder(bad as unknown as StateEncoderOptions)).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringMatching(name) }),
    );
    if (!('enabled' in bad) && !('dictionaries' in bad) && !('classOf' in bad)) {
      expect(() => new StateDecoder(bad as unknown as StateEncoderOptions)).toThrow(TypeError);
    }
  });

  it('refuses memory that was transferred away, which is not the empty state', async () => {
    const { encoder } = pair();
    const gone = (bytes: number): ArrayBuffer => {
      const memory = new ArrayBuffer(bytes);
      structuredClone(memory, { transfer: [memory] });
      return memory;
    };
    const view = new Uint8Array(1000).fill(3);
    structuredClone(view.buffer, { transfer: [view.buffer] });
    for (const bad of [gone(1000), gone(0), view, [Buffer.from('one'), view]]) {
      await expect(encoder.encode('k', bad)).rejects.toThrow(TypeError);
    }
    expect(encoder.metrics().operations).toBe(0);
    for (const empty of [new ArrayBuffer(0), new Uint8Array(0), [new Uint8Array(0)], [], new SharedArrayBuffer(0)]) {
      expect((await encoder.encode('k', empty)).stateBytes).toBe(0);
    }
    await encoder.close();
  });
});

describe('streams', () => {
  it('code and decode with a few segments in memory', async () => {
    const both = pair({ segmentBytes: SEGMENT, memoryBytesMax: 1 << 20 }, { memoryBytesMax: 1 << 20 });
    const segments = 40;
    async function* produce(change: number): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < segments; i += 1) yield Buffer.concat([patternBytes(SEGMENT, i), Buffer.from([change])]);
    }
    for (const change of [1, 2]) {
      const source = produce(change);
      let bytes = 0;
      let largest = 0;
      for await (const segment of both.decoder.decodeStream(both.encoder.encodeStream('big', source))) {
        bytes += segment.length;
        largest = Math.max(largest, segment.length);
      }
      expect([bytes, largest]).toEqual([segments * (SEGMENT + 1), SEGMENT]);
    }
    expect(both.encoder.metrics().baselineMemoryBytes).toBeLessThan(1 << 20);
    expect(both.encoder.metrics().deltaHits).toBe(0);
  });

  it('left early, they change nothing', async () => {
    const both = pair({ segmentBytes: SEGMENT });
    const base = patternBytes(5 * SEGMENT, 1);
    expect((await trip(both, 'k', base)).same).toBe(true);
    for await (const _part of both.encoder.encodeStream('k', Buffer.alloc(5 * SEGMENT))) break;
    const { message, same } = await trip(both, 'k', editedBytes(base, 1));
    expect([same, message.kind]).toEqual([true, 'delta']);
  });
});
