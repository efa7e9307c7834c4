/** Restarts of encoders, and what decoders keep for how long. */
import { describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { pair, TestClock, trip } from './codec-fixture.js';

const MINUTE = 60_000;
const state = patternBytes(50_000, 3);

describe('an encoder that restarts', () => {
  it.each([1, 2])('under ids below those that the decoder holds goes on (%i baselines per key)', async (perKey) => {
    const both = pair({ deltasMax: 1 }, { baselinesPerKey: perKey });
    for (let i = 0; i < 4; i += 1) await trip(both, 'k', editedBytes(state, i));
    const clock = new TestClock();
    clock.wall = both.clock.wall - MINUTE;
    const again = { ...both, encoder: new StateEncoder({ clock, deltasMax: 2 }) };
    for (let life = 0; life < 3; life += 1) {
      for (const kind of ['full', 'delta', 'delta']) {
        const { message, same } = await trip(again, 'k', editedBytes(state, 10 + life));
        expect([message.kind, same]).toEqual([kind, true]);
      }
    }
    await Promise.all([both.encoder.close(), again.encoder.close(), both.decoder.close()]);
  });
});

describe('a decoder', () => {
  it.each([1, 2, 3])('keeps the newest baselines of a key: %i', async (baselinesPerKey) => {
    const { encoder, decoder } = pair({ deltasMax: 1 }, { baselinesPerKey });
    const deltas = [];
    for (let i = 0; i < 4; i += 1) {
      await decoder.decode((await encoder.encode('k', editedBytes(state, 2 * i))).parts);
      deltas.push(await encoder.encode('k', editedBytes(state, 2 * i + 1)));
    }
    expect(deltas.map(({ kind }) => kind).join()).toBe('delta,delta,delta,delta');
    expect(decoder.metrics().baselineCount).toBe(baselinesPerKey);
    const taken = await Promise.all(
      deltas.map(({ parts }) =>
        decoder.decode(parts).then(
          () => 'yes',
          ({ code }: { code: string }) => code,
        ),
      ),
    );
    const lost = 4 - baselinesPerKey;
    expect(taken).toEqual([...Array(lost).fill('DK_BASELINE_MISMATCH'), ...Array(baselinesPerKey).fill('yes')]);
  });

  it('drops what was not used for pruneIntervalMs of its own clock, and nothing else', async () => {
    const both = pair(
      { baselineIntervalMs: 600 * MINUTE, baselineAgeMaxMs: 600 * MINUTE, deltasMax: 1000 },
      {
        pruneIntervalMs: 10 * MINUTE,
      },
    );
    const encoder = new StateEncoder({ deltasMax: 1000 });
    const send = async (key: string): Promise<string> => {
      const { parts } = await encoder.encode(key, editedBytes(state, 1));
      return both.decoder.decode(parts).then(
        ({ kind }) => kind,
        ({ code }: { code: string }) => code,
      );
    };
    expect([await send('used'), await send('idle')]).toEqual(['full', 'full']);
    both.clock.pass(6 * MINUTE);
    expect(await send('used')).toBe('delta');
    both.clock.pass(4 * MINUTE - 1);
    expect(both.decoder.prune()).toBe(0);
    both.clock.pass(1);
    expect(both.decoder.prune()).toBe(1);
    expect(both.decoder.metrics()).toMatchObject({ baselineCount: 1, baselinesPruned: 1 });
    expect([await send('used'), await send('idle')]).toEqual(['delta', 'DK_BASELINE_MISSING']);
    await encoder.close();
  });

  it('prunes by itself', async () => {
    const decoder = new StateDecoder({ pruneIntervalMs: 20 });
    await decoder.decode((await new StateEncoder().encode('k', state)).parts);
    for (let i = 0; i < 500 && decoder.metrics().baselineCount > 0; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(decoder.metrics()).toMatchObject({ baselineCount: 0, baselinesPruned: 1 });
    await decoder.close();
  });
});

describe('the log', () => {
  it('tells of states too large to be kept and of evictions', async () => {
    const lines: [string, object, string][] = [];
    const line = (level: string) => (facts: object, message: string) => void lines.push([level, facts, message]);
    const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
    const both = pair({ logger, memoryBytesMax: 60_000 }, { logger, memoryBytesMax: 60_000 });
    await trip(both, 'large', patternBytes(70_000, 1));
    const tooLarge = ['warn', expect.objectContaining({ key: 'large' }), expect.stringContaining('too large')];
    expect(lines).toEqual([tooLarge, tooLarge]);
    lines.length = 0;
    await trip(both, 'a', state);
    expect(lines).toEqual([]);
    await trip(both, 'b', state);
    const evicted = ['debug', { key: 'b', count: 1 }, expect.stringContaining('evicted')];
    expect(lines).toEqual([evicted, evicted]);
  });
});
