/** Baselines that nobody needs any more leave the store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BaselineStore, StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import { KeyUses } from '../../src/baseline/key-uses.js';
import { openBaselineStore } from '../../src/baseline-store/baseline-store.js';
import { openStore, prune, type Store } from '../../src/store/store.js';
import { TestClock } from '../baseline/codec-fixture.js';
import { editedBytes, patternBytes } from '../engine/samples.js';

const MINUTE = 60_000;
const state = patternBytes(200_000, 1);
let directory: string;
let store: Store;
let baselines: BaselineStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dk-stale-'));
  store = await openStore(join(directory, 'store'), { create: true });
  baselines = openBaselineStore(store);
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

async function kept(...keys: string[]): Promise<string> {
  const there = await Promise.all(keys.map(async (key) => ((await baselines.load(key)) ? key : '')));
  return there.join('');
}

describe('stale baselines of an encoder', () => {
  it('leave the store when no state may be coded against them, and their space comes back', async () => {
    const clock = new TestClock();
    let encoder = new StateEncoder({ store: baselines, clock });
    // More than a pack: the one that is being written is not rewritten.
    await encoder.encode('a', patternBytes(65 << 20, 5));
    await encoder.encode('b', patternBytes(200_000, 6));
    clock.pass(10 * MINUTE);
    await encoder.encode('c', state);
    // In a new life nothing is in memory: the store alone knows.
    await encoder.close();
    encoder = new StateEncoder({ store: baselines, clock });
    clock.pass(5 * MINUTE);
    expect(encoder.prune()).toBe(0);
    await encoder.close();
    expect(await kept('a', 'b', 'c')).toBe('abc');
    encoder = new StateEncoder({ store: baselines, clock });
    clock.pass(1);
    encoder.prune();
    await encoder.close();
    expect(await kept('a', 'b', 'c')).toBe('c');
    const { bytesBefore, bytesAfter } = await prune(store, { keepLast: 1 });
    expect([bytesBefore > 64 << 20, bytesAfter < 2 << 20]).toEqual([true, true]);
    expect((await baselines.load('c').then((one) => one?.read(0, 10)))?.equals(state.subarray(0, 10))).toBe(true);
  });

  it('stay when they may be of any age, and when it is not known how old they are', async () => {
    const clock = new TestClock();
    const encoder = new StateEncoder({ store: baselines, clock, baselineAgeMaxMs: Number.POSITIVE_INFINITY });
    await encoder.encode('a', state);
    clock.pass(1000 * MINUTE);
    encoder.prune();
    await encoder.close();
    const writer = await baselines.begin('old');
    await writer.write(state);
    await writer.commit({ id: 1, digest: Buffer.alloc(32), segmentBytes: 1 << 26, madeMs: 0 });
    await baselines.removeStale?.({ beforeMs: clock.wall - 1001 * MINUTE, except: [] });
    expect(await kept('a', 'old')).toBe('aold');
    expect(await baselines.removeStale?.({ beforeMs: clock.wall, except: ['a'] })).toBe(0);
    expect(await baselines.removeStale?.({ beforeMs: clock.wall, except: ['b'] })).toBe(1);
    expect(await kept('a', 'old')).toBe('old');
  });

  it('that cannot be removed disturb nobody', async () => {
    const said: string[] = [];
    const say = (_facts: object, message: string): void => void said.push(message);
    const clock = new TestClock();
    const stuck = { ...baselines, removeStale: () => Promise.reject(new Error('busy')) };
    const logger = { debug: say, info: say, warn: say, error: say };
    const encoder = new StateEncoder({ store: stuck, clock, logger });
    clock.pass(20 * MINUTE);
    encoder.prune();
    expect((await encoder.encode('k', state)).kind).toBe('full');
    await encoder.close();
    expect(said).toEqual([expect.stringContaining('cannot be removed')]);
  });
});

describe('stale baselines of a decoder', () => {
  it('leave the store when they were not used for the interval while it ran', async () => {
    const clock = new TestClock();
    const encoder = new StateEncoder({ deltasMax: 100 });
    let decoder = new StateDecoder({ store: baselines, clock, memoryBytesMax: 2000 });
    const send = async (key: string): Promise<string> => {
      const { parts } = await encoder.encode(key, editedBytes(state, 1));
      return (await decoder.decode(parts)).kind;
    };
    for (const key of ['used', 'idle']) expect(await send(key)).toBe('full');
    clock.pass(40 * MINUTE);
    await decoder.close();
    decoder = new StateDecoder({ store: baselines, clock, memoryBytesMax: 2000 });
    decoder.prune();
    clock.pass(20 * MINUTE);
    expect(await send('used')).toBe('delta');
    clock.pass(10 * MINUTE - 1);
    decoder.prune();
    await decoder.close();
    expect(await kept('used', 'idle')).toBe('usedidle');

    decoder = new StateDecoder({ store: baselines, clock, memoryBytesMax: 2000 });
    clock.pass(20 * MINUTE);
    expect(await send('used')).toBe('delta');
    clock.pass(10 * MINUTE);
    decoder.prune();
    await decoder.close();
    expect(await kept('used', 'idle')).toBe('used');
    await encoder.close();
  });

  it('are not guessed where more keys were used than are remembered', () => {
    const uses = new KeyUses(0, 10);
    uses.used('first', 5);
    expect(uses.recent(9)).toBeUndefined();
    expect(uses.recent(10)).toEqual(['first']);
    expect(uses.recent(15)).toEqual([]);
    for (let i = 0; i <= 65_536; i += 1) uses.used(`k${i}`, 20);
    expect(uses.recent(29)).toBeUndefined();
    expect(uses.recent(30)).toEqual([]);
  });
});
