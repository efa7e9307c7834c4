/** Frozen messages of each version: what must decode for ever, what is written for ever, and what must be refused for ever. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import { isDiffKeeperError } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { RUNS } from '../engine/samples.js';
import { TestClock } from './codec-fixture.js';
import { bytes, changed, deltaOf, fullOf, PAIRS, type Pair, SINGLES, WRITTEN } from './frozen-messages.js';

const engine = loadEngine();
const settings = { engine: 'sparse', dictionaries: false, segmentBytes: 65_536 } as const;

describe('frozen messages', () => {
  const all: [string, Pair][] = [
    ...Object.entries(PAIRS),
    ...Object.entries(WRITTEN).map(([name, [, pair]]): [string, Pair] => [name, pair]),
  ];
  it.each(all)('decode for ever: %s', async (_name, pair) => {
    const decoder = new StateDecoder();
    for (const way of ['whole', 'bytes'] as const) {
      for (const [message, expected] of [
        [fullOf(pair), bytes],
        [deltaOf(pair), changed],
      ] as const) {
        const parts = way === 'whole' ? message : Array.from(message, (byte) => Buffer.of(byte));
        const state = await decoder.decode(parts);
        expect([state.bytes.equals(expected), state.key, state.keyClass]).toEqual([true, 'vm-1', 'vm']);
        expect([state.timestampMs, state.messageBytes]).toEqual([1_700_000_000_000, message.length]);
        const id = state.kind === 'full' ? state.baselineId : state.sourceId;
        expect(id).toBe(1_700_000_001);
      }
    }
    await decoder.close();
  });

  it.each(Object.entries(WRITTEN))('are written alike for ever: %s', async (_name, [options, pair]) => {
    const clock = new TestClock();
    const encoder = new StateEncoder({ clock, ...settings, ...options });
    expect((await encoder.encode('vm-1', bytes)).toBuffer().toString('hex')).toBe(fullOf(pair).toString('hex'));
    expect((await encoder.encode('vm-1', changed)).toBuffer().toString('hex')).toBe(deltaOf(pair).toString('hex'));
    await encoder.close();
  });

  it.each(SINGLES)('of one state decode for ever: %s', async (name, state, hex) => {
    const decoder = new StateDecoder();
    const back = await decoder.decode(Buffer.from(hex, 'hex'));
    expect([back.engines, back.bytes.equals(state)]).toEqual([[name], true]);
    await decoder.close();
  });
});

const SHORT = (WRITTEN['version 3'] as (typeof WRITTEN)[string])[1];
const DIGEST_AND_CHECK = 24;

/** The message with other bytes and a right check. @param headBytes of all before the payload */
function spoiled(message: Buffer, headBytes: number, change: (spoilt: Buffer) => void): Buffer {
  const spoilt = Buffer.from(message);
  change(spoilt);
  let check = engine.xxh3(spoilt.subarray(0, headBytes), 0n);
  const tailAt = spoilt.length - DIGEST_AND_CHECK;
  if (tailAt > headBytes) check = engine.xxh3(spoilt.subarray(headBytes, tailAt), check);
  spoilt.writeBigUInt64LE(engine.xxh3(spoilt.subarray(tailAt, -8), check), spoilt.length - 8);
  return spoilt;
}

const decoder = new StateDecoder({ stateBytesMax: 1 << 20 });
afterAll(() => decoder.close());

/** What a decoder that has the baseline says. */
async function outcome(message: Buffer): Promise<string> {
  await decoder.decode(fullOf(SHORT));
  return decoder.decode(message).then(
    ({ bytes: made }) =>
      [bytes, changed, ...SINGLES.map(([, state]) => state)].some((one) => one.equals(made)) ? 'right' : 'WRONG',
    (error: unknown) => {
      if (isDiffKeeperError(error)) return error.code;
      throw error;
    },
  );
}

