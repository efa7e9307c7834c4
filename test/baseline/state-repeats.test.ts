/** States that are one stretch again and again, and those that only look like it. */
import { describe, expect, it } from 'vitest';
import { decodeRepeated, encodeRepeated, PERIOD_BYTES_MAX } from '../../src/baseline/repeated-bytes.js';
import { loadEngine } from '../../src/engine/load.js';
import { createTwin } from '../../src/engine/twin.js';
import { patternBytes, textBytes } from '../engine/samples.js';
import { pair, trip } from './codec-fixture.js';

const engine = loadEngine();

/** By looking at every distance. */
function plainPeriod(bytes: Buffer): number | undefined {
  for (let period = 1; period <= PERIOD_BYTES_MAX && period * 8 <= bytes.length; period += 1) {
    if (bytes.subarray(period).equals(bytes.subarray(0, -period))) return period;
  }
  return undefined;
}

async function periodOf(bytes: Buffer): Promise<number | undefined> {
  const payload = await encodeRepeated(engine, bytes, 3);
  if (payload === undefined) return undefined;
  for (const one of [engine, createTwin()]) {
    const into = Buffer.alloc(bytes.length + 9, 1);
    const made = await decodeRepeated(one, payload, { targetBytes: bytes.length, into });
    expect(bytes.equals(made) && into.subarray(bytes.length).equals(Buffer.alloc(9, 1))).toBe(true);
    expect(bytes.equals(await decodeRepeated(one, payload, { targetBytes: bytes.length }))).toBe(true);
  }
  const first =
    (payload[0] as number) < 128 ? (payload[0] as number) : (payload.readUInt8(0) & 127) + 128 * payload.readUInt8(1);
  return first >> 1;
}

const changedAt = (bytes: Buffer, at: number): Buffer => {
  const other = Buffer.from(bytes);
  other[at] = (other[at] as number) ^ 1;
  return other;
};

describe('periods', () => {
  const stretches = {
    zeros: Buffer.alloc(1),
    text: textBytes(42, 1),
    noise: patternBytes(700, 2),
    page: textBytes(4096, 3),
  };
  it.each(Object.entries(stretches))('are found, whatever the length of the state: %s', async (_name, stretch) => {
    for (const length of [512, 4096, Math.max(512, 8 * stretch.length), 70_001, 400_000]) {
      const state = Buffer.alloc(length, stretch);
      expect(await periodOf(state)).toBe(plainPeriod(state));
    }
  });

  it('are not those of a beginning, an end, or most of the state', async () => {
    const state = Buffer.alloc(400_000, textBytes(42, 1));
    for (const at of [0, 50, 9000, 200_000, 399_999]) expect(await periodOf(changedAt(state, at))).toBeUndefined();
    expect(await periodOf(Buffer.concat([Buffer.alloc(8192), state]))).toBeUndefined();
    expect(await periodOf(Buffer.alloc(40_000, textBytes(5000, 1)))).toBeUndefined();
    expect(await periodOf(Buffer.alloc(400, 'ab'))).toBeUndefined();
    const lone = Buffer.alloc(20_000);
    lone[10_000] = 1;
    expect(await periodOf(lone)).toBeUndefined();
  });

  it('of stretches of few letters', async () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const random = patternBytes(24, seed);
      const stretch = Buffer.from(random.subarray(0, 1 + (seed % 24)).map((byte) => byte & 1));
      const state = Buffer.alloc(600 + seed, stretch);
      expect(await periodOf(state)).toBe(plainPeriod(state));
      const spoilt = changedAt(state, (seed * 31) % state.length);
      expect(await periodOf(spoilt)).toBe(plainPeriod(spoilt));
    }
  });
});

describe('states', () => {
  it.each([
    ['zeros', Buffer.alloc(3 << 20), 2],
    ['a short stretch', Buffer.alloc(3 << 20, 'VM_MEMORY_PAGE_CONTENT_'), 24],
    ['pages of one text', Buffer.alloc(3 << 20, textBytes(4096, 5)), 4096],
  ])('%s: small messages, deltas behind them', async (_name, state, payloadMax) => {
    const both = pair({ dictionaries: false });
    const first = await trip(both, 'vm-1', state);
    expect([first.same, first.message.engines]).toEqual([true, ['repeat']]);
    expect(first.message.messageBytes).toBeLessThanOrEqual(payloadMax + 54);
    const next = await trip(both, 'vm-1', changedAt(state, 1 << 20));
    expect([next.same, next.message.kind]).toEqual([true, 'delta']);
    const into = Buffer.alloc(state.length + 1);
    const again = await both.decoder.decode(first.message.parts, { into });
    expect(again.bytes.buffer === into.buffer && again.bytes.equals(state)).toBe(true);
  });

  it('in segments, the last one short', async () => {
    const both = pair({ segmentBytes: 65_536 });
    const { same, message } = await trip(both, 'vm-1', Buffer.alloc(200_000, 'abc'));
    expect([same, message.engines]).toEqual([true, ['repeat']]);
  });
});

describe('payloads', () => {
  it.each([
    ['of nothing', [], 600],
    ['of no period', [0], 600],
    ['with a stretch that is too short', [6, 1, 2], 600],
    ['with one that is too long', [6, 1, 2, 3, 4], 600],
    ['beyond the longest period', [0x82, 0x40, 0], 9000],
    ['longer than the state', [6, 1, 2, 3], 2],
    ['with a frame that is none', [7, 1, 2, 3], 600],
  ])('%s are refused', async (_name, payload, targetBytes) => {
    for (const one of [engine, createTwin()]) {
      await expect(decodeRepeated(one, Buffer.from(payload), { targetBytes })).rejects.toMatchObject({
        code: 'DK_CORRUPT_DELTA',
      });
    }
  });
});
