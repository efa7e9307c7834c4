/** Small states of which little changed are coded at once: same messages, same order, same counts as any, and others have their turns. */
import { describe, expect, it } from 'vitest';
import type { StateEncoderOptions } from '../../src/baseline/baseline.js';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { createTwin } from '../../src/engine/twin.js';
import { patternBytes } from '../engine/samples.js';
import { pair, TestClock } from './codec-fixture.js';

const real = loadEngine();
const isNative = real.info.kind === 'native';
const noise = patternBytes(300_000, 1);

/** A copy with some bytes inverted. */
function changed(state: Buffer, step: number): Buffer {
  const target = Buffer.from(state);
  for (let at = step - 1; at < target.length; at += step) target.writeUInt8(target.readUInt8(at) ^ 255, at);
  return target;
}

/** The engine, counting states that it made at once; `quick` false: it makes none so. */
function counting(quick = true): { readonly engine: Engine; readonly made: { diffs: number; patches: number } } {
  const made = { diffs: 0, patches: 0 };
  const engine: Engine = {
    ...real,
    sparseDiffSync(...args) {
      const delta = quick ? real.sparseDiffSync(...args) : undefined;
      if (delta !== undefined) made.diffs += 1;
      return delta;
    },
    sparsePatchSync(...args) {
      const digest = quick ? real.sparsePatchSync(...args) : undefined;
      if (digest !== undefined) made.patches += 1;
      return digest;
    },
  };
  return { engine, made };
}

/** A safetensors file of one array of floats; each step changes the last byte of every one. */
function floats(count: number, step: number): Buffer {
  const shape = { a: { dtype: 'F32', shape: [count], data_offsets: [0, 4 * count] } };
  const header = Buffer.from(JSON.stringify(shape));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const values = Buffer.alloc(4 * count);
  for (let i = 0; i < count; i += 1) values.writeFloatLE(Math.sin(i) * 3, 4 * i);
  for (let at = 0; at < values.length; at += 4) values[at] = (values[at] as number) + step * (1 + (at % 3));
  return Buffer.concat([length, header, values]);
}

const kinds: [string, StateEncoderOptions, number][] = [
  ['as by default', {}, 5],
  ['BLAKE3', { digest: 'blake3' }, 5],
  ['sparse alone', { engine: 'sparse' }, 5],
  // The state that has grown has too many new bytes for this level.
  ['another level', { level: 9 }, 4],
  ['the highest level', { level: 19 }, 0],
];

describe('states that mostly stay in place', () => {
  const large = patternBytes(3_000_000, 5);
  const options: [string, StateEncoderOptions][] = [
    ['as by default', {}],
    ['BLAKE3', { digest: 'blake3' }],
    ['several segments', { segmentBytes: 1 << 20 }],
    ['each against the one before', { reference: 'previous' }],
    ['another engine', { engine: 'xor' }],
  ];
  it.each(options)('give the messages and counts that a stream of them gives: %s', async (_name, settings) => {
    const clock = new TestClock();
    const [one, other] = [pair({ ...settings, clock }), pair({ ...settings, clock })];
    const states = [
      large,
      changed(large, 100),
      changed(large, 7),
      large.subarray(0, 2_500_000),
      Buffer.concat([large, large.subarray(0, 9000)]),
      patternBytes(3_000_000, 6),
      Buffer.concat([Buffer.alloc(11), large]),
    ];
    for (const state of states) {
      const message = await one.encoder.encode('k', state);
      const pieces: Buffer[] = [];
      const stream = other.encoder.encodeStream('k', state);
      let next = await stream.next();
      for (; !next.done; next = await stream.next()) pieces.push(next.value);
      expect(message.toBuffer().equals(Buffer.concat(pieces))).toBe(true);
      expect(message).toMatchObject(next.value);
      expect((await one.decoder.decode(message.parts)).bytes.equals(state)).toBe(true);
    }
    expect(one.encoder.metrics()).toEqual(other.encoder.metrics());
    await Promise.all([one, other].flatMap(({ encoder, decoder }) => [encoder.close(), decoder.close()]));
  });
});