describe('messages of version 3 with a right check that must be refused', () => {
  const delta = deltaOf(SHORT);
  const head = 5 + 1 + 0x22;
  // Places: magic 0, version 4, length 5, flags 6, form 7, engine 8, key 9, time 14, id 20, digest 21, state 37, payload 39.
  const AT = { flags: 6, form: 7, engine: 8, keyLength: 9, id: 20, digest: 21, stateBytes: 37, payloadBytes: 39 };
  const put = (at: number, ...values: number[]) => [at, values] as const;
  it.each([
    ['as it is', 'right', put(AT.flags, 1)],
    ['an unknown flag', 'DK_CORRUPT_DELTA', put(AT.flags, 129)],
    ['a plain state with a source', 'DK_CORRUPT_DELTA', put(AT.flags, 9)],
    ['a range of no source', 'DK_CORRUPT_DELTA', put(AT.flags, 32)],
    ['the length of no source digest', 'DK_CORRUPT_DELTA', put(AT.flags, 64)],
    ['a source digest that is cut off', 'DK_CORRUPT_DELTA', put(AT.flags, 65)],
    ['a kind of digest of a newer release', 'DK_UNSUPPORTED', put(AT.form, 3)],
    ['a digest of another length', 'DK_CORRUPT_DELTA', put(AT.form, 0)],
    ['segments beyond 2^30 bytes', 'DK_CORRUPT_DELTA', put(AT.form, 62)],
    ['a bit of the form that means nothing', 'DK_CORRUPT_DELTA', put(AT.form, 130)],
    ['an engine of a newer release', 'DK_UNSUPPORTED', put(AT.engine, 10)],
    ['an engine that reads nothing', 'DK_CORRUPT_DELTA', put(AT.engine, 9)],
    ['a key longer than the head', 'DK_CORRUPT_DELTA', put(AT.keyLength, 90)],
    ['a key that is no UTF-8', 'DK_CORRUPT_DELTA', put(AT.keyLength + 1, 255)],
    ['another key', 'DK_BASELINE_MISSING', put(AT.keyLength + 1, 119)],
    ['another baseline', 'DK_BASELINE_MISMATCH', put(AT.digest, 0)],
    ['an id below zero', 'DK_CORRUPT_DELTA', put(AT.id - 6, 0, 0x80, 0x80, 0x80, 0x80, 0, 1)],
    ['a state longer than the segment', 'DK_CORRUPT_DELTA', put(AT.stateBytes, 0xff, 0xff, 0x7f)],
    ['a payload longer than the state', 'DK_CORRUPT_DELTA', put(AT.stateBytes, 0x84, 0)],
    ['a payload that is cut off', 'DK_CORRUPT_DELTA', put(AT.payloadBytes, 9)],
    ['a payload that is damaged', 'DK_CORRUPT_DELTA', put(head, 9)],
    ['a payload of another state', 'DK_DIGEST_MISMATCH', put(head + 7, 86)],
    ['another digest', 'DK_DIGEST_MISMATCH', put(head + 8, 0)],
  ])('%s: %s', async (_name, expected, [at, values]) => {
    expect(await outcome(spoiled(delta, head, (spoilt) => spoilt.set(values, at)))).toBe(expected);
  });

  const single = Buffer.from((SINGLES[0] as (typeof SINGLES)[number])[2], 'hex');
  const singleHead = 5 + 1 + 0x11;
  it.each([
    ['a dictionary without a number', 'DK_CORRUPT_DELTA', put(6, 18)],
    ['a period of no bytes', 'DK_CORRUPT_DELTA', put(singleHead, 0)],
    ['a period beyond the stretch', 'DK_CORRUPT_DELTA', put(singleHead, 14)],
    ['a stretch that is no frame', 'DK_CORRUPT_DELTA', put(singleHead, 13)],
    ['another stretch', 'DK_DIGEST_MISMATCH', put(singleHead + 1, 0)],
    ['a state shorter than the period', 'DK_CORRUPT_DELTA', put(20, 0x85, 0)],
  ])('repeat, %s: %s', async (_name, expected, [at, values]) => {
    expect(await outcome(spoiled(single, singleHead, (spoilt) => spoilt.set(values, at)))).toBe(expected);
  });

  it('whatever they say: nothing wrong ever comes out', async () => {
    const samples = [
      { message: delta, headBytes: head },
      { message: single, headBytes: singleHead },
    ];
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...samples),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (sample, changes) => {
          const { message, headBytes } = sample;
          const bad = spoiled(message, headBytes, (spoilt) => {
            for (const [at, value] of changes) spoilt[6 + (at % (spoilt.length - 14))] = value;
          });
          if (bad.equals(message)) return;
          const said = await outcome(bad);
          // Facts that no digest covers may be others: engine and range of what was made, time and ids.
          if (said !== 'right')
            expect(said).toMatch(
              /^DK_(CORRUPT_DELTA|UNSUPPORTED|LIMIT|DIGEST_MISMATCH|BASELINE_MISSING|BASELINE_MISMATCH|DICTIONARY_MISSING)$/,
            );
        },
      ),
      { ...RUNS, numRuns: 600 },
    );
  });
});
