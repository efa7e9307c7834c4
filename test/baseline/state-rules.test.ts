/** When baselines are made, refreshed, dropped, and what a decoder says that lacks one. */
import { describe, expect, it } from 'vitest';
import { classOfKey, StateDecoder } from '../../src/baseline/baseline.js';
import { editedBytes, patternBytes, textBytes } from '../engine/samples.js';
import { type Pair, pair, trip } from './codec-fixture.js';

const MINUTE = 60_000;
const state = patternBytes(50_000, 3);

async function kinds(both: Pair, count: number, between: () => void = () => {}): Promise<string> {
  let text = '';
  for (let i = 0; i < count; i += 1) {
    const { message, same } = await trip(both, 'vm-1', editedBytes(state, i));
    expect(same).toBe(true);
    text += message.kind === 'full' ? 'F' : 'd';
    between();
  }
  return text;
}

describe('baselines', () => {
  it('are refreshed after ten deltas', async () => {
    const both = pair();
    expect(await kinds(both, 24)).toBe('FddddddddddFddddddddddFd');
    expect(both.encoder.metrics()).toMatchObject({ baselineRefreshes: 2, deltaHits: 21, baselineCount: 1 });
  });

  it('are refreshed after five minutes', async () => {
    const both = pair();
    expect(await kinds(both, 8, () => both.clock.pass(2 * MINUTE))).toBe('FddFddFd');
  });

  it('are never older than fifteen minutes, whatever the interval', async () => {
    const both = pair({ baselineIntervalMs: 60 * MINUTE, deltasMax: 1000 });
    expect(await kinds(both, 8, () => both.clock.pass(5 * MINUTE))).toBe('FddFddFd');
  });

  it('do not mind a wall clock that jumps', async () => {
    const both = pair();
    expect(
      await kinds(both, 4, () => {
        both.clock.wall -= 100 * MINUTE;
      }),
    ).toBe('Fddd');
  });

  it('follow the rules in a chain of previous states, too', async () => {
    const both = pair({ reference: 'previous', deltasMax: 3 });
    expect(await kinds(both, 9)).toBe('FdddFdddF');
  });

  it('are pruned by last use, not by creation', async () => {
    const both = pair({ baselineIntervalMs: 60 * MINUTE, baselineAgeMaxMs: 60 * MINUTE, deltasMax: 1000 });
    await trip(both, 'used', state);
    await trip(both, 'idle', state);
    both.clock.pass(9 * MINUTE);
    await trip(both, 'used', state);
    both.clock.pass(2 * MINUTE);
    expect((await trip(both, 'used', state)).message.kind).toBe('delta');
    expect(both.encoder.metrics()).toMatchObject({ baselineCount: 1, baselinesPruned: 1 });
    expect((await trip(both, 'idle', state)).message.kind).toBe('full');
  });

  it('stay within the memory bound, the least recently used going first', async () => {
    const both = pair({ memoryBytesMax: 3 * 52_000 });
    for (const key of ['a', 'b', 'c']) await trip(both, key, state);
    await trip(both, 'a', state);
    await trip(both, 'd', state);
    const { baselineCount, baselineMemoryBytes, baselinesEvicted } = both.encoder.metrics();
    expect([baselineCount, baselinesEvicted, baselineMemoryBytes <= 3 * 52_000]).toEqual([3, 1, true]);
    expect((await trip(both, 'a', state)).message.kind).toBe('delta');
    expect((await trip(both, 'b', state)).message.kind).toBe('full');
  });

  it('are replaced when deltas stop paying, and serve again afterwards', async () => {
    const both = pair();
    const seen: string[] = [];
    for (const seed of [1, 2, 3]) {
      for (let i = 0; i < 2; i += 1) {
        const { message } = await trip(both, 'k', editedBytes(patternBytes(100_000, seed * 7919), i));
        seen.push(message.kind);
      }
    }
    expect(seen).toEqual(['full', 'delta', 'full', 'delta', 'full', 'delta']);
  });

  it('belong to the caller no more: changed input changes nothing', async () => {
    const both = pair();
    const mine = Buffer.from(state);
    await trip(both, 'k', mine);
    mine.fill(0);
    const { message, same } = await trip(both, 'k', editedBytes(state, 1));
    expect([same, message.kind]).toEqual([true, 'delta']);
  });
});

