/** `docs/format-state.md` is precise enough: a reader written from it and the texts it names alone finds what encoders made. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { EncodedState, StateEncoderOptions } from '../../src/baseline/baseline.js';
import { editedBytes, patternBytes, textBytes } from '../engine/samples.js';
import { pair, statesOfEverySize, TestClock } from './codec-fixture.js';
import { bytes, changed, deltaOf, fullOf, PAIRS, SINGLES, WRITTEN } from './frozen-messages.js';
import { SecondReader, type SecondState } from './second-state-reader.js';

let reader: SecondReader;
beforeAll(async () => {
  reader = await SecondReader.open();
});

const ENGINES = ['raw', 'zstd', 'zstd-prefix', 'xor', 'align', 'tensor', 'sparse', 'pages', 'zstd-twice', 'repeat'];
const SEGMENT = 1 << 16;

/** What the second reader found must be what the encoder was given and says of it. */
function expectFound(found: SecondState, message: EncodedState, state: Buffer): void {
  expect(found.bytes.equals(state)).toBe(true);
  expect(new Set(found.engines.map((number) => ENGINES[number]))).toEqual(new Set(message.engines));
  expect(found).toMatchObject({
    key: message.key,
    keyClass: message.keyClass,
    plain: message.kind === 'plain',
    timeMs: message.timestampMs,
    baselineId: message.baselineId,
    sourceId: message.sourceId,
    digest: message.targetDigest,
  });
  expect(found.dictionaries[0] ?? 0).toBe(message.dictionaryId);
}

interface Life {
  readonly engines: ReadonlySet<string>;
  readonly versions: ReadonlySet<number>;
}

async function follow(options: StateEncoderOptions, states: readonly Buffer[], key = 'vm-1-disk'): Promise<Life> {
  const clock = new TestClock();
  const { encoder, decoder } = pair({ clock, ...options });
  const second = await SecondReader.open();
  const engines = new Set<string>();
  const versions = new Set<number>();
  for (const state of states) {
    const message = await encoder.encode(key, state);
    const found = await second.read(message.toBuffer());
    expectFound(found, message, state);
    for (const one of message.engines) engines.add(one);
    versions.add(found.version);
    clock.pass(700);
  }
  await Promise.all([encoder.close(), decoder.close()]);
  return { engines, versions };
}

/** Numbers of a training step: floats that all moved a little. */
function floats(step: number, count = 40_000): Buffer {
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.37) * (1 + (i % 11)) + step * 1e-5 * i);
  return Buffer.from(values.buffer);
}