describe('small states', () => {
  it.each(kinds)('give the messages and counts that they would give elsewhere: %s', async (_name, options, diffs) => {
    const [here, there] = [counting(), counting(false)];
    const quick = pair({ ...options, nativeEngine: here.engine }, { nativeEngine: here.engine });
    const slow = pair({ ...options, nativeEngine: there.engine }, { nativeEngine: there.engine });
    const states = [
      noise,
      changed(noise, 100),
      changed(noise, 70_000),
      noise,
      changed(noise.subarray(0, 200_000), 999),
      Buffer.concat([noise, noise.subarray(0, 5000)]),
      patternBytes(300_000, 2),
    ];
    for (const state of states) {
      // With all of its share of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      const [one, other] = [await quick.encoder.encode('k', state), await slow.encoder.encode('k', state)];
      expect(one.toBuffer().equals(other.toBuffer())).toBe(true);
      const { parts, toBuffer, ...facts } = one;
      expect(other).toMatchObject(facts);
      for (const message of [one.parts, one.toBuffer()]) {
        const back = await quick.decoder.decode(message);
        expect(back.bytes.equals(state)).toBe(true);
        const { bytes, ...decoded } = await slow.decoder.decode(message);
        expect(bytes.equals(state)).toBe(true);
        expect(back).toMatchObject(decoded);
      }
    }
    expect(quick.encoder.metrics()).toEqual(slow.encoder.metrics());
    expect(quick.decoder.metrics()).toEqual(slow.decoder.metrics());
    expect(there.made).toEqual({ diffs: 0, patches: 0 });
    if (isNative) expect(here.made).toEqual({ diffs, patches: 10 });
    await Promise.all([quick, slow].flatMap(({ encoder, decoder }) => [encoder.close(), decoder.close()]));
  });

  it('keep their order, and the rules of age and count', async () => {
    const { engine } = counting();
    const { encoder, decoder } = pair({ deltasMax: 5, nativeEngine: engine }, { nativeEngine: engine });
    const order: number[] = [];
    const messages = await Promise.all(
      Array.from({ length: 13 }, async (_, i) => {
        const state = Buffer.from(noise);
        state.writeUInt32LE(i, 1000);
        const message = await encoder.encode('k', state);
        order.push(i);
        return message;
      }),
    );
    expect(order).toEqual(Array.from({ length: 13 }, (_, i) => i));
    expect(messages.flatMap(({ kind }, i) => (kind === 'full' ? [i] : []))).toEqual([0, 6, 12]);
    for (const [i, { parts }] of messages.entries()) {
      expect((await decoder.decode(parts)).bytes.readUInt32LE(1000)).toBe(i);
    }
    await Promise.all([encoder.close(), decoder.close()]);
    await expect(encoder.encode('k', noise)).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
    await expect(decoder.decode(messages[11]?.parts ?? [])).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
  });

  it('leave floats, small and large, to what knows them', async () => {
    const { encoder, decoder } = pair({});
    for (const count of [20_000, 700_000]) {
      await decoder.decode((await encoder.encode(`k${count}`, floats(count, 0))).parts);
      const message = await encoder.encode(`k${count}`, floats(count, 1));
      expect(message.engines).toEqual(['tensor']);
      expect((await decoder.decode(message.parts)).bytes.equals(floats(count, 1))).toBe(true);
    }
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it.each([
    ['of a megabyte', LIMITS.syncStateBytes, 40],
    ['however short they are', 200, 1000],
  ])('let timers and sockets have their turns, %s', async (_name, bytesOfState, count) => {
    const { encoder, decoder } = pair({ deltasMax: Number.POSITIVE_INFINITY });
    const state = patternBytes(bytesOfState, 3);
    const at = bytesOfState >> 1;
    await decoder.decode((await encoder.encode('k', state)).parts);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      again = setImmediate(turn);
    };
    let again = setImmediate(turn);
    for (let i = 0; i < count; i += 1) {
      state.writeUInt32LE(i, at);
      const { bytes } = await decoder.decode((await encoder.encode('k', state)).parts);
      expect(bytes.readUInt32LE(at)).toBe(i);
    }
    clearImmediate(again);
    // Each state counts twice: coded and decoded.
    const share = Math.max(state.length, 64 << 10);
    expect(turns).toBeGreaterThanOrEqual(Math.floor((2 * count * share) / LIMITS.syncTurnBytes) - 2);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('that are not small, or of which much changed, go the way of all states', async () => {
    const { engine, made } = counting();
    const { encoder, decoder } = pair({ nativeEngine: engine }, { nativeEngine: engine });
    const large = patternBytes(LIMITS.syncStateBytes + 1, 4);
    const shared = new Uint8Array(new SharedArrayBuffer(1000));
    const cases: [Buffer | Uint8Array, Buffer | Uint8Array][] = [
      [large, changed(large, 70_000)],
      [noise, changed(noise, 3)],
      [shared, shared],
      [noise, Buffer.alloc(0)],
      [Buffer.alloc(0), noise],
    ];
    for (const [i, states] of cases.entries()) {
      for (const state of states) {
        const { bytes } = await decoder.decode((await encoder.encode(`k${i}`, state)).parts);
        expect(bytes.equals(state)).toBe(true);
      }
    }
    expect(made.diffs).toBe(0);
    expect(encoder.metrics().failures).toBe(0);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('are made by the twin as well, in its own way', async () => {
    const nativeEngine = createTwin();
    const { encoder, decoder } = pair({ nativeEngine }, { nativeEngine });
    for (const state of [noise, changed(noise, 1000)]) {
      const { parts } = await encoder.encode('k', state);
      expect((await decoder.decode(parts)).bytes.equals(state)).toBe(true);
    }
    await Promise.all([encoder.close(), decoder.close()]);
  });
});