describe('a decoder that lacks a baseline', () => {
  const lacking = async (both: Pair, previous = false): Promise<void> => {
    const first = await both.encoder.encode('vm-1', state);
    const second = await both.encoder.encode('vm-1', editedBytes(state, 1));
    const missing = { code: 'DK_BASELINE_MISSING' };
    await expect(both.decoder.decode(second.toBuffer())).rejects.toMatchObject({
      ...missing,
      facts: { key: 'vm-1', baselineId: first.baselineId, expected: first.targetDigest },
    });
    const answer = await both.encoder.resync('vm-1');
    expect(answer?.kind).toBe('full');
    const { bytes } = await both.decoder.decode((answer as NonNullable<typeof answer>).toBuffer());
    // The delta again only where it was made against the answer: in a chain the answer is the newest state.
    expect(second.sourceId === answer?.baselineId).toBe(!previous);
    if (previous) expect(bytes.equals(editedBytes(state, 1))).toBe(true);
    else expect((await both.decoder.decode(second.toBuffer())).bytes.equals(editedBytes(state, 1))).toBe(true);
    expect((await trip(both, 'vm-1', editedBytes(state, 2))).same).toBe(true);
    expect(both.encoder.metrics().resyncs).toBe(1);
  };

  it('says so, and goes on after the answer', () => lacking(pair()));
  it('says so in a chain of previous states', () => lacking(pair({ reference: 'previous' }), true));

  it('says so when it restarted, and when the encoder did', async () => {
    const both = pair();
    await trip(both, 'k', state);
    const delta = await both.encoder.encode('k', editedBytes(state, 1));
    const fresh = new StateDecoder();
    await expect(fresh.decode(delta.parts)).rejects.toMatchObject({ code: 'DK_BASELINE_MISSING' });
    const other = pair();
    await other.encoder.encode('k', patternBytes(50_000, 8));
    const foreign = await other.encoder.encode('k', editedBytes(patternBytes(50_000, 8), 1));
    await expect(both.decoder.decode(foreign.parts)).rejects.toMatchObject({
      code: 'DK_BASELINE_MISMATCH',
      facts: { expected: foreign.sourceDigest, actual: delta.sourceDigest },
    });
    expect((await both.decoder.decode(delta.parts)).bytes.equals(editedBytes(state, 1))).toBe(true);
    await fresh.close();
  });

  it('takes deltas that a refresh overtook', async () => {
    const both = pair({ deltasMax: 1 });
    const messages = [];
    for (let i = 0; i < 4; i += 1) messages.push(await both.encoder.encode('k', editedBytes(state, i)));
    expect(messages.map(({ kind }) => kind).join()).toBe('full,delta,full,delta');
    for (const i of [2, 0, 1, 3]) {
      const { bytes } = await both.decoder.decode((messages[i] as (typeof messages)[0]).parts);
      expect(bytes.equals(editedBytes(state, i))).toBe(true);
    }
  });

  it('gets nothing when the baseline is gone, and a full state next', async () => {
    const both = pair();
    await both.encoder.encode('k', state);
    both.clock.pass(20 * MINUTE);
    both.encoder.prune();
    expect(await both.encoder.resync('k')).toBeUndefined();
    expect((await both.encoder.encode('k', state)).kind).toBe('full');
  });
});

describe('keys', () => {
  it('have classes', () => {
    const classes = ['vm-123-memory', 'vm-memory', 'world7-eu-chunk', '42', 'cache', '1-'].map(classOfKey);
    expect(classes).toEqual(['vm-memory', 'vm-memory', 'eu-chunk', 'unknown', 'cache', 'unknown']);
  });

  it('run side by side, each in the order of the calls: 100 keys from 10 workers', async () => {
    const both = pair({ deltasMax: 3, statesAtOnce: 8 });
    const bases = Array.from({ length: 100 }, (_, i) => textBytes(4000, i));
    const rounds = 4;
    const versions = new Map<string, number>();
    const seen = new Map<string, string[]>();
    const worker = async (worker: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        for (let i = 0; i < 100; i += 1) {
          const key = `vm-${(i + worker * 10) % 100}`;
          const version = (versions.get(key) ?? 0) + 1;
          versions.set(key, version);
          const bytes = Buffer.from(bases[(i + worker * 10) % 100] as Buffer);
          bytes.writeUInt32LE(version, 100);
          const message = await both.encoder.encode(key, bytes);
          const decoded = await both.decoder.decode(message.parts);
          expect(decoded.bytes.equals(bytes)).toBe(true);
          seen.set(key, [...(seen.get(key) ?? []), message.kind]);
        }
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, i) => worker(i)));
    expect(both.encoder.metrics()).toMatchObject({ operations: 4000, failures: 0, baselineCount: 100 });
    for (const kinds of seen.values()) {
      expect(kinds.join('')).toBe('fulldeltadeltadelta'.repeat(10));
    }
  });

  it('come in order even when a slow state is before a fast one', async () => {
    const { encoder } = pair({ statesAtOnce: 4 });
    async function* slow(): AsyncGenerator<Uint8Array> {
      await new Promise((resolve) => setTimeout(resolve, 30));
      yield state;
    }
    const done: string[] = [];
    await Promise.all([
      encoder.encode('k', slow()).then(({ kind }) => done.push(`slow ${kind}`)),
      encoder.encode('k', state).then(({ kind }) => done.push(`fast ${kind}`)),
      encoder.encode('other', Buffer.from('x')).then(() => done.push('other')),
    ]);
    expect(done).toEqual(['other', 'slow full', 'fast delta']);
  });

  it.each(['baseline', 'previous'] as const)(
    'are taken by a decoder in the order of the calls (%s)',
    async (reference) => {
      const { encoder, decoder } = pair({ reference });
      let target = patternBytes(4 << 20, 3);
      const states: Buffer[] = [];
      const messages: Buffer[] = [];
      for (let i = 0; i < 5; i += 1) {
        // By turns a few bytes, and half of them: short messages overtook long ones.
        target =
          i % 2 ? editedBytes(target, i) : Buffer.concat([patternBytes(2 << 20, 10 + i), target.subarray(2 << 20)]);
        states.push(target);
        messages.push((await encoder.encode('k', target)).toBuffer());
      }
      const made = await Promise.all(messages.map((message) => decoder.decode(message)));
      expect(made.map(({ bytes }, i) => bytes.equals(states[i] as Buffer))).toEqual(states.map(() => true));
    },
  );

  it('wait for nothing after a failure', async () => {
    const both = pair();
    await trip(both, 'k', state);
    await expect(both.encoder.encode('k', { file: '/nowhere/at/all' })).rejects.toMatchObject({ code: 'DK_IO' });
    expect((await trip(both, 'k', state)).message.kind).toBe('delta');
    expect(both.encoder.metrics().failures).toBe(1);
    await both.encoder.close();
    await expect(both.encoder.encode('k', state)).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
    await both.decoder.close();
  });
});