describe('the second reader', () => {
  it.each(Object.entries({ ...PAIRS, ...Object.fromEntries(Object.entries(WRITTEN).map(([n, [, p]]) => [n, p])) }))(
    'reads the frozen messages of %s',
    async (name, frozen) => {
      const full = await reader.read(fullOf(frozen));
      const delta = await reader.read(deltaOf(frozen));
      expect([full.bytes.equals(bytes), delta.bytes.equals(changed)]).toEqual([true, true]);
      expect([full.key, full.keyClass, full.timeMs]).toEqual(['vm-1', 'vm', 1_700_000_000_000]);
      expect([full.baselineId, delta.sourceId]).toEqual([1_700_000_001, 1_700_000_001]);
      expect(`version ${full.version}`).toBe(name.slice(0, 9));
    },
  );

  it.each(SINGLES)('reads a frozen message of one state: %s', async (name, state, hex) => {
    const found = await reader.read(Buffer.from(hex, 'hex'));
    expect([found.bytes.equals(state), found.engines.map((one) => ENGINES[one])]).toEqual([true, [name]]);
  });

  const long = patternBytes(3 * SEGMENT + 5, 1);
  const sizes = [...statesOfEverySize(SEGMENT), editedBytes(textBytes(200_000, 3), 4)];
  const modes: [string, StateEncoderOptions][] = [
    ['default', {}],
    ['previous', { reference: 'previous' }],
    ['small segments', { segmentBytes: SEGMENT }],
    ['small segments, previous', { segmentBytes: SEGMENT, reference: 'previous' }],
    ['blake3', { digest: 'blake3', segmentBytes: SEGMENT }],
    ['sha256', { digest: 'sha256', segmentBytes: SEGMENT }],
    ['disabled, small segments', { enabled: false, segmentBytes: SEGMENT }],
    ['page hashes', { keep: 'pages', segmentBytes: SEGMENT }],
    ...(['xor', 'sparse', 'zstd', 'align', 'tensor'] as const).flatMap((engine): [string, StateEncoderOptions][] => [
      [`${engine}, level 1`, { engine, level: 1 }],
      [`${engine}, level 19, small segments`, { engine, level: 19, segmentBytes: SEGMENT }],
    ]),
  ];
  it.each(modes)('reads states of every size: %s', async (_name, options) => {
    const { versions } = await follow({ deltasMax: 4, ...options }, sizes);
    const { segmentBytes, digest = 'xxh3' } = options;
    const parts = digest === 'xxh3' ? [2] : [1];
    expect([...versions].sort()).toEqual(segmentBytes === undefined ? [3] : [...parts, 3]);
  });

  const text = textBytes(150_000, 7);
  const scattered = (every: number, width: number): Buffer => {
    const state = Buffer.from(long);
    for (let at = 9; at + width < state.length; at += every) state.fill((at * 7) & 255, at, at + width);
    return state;
  };
  const grown = Buffer.concat([text.subarray(0, 70_000), patternBytes(901, 5), text.subarray(70_000)]);
  const inserted = Buffer.concat([patternBytes(333, 6), long.subarray(0, 90_000), long.subarray(91_000)]);
  const lives: [string, string, StateEncoderOptions, Buffer[]][] = [
    ['sparse', 'few bytes', { engine: 'sparse' }, [long, scattered(4001, 1), scattered(900, 3)]],
    ['sparse', 'many bytes', { engine: 'sparse' }, [long, scattered(40, 1), scattered(64, 9), scattered(8, 4)]],
    ['xor', 'runs', { engine: 'xor' }, [long, scattered(4001, 1), scattered(64, 9)]],
    ['align', 'an insertion into text', { engine: 'align' }, [text, grown, editedBytes(grown, 3)]],
    ['align', 'an insertion, level 19', { engine: 'align', level: 19 }, [long, inserted, editedBytes(inserted, 8)]],
    ['align', 'windows', { engine: 'align', level: 1 }, [numbered(0), numbered(5), numbered(900)]],
    ['zstd-prefix', 'a copy elsewhere', { engine: 'zstd' }, [long, inserted]],
    ['tensor', 'floats', { engine: 'tensor' }, [floats(0), floats(1), Buffer.concat([floats(2), Buffer.from('end')])]],
    ['tensor', 'floats, level 19', { engine: 'tensor', level: 19 }, [floats(0), floats(1), floats(3)]],
    ['pages', 'scattered', { keep: 'pages' }, [long, scattered(9001, 2), Buffer.concat([scattered(50_000, 1), text])]],
    ['repeat', 'one stretch', {}, [Buffer.alloc(300_000, 'state '), Buffer.alloc(70_001, text.subarray(0, 3000))]],
    ['zstd-twice', 'lines that come again', {}, [Buffer.alloc(3 << 20, textBytes(5000, 5))]],
    ['raw', 'noise', {}, [patternBytes(5000, 5)]],
  ];
  it.each(lives)('reads %s: %s', async (engine, _name, options, states) => {
    const small = { dictionaries: false, minCompressionRatio: 1, ...options } as const;
    expect([...(await follow(small, states)).engines]).toContain(engine);
  });

  it('reads dictionaries, and what needs them', async () => {
    const { encoder, decoder } = pair();
    const record = (i: number): Buffer => {
      const text = JSON.stringify({
        session: patternBytes(24, i).toString('hex'),
        user: `user-${i}`,
        roles: ['reader'],
      });
      return Buffer.from(`${text},"flags":{"beta":false,"mfa":true},"locale":"en-GB","issuer":"accounts"}`);
    };
    const states = Array.from({ length: 60 }, (_, i) => record(i));
    let used = 0;
    for (const [i, state] of states.entries()) {
      for (let wait = 0; i === 40 && wait < 500 && encoder.metrics().dictionariesTrained === 0; wait += 1) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const message = await encoder.encode(`session-${i}-data`, state);
      expectFound(await reader.read(message.toBuffer()), message, state);
      if (message.dictionaryId > 0) used += 1;
    }
    expect(used).toBeGreaterThan(1);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('refuses what was damaged anywhere', async () => {
    const { encoder, decoder } = pair({ segmentBytes: SEGMENT });
    for (const state of [Buffer.from('state '.repeat(4)), long.subarray(0, SEGMENT + 40)]) {
      const message = (await encoder.encode('k', state)).toBuffer();
      for (let at = 0; at < message.length; at += message.length > 1000 ? 977 : 1) {
        const damaged = Buffer.from(message);
        damaged.writeUInt8(damaged.readUInt8(at) ^ 4, at);
        await expect(reader.read(damaged)).rejects.toThrow();
      }
    }
    await Promise.all([encoder.close(), decoder.close()]);
  });
});

/** Records of 16 bytes whose counters all moved, so that copies differ in runs of bytes. */
function numbered(step: number): Buffer {
  const state = Buffer.alloc(160_000);
  for (let i = 0; i < 10_000; i += 1) {
    state.writeUInt32LE(i * 265_443 + ((i * i * 77) % 1_000_003), i * 16);
    state.writeUInt32LE(((i * 7_919) ^ (i << 9)) >>> 0, i * 16 + 4);
    state.writeUInt32LE(1_000_000 + i * 3 + (i % 3 === 0 ? step : 0), i * 16 + 8);
    state.writeUInt32LE((i * 48_271) % 65_537, i * 16 + 12);
  }
  return step === 0
    ? state
    : Buffer.concat([state.subarray(0, 50_000), patternBytes(21, step), state.subarray(50_000)]);
}
