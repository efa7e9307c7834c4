/** What encoders count, through prom-client: the numbers of `metrics()`, one label per encoder, documented names. */
import { readFile } from 'node:fs/promises';
import { Registry, register } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { registerStateDecoderMetrics, registerStateMetrics, StateDecoder, StateEncoder } from '../../src/index.js';

let encoders: StateEncoder[] = [];
afterEach(async () => {
  for (const encoder of encoders) await encoder.close();
  encoders = [];
});

/** An encoder that has made a baseline and two deltas. */
async function usedEncoder(): Promise<StateEncoder> {
  const encoder = new StateEncoder();
  encoders.push(encoder);
  const state = Buffer.alloc(300_000, 'a page of state');
  for (let change = 0; change < 3; change += 1) {
    state[change * 1000] = 1;
    await encoder.encode('vm-1-memory', state);
  }
  return encoder;
}

/** Value of a sample; undefined when it is not there. */
function sample(text: string, name: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe('registerStateMetrics', () => {
  it('exports what the encoder counts, as it is when somebody asks', async () => {
    const registry = new Registry();
    const encoder = await usedEncoder();
    await registerStateMetrics(encoder, { registry, name: 'vm' });
    const text = await registry.metrics();
    const metrics = encoder.metrics();
    const of = (name: string): number | undefined => sample(text, `diffkeeper_state_${name}{encoder="vm"}`);
    expect(of('operations_total')).toBe(3);
    expect(of('delta_hits_total')).toBe(2);
    expect(of('delta_hit_rate')).toBeCloseTo(2 / 3);
    expect(of('original_bytes_total')).toBe(900_000);
    expect(of('encoded_bytes_total')).toBe(metrics.bytesEncoded);
    expect(of('compression_ratio')).toBeCloseTo(metrics.compressionRatio, 3);
    expect(of('baselines')).toBe(1);
    expect([of('level'), metrics.level > 0]).toEqual([metrics.level, true]);
    expect(of('baseline_memory_bytes')).toBe(metrics.baselineMemoryBytes);
    const [engine = '', segments] = Object.entries(metrics.engines)[0] ?? [];
    expect(sample(text, `diffkeeper_state_segments_total{encoder="vm",engine="${engine}"}`)).toBe(segments);
    await encoder.encode('vm-1-memory', Buffer.alloc(10));
    expect(sample(await registry.metrics(), 'diffkeeper_state_operations_total{encoder="vm"}')).toBe(4);
  });

  it('keeps several encoders of one registry apart, and lets them go', async () => {
    const registry = new Registry();
    const [one, other] = [await usedEncoder(), new StateEncoder()];
    encoders.push(other);
    const first = await registerStateMetrics(one, { registry, name: 'one' });
    const second = await registerStateMetrics(other, { registry, name: 'other' });
    await expect(registerStateMetrics(other, { registry, name: 'one' })).rejects.toThrow(RangeError);
    const text = await registry.metrics();
    expect(sample(text, 'diffkeeper_state_operations_total{encoder="one"}')).toBe(3);
    expect(sample(text, 'diffkeeper_state_operations_total{encoder="other"}')).toBe(0);
    first.unregister();
    first.unregister();
    expect(await registry.metrics()).not.toContain('encoder="one"');
    second.unregister();
    expect((await registry.metrics()).trim()).toBe('');
    (await registerStateMetrics(one, { registry })).unregister();
  });

  it('takes the default registry of prom-client when none is named, and refuses what is no encoder', async () => {
    const registered = await registerStateMetrics(await usedEncoder());
    expect(await register.metrics()).toContain('diffkeeper_state_operations_total{encoder="default"} 3');
    registered.unregister();
    await expect(registerStateMetrics({} as StateEncoder)).rejects.toThrow(TypeError);
  });

  it('docs/api.md names every metric', async () => {
    const registry = new Registry();
    await registerStateMetrics(await usedEncoder(), { registry });
    const decoder = new StateDecoder();
    await registerStateDecoderMetrics(decoder, { registry });
    await decoder.close();
    const names = [...(await registry.metrics()).matchAll(/^# TYPE diffkeeper_state_(?:decoder_)?(\w+)/gm)].map(
      ([, name]) => name,
    );
    expect(names.length).toBe(22 + 12);
    const text = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('registerStateDecoderMetrics', () => {
  it('exports what a decoder counts, beside encoders of the same registry', async () => {
    const registry = new Registry();
    const encoder = new StateEncoder();
    encoders.push(encoder);
    const decoder = new StateDecoder();
    const state = Buffer.alloc(300_000, 'a page of state');
    let sent = 0;
    for (let change = 0; change < 3; change += 1) {
      state[change * 1000] = 1;
      const message = await encoder.encode('vm-1-memory', state);
      sent += message.messageBytes;
      if (change === 1) for await (const _segment of decoder.decodeStream(message.parts));
      else await decoder.decode(message.parts);
    }
    await encoder.encode('vm-2-memory', state);
    state[7] = 0;
    const delta = await encoder.encode('vm-2-memory', state);
    expect(delta.kind).toBe('delta');
    await expect(decoder.decode(delta.parts)).rejects.toMatchObject({ code: 'DK_BASELINE_MISSING' });
    await expect(decoder.decodeStream(Buffer.from('garbage')).next()).rejects.toMatchObject({
      name: 'DiffKeeperError',
    });
    const registered = await registerStateDecoderMetrics(decoder, { registry, name: 'vm' });
    await registerStateMetrics(encoder, { registry, name: 'vm' });
    const text = await registry.metrics();
    const of = (name: string): number | undefined => sample(text, `diffkeeper_state_decoder_${name}{decoder="vm"}`);
    expect(decoder.metrics()).toMatchObject({ operations: 3, deltas: 2, failures: 2, lacking: 1, bytesEncoded: sent });
    expect([of('operations_total'), of('deltas_total'), of('failures_total'), of('lacking_total')]).toEqual([
      3, 2, 2, 1,
    ]);
    expect([of('decoded_bytes_total'), of('encoded_bytes_total'), of('baselines')]).toEqual([900_000, sent, 1]);
    expect(of('decode_seconds_total')).toBeCloseTo(decoder.metrics().decodeMs / 1000, 6);
    expect(decoder.metrics().decodeMs).toBeGreaterThan(0);
    await expect(registerStateDecoderMetrics(decoder, { registry, name: 'vm' })).rejects.toThrow(RangeError);
    registered.unregister();
    expect(await registry.metrics()).not.toContain('diffkeeper_state_decoder_');
    await expect(registerStateDecoderMetrics({} as StateDecoder)).rejects.toThrow(TypeError);
    await decoder.close();
  });
});
