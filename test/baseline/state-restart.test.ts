/** Restarts of encoders and decoders: ids that begin lower than before. */
import { describe, expect, it } from 'vitest';
import { StateEncoder } from '../../src/baseline/baseline.js';
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
