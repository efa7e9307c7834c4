/** Checkpoints that say where their floats are: coded as floats at once when a training step changed all of them. */
import { afterEach, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { type Pair, pair, trip } from './codec-fixture.js';

const FLOATS = 200_000;

/** A safetensors file of one array. */
function checkpoint(values: Float32Array): Buffer {
  const bytes = Buffer.from(values.buffer);
  const head = { weight: { dtype: 'F32', shape: [values.length], data_offsets: [0, bytes.length] } };
  const text = Buffer.from(JSON.stringify(head).padEnd(128));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, bytes]);
}

const before = Float32Array.from({ length: FLOATS }, (_, i) => Math.sin(i * 0.37) * (1 + (i % 11)));
/** A step that moves the first `count` floats a little. */
const stepped = (count: number): Float32Array =>
  before.map((value, i) => (i < count ? value + Math.cos(i * 1.7) * 1e-4 : value));

describe('states of floats', () => {
  const tried: string[] = [];
  let both: Pair;

  function start(): void {
    const real = loadEngine();
    const verbs = ['sparseDiff', 'alignDiff', 'tensorDiff'];
    const nativeEngine = new Proxy(real, {
      get: (engine, name: keyof typeof real) => {
        if (verbs.includes(name)) tried.push(name);
        return engine[name];
      },
    });
    both = pair({ nativeEngine, level: 3, minCompressionRatio: 1 });
    tried.length = 0;
  }

  afterEach(async () => {
    await both.encoder.close();
    await both.decoder.close();
  });

  it('that have all changed are coded as such, and nothing else is tried', async () => {
    start();
    await trip(both, 'model', checkpoint(before));
    const { message, same } = await trip(both, 'model', checkpoint(stepped(FLOATS)));
    expect([same, message.kind, message.engines]).toEqual([true, 'delta', ['tensor']]);
    expect(message.messageBytes).toBeLessThan(0.8 * 4 * FLOATS);
    expect(tried).toEqual(['tensorDiff']);
  });

  it('of which few have changed are coded by their places', async () => {
    start();
    await trip(both, 'model', checkpoint(before));
    const { message, same } = await trip(both, 'model', checkpoint(stepped(500)));
    expect([same, message.kind, message.engines]).toEqual([true, 'delta', ['sparse']]);
    expect(message.messageBytes).toBeLessThan(5000);
  });
});
