/** The message format: what it carries, that damage never decodes, and messages made by hand. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { StateDecoder } from '../../src/baseline/baseline.js';
import { segmentDigest, stateDigest } from '../../src/baseline/state-digest.js';
import { MessageWriter, type StateHead } from '../../src/baseline/state-message.js';
import type { StateDigest } from '../../src/baseline/state-types.js';
import { isDiffKeeperError } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { editedBytes, patternBytes, RUNS, textBytes } from '../engine/samples.js';
import { HEAD, pair, SEGMENT } from './codec-fixture.js';

const engine = loadEngine();
const base = textBytes(3000, 1);
let full: Buffer;
let delta: Buffer;

beforeAll(async () => {
  const { encoder } = pair();
  full = (await encoder.encode('vm-1', base)).toBuffer();
  delta = (await encoder.encode('vm-1', editedBytes(base, 1))).toBuffer();
});

async function outcome(message: Uint8Array): Promise<string> {
  const decoder = new StateDecoder();
  try {
    await decoder.decode(full);
    const { bytes } = await decoder.decode(message);
    return bytes.equals(base) || bytes.equals(editedBytes(base, 1)) ? 'right' : 'WRONG';
  } catch (error) {
    if (!isDiffKeeperError(error)) throw error;
    return error.code;
  } finally {
    await decoder.close();
  }
}

const DAMAGE = ['DK_CORRUPT_DELTA', 'DK_UNSUPPORTED', 'DK_LIMIT'];

describe('damage', () => {
  it('any flipped byte is found', async () => {
    for (const message of [full, delta]) {
      for (let at = 0; at < message.length; at += 1) {
        const bad = Buffer.from(message);
        bad[at] = (bad[at] as number) ^ (1 << (at % 8));
        expect(DAMAGE).toContain(await outcome(bad));
      }
    }
  });

  it('any cut, and anything behind the end', async () => {
    for (let end = 0; end < delta.length; end += 1)
      expect(await outcome(delta.subarray(0, end))).toBe('DK_CORRUPT_DELTA');
    expect(await outcome(Buffer.concat([delta, Buffer.alloc(1)]))).toBe('DK_CORRUPT_DELTA');
    expect(await outcome(delta)).toBe('right');
  });

  it('in a stream: no byte of a wrong segment comes out', async () => {
    const { encoder } = pair({ segmentBytes: 1 << 16 });
    const state = patternBytes(300_000, 1);
    const message = (await encoder.encode('k', state)).toBuffer();
    for (let at = 200; at < message.length; at += 9973) {
      const bad = Buffer.from(message);
      bad[at] = (bad[at] as number) ^ 4;
      const decoder = new StateDecoder();
      let bytes = 0;
      const read = async (): Promise<void> => {
        for await (const segment of decoder.decodeStream(bad)) {
          expect(state.subarray(bytes, bytes + segment.length).equals(segment)).toBe(true);
          bytes += segment.length;
        }
      };
      await expect(read()).rejects.toMatchObject({ name: 'DiffKeeperError' });
      expect(decoder.metrics().baselineCount).toBe(0);
      await decoder.close();
    }
  });

  it('bytes of any kind are refused, never taken', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 3 }), async (bytes, version) => {
        const message = Buffer.concat([Buffer.from('DKS1'), Buffer.of(version), bytes]);
        expect(DAMAGE).toContain(await outcome(message));
      }),
      { ...RUNS, numRuns: 300 },
    );
  });
});

/** A message with a right check, whatever it says. */
async function byHand(head: Partial<StateHead>, segment: object = {}, end: object = {}, times = 1): Promise<Buffer> {
  const writer = new MessageWriter(engine, { ...HEAD, ...head });
  const payload = Buffer.from('0123456789');
  const digest = stateDigest(engine, 'blake3', [engine.digest('blake3', payload)]);
  const parts = await writer.head();
  for (let i = 0; i < times; i += 1) parts.push(...(await writer.segment({ ...SEGMENT, payload, ...segment })));
  parts.push(...writer.end({ stateBytes: 10, digest, ...end }));
  return Buffer.concat(parts);
}

describe('messages made by hand', () => {
  const decodeOf = async (message: Buffer): Promise<string> => {
    const decoder = new StateDecoder({ stateBytesMax: 1 << 20 });
    const outcome = await decoder.decode(message).then(
      ({ bytes }) => bytes.toString(),
      (error: { code?: string }) => error.code ?? String(error),
    );
    await decoder.close();
    return outcome;
  };

  const source = { id: 1, digest: Buffer.alloc(32) };
  const cases: [string, string, () => Promise<Buffer>][] = [
    ['the plain case', '0123456789', () => byHand({})],
    ['an engine of a newer release', 'DK_UNSUPPORTED', () => byHand({}, { engine: 200 })],
    ['a segment shorter than its state', 'DK_CORRUPT_DELTA', () => byHand({ stateBytes: 11 })],
    ['an end that says another length', 'DK_CORRUPT_DELTA', () => byHand({}, {}, { stateBytes: 9 })],
    ['another digest', 'DK_DIGEST_MISMATCH', () => byHand({}, {}, { digest: Buffer.alloc(32) })],
    ['no segment', 'DK_CORRUPT_DELTA', () => byHand({}, {}, {}, 0)],
    ['two segments where one is right', 'DK_CORRUPT_DELTA', () => byHand({}, {}, {}, 2)],
    ['a target that the payload does not make', 'DK_CORRUPT_DELTA', () => byHand({}, { targetBytes: 12 })],
    ['a target above the limit of segments', 'DK_CORRUPT_DELTA', () => byHand({}, { targetBytes: 1 << 17 })],
    [
      'a state above what the reader allows',
      'DK_LIMIT',
      () => byHand({ stateBytes: 1 << 21, digests: true }, { digest: Buffer.alloc(32) }),
    ],
    ['a dictionary that nobody sent', 'DK_DICTIONARY_MISSING', () => byHand({}, { engine: 1, dictionaryId: 7 })],
    ['a delta without its baseline', 'DK_BASELINE_MISSING', () => byHand({ source, baselineId: undefined })],
    ['a plain state with a baseline', 'DK_CORRUPT_DELTA', () => byHand({ plain: true })],
    ['several segments without digests', 'DK_CORRUPT_DELTA', () => byHand({ stateBytes: 1 << 17 })],
    ['a source without need', 'DK_CORRUPT_DELTA', () => byHand({}, { engine: 4 })],
  ];
  it.each(cases)('%s: %s', async (_name, expected, make) => {
    expect(await decodeOf(await make())).toBe(expected);
  });
});

/** Writer of a message that does not say how long its state is, and the chunks that were taken of it. */
function chunked(parts: AsyncIterable<Buffer>): {
  readonly chunks: AsyncIterable<Buffer>;
  readonly taken: () => number;
} {
  let taken = 0;
  async function* all(): AsyncGenerator<Buffer> {
    for await (const part of parts) {
      taken += part.length;
      yield part;
    }
  }
  return { chunks: all(), taken: () => taken };
}

describe('messages of several segments whose head promises another length', () => {
  const FULL = 1 << 16;
  /** Segments of these lengths behind a head that promises so many bytes; everything else is right. */
  async function promising(promised: number, kind: StateDigest, lengths: readonly number[]): Promise<Buffer> {
    const head = { ...HEAD, digestKind: kind, segmentBytes: FULL, stateBytes: promised, digests: true };
    const writer = new MessageWriter(engine, head);
    const parts = await writer.head();
    const digests: Buffer[] = [];
    for (const [index, length] of lengths.entries()) {
      const payload = Buffer.alloc(length, index + 1);
      const { digest } = await segmentDigest(engine, kind, payload, false);
      digests.push(digest);
      parts.push(...(await writer.segment({ ...SEGMENT, targetBytes: length, digest, payload })));
    }
    const stateBytes = lengths.reduce((sum, one) => sum + one, 0);
    parts.push(...writer.end({ stateBytes, digest: stateDigest(engine, kind, digests) }));
    return Buffer.concat(parts);
  }

  it.each([
    ['what they make', [FULL, FULL, 9], 2 * FULL + 9, 3],
    ['fewer bytes than one more segment makes', [FULL, FULL, FULL], FULL + 1, 1],
    ['an end inside the last segment', [FULL, FULL], 2 * FULL - 1, 1],
    ['a segment more', [FULL, FULL], 2 * FULL + 7, 2],
    ['a longer last segment', [FULL, 7], FULL + 8, 1],
    ['an empty segment behind others', [FULL, FULL, 0], 2 * FULL, 2],
  ])('%s', async (_name, lengths, promised, givenOut) => {
    const right = givenOut === lengths.length && promised === lengths.reduce((sum, one) => sum + one, 0);
    for (const kind of ['blake3', 'xxh3'] as const) {
      const message = await promising(promised, kind, lengths);
      const decoder = new StateDecoder();
      let given = 0;
      const read = async (): Promise<void> => {
        for await (const _segment of decoder.decodeStream(message)) given += 1;
      };
      const refused = { code: 'DK_CORRUPT_DELTA', message: expect.not.stringMatching(/(\d+) bytes, not \1$/) };
      if (right) await read();
      else await expect(read()).rejects.toMatchObject(refused);
      expect(given).toBe(givenOut);
      if (right) expect((await decoder.decode(message)).bytes.length).toBe(promised);
      else await expect(decoder.decode(message)).rejects.toMatchObject(refused);
      expect(decoder.metrics().baselineCount).toBe(right ? 1 : 0);
      await decoder.close();
    }
  });
});

describe('messages that arrive in chunks', () => {
  const unknown = { stateBytes: undefined, digests: true };
  const digest = engine.digest('blake3', Buffer.alloc(1 << 16));
  const segment = { ...SEGMENT, targetBytes: 1 << 16, digest, payload: Buffer.alloc(1 << 16) };

  async function* endless(): AsyncGenerator<Buffer> {
    const writer = new MessageWriter(engine, { ...HEAD, ...unknown });
    yield* await writer.head();
    for (let i = 0; i < 400; i += 1) yield* await writer.segment(segment);
  }

  async function* dictionaries(): AsyncGenerator<Buffer> {
    const writer = new MessageWriter(engine, { ...HEAD, ...unknown });
    yield* await writer.head();
    for (let i = 1; i < 400; i += 1) yield* await writer.dictionary(i, Buffer.alloc(1 << 16, i));
  }

  async function* oneLong(): AsyncGenerator<Buffer> {
    const writer = new MessageWriter(engine, { ...HEAD, ...unknown, segmentBytes: 1 << 24 });
    yield* await writer.head();
    const [header, payload] = await writer.segment({
      ...segment,
      targetBytes: 1 << 24,
      payload: Buffer.alloc(1 << 24),
    });
    yield header as Buffer;
    for (let at = 0; at < 1 << 24; at += 1 << 16) yield (payload as Buffer).subarray(at, at + (1 << 16));
  }

  it.each([
    ['segments without end', endless],
    ['dictionaries without end', dictionaries],
    ['one segment that is too long', oneLong],
  ])('are refused before they fill the memory: %s', async (_name, produce) => {
    for (const way of ['decode', 'decodeStream'] as const) {
      const decoder = new StateDecoder({ stateBytesMax: 1 << 20 });
      const { chunks, taken } = chunked(produce());
      const read = async (): Promise<void> => {
        if (way === 'decode') await decoder.decode(chunks);
        else for await (const _segment of decoder.decodeStream(chunks));
      };
      await expect(read()).rejects.toMatchObject({ code: 'DK_LIMIT' });
      expect(taken()).toBeLessThan(1.3 * (1 << 20));
      await decoder.close();
    }
  });

  const text = Buffer.from('0123456789'.repeat(100));
  const small = Buffer.from('0123456789'.repeat(12));

  /** A state coded with a dictionary that the message may carry. */
  async function withDictionary(carried: Buffer | undefined, end: object = {}): Promise<Buffer> {
    const payload = await engine.compress(small, { level: 3, dictionary: text });
    const writer = new MessageWriter(engine, { ...HEAD, stateBytes: small.length });
    const parts = await writer.head();
    if (carried) parts.push(...(await writer.dictionary(7, carried)), ...(await writer.dictionary(7, carried)));
    parts.push(
      ...(await writer.segment({ ...SEGMENT, engine: 1, targetBytes: small.length, dictionaryId: 7, payload })),
    );
    parts.push(...writer.end({ stateBytes: small.length, digest: engine.digest('blake3', small), ...end }));
    return Buffer.concat(parts);
  }

  const streamed = async (decoder: StateDecoder, message: Buffer): Promise<Buffer> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of decoder.decodeStream(message)) pieces.push(piece);
    return Buffer.concat(pieces);
  };

  it('teach no dictionary before they are verified', async () => {
    const decoder = new StateDecoder();
    const bad = await withDictionary(text);
    const at = bad.indexOf('0123456789');
    bad[at + 500] = (bad[at + 500] as number) ^ 1;
    const good = await withDictionary(undefined);
    await expect(streamed(decoder, bad)).rejects.toMatchObject({ name: 'DiffKeeperError' });
    await expect(streamed(decoder, good)).rejects.toMatchObject({ code: 'DK_DICTIONARY_MISSING' });
    expect(await streamed(decoder, await withDictionary(text))).toEqual(small);
    await expect(streamed(decoder, bad)).rejects.toMatchObject({ name: 'DiffKeeperError' });
    expect(await streamed(decoder, good)).toEqual(small);
    expect((await decoder.decode(good)).bytes).toEqual(small);
    await decoder.close();
  });

  it('of one segment give nothing out before the end', async () => {
    const decoder = new StateDecoder();
    const wrong = await withDictionary(text, { digest: Buffer.alloc(32) });
    const cut = (await withDictionary(text)).subarray(0, -1);
    for (const message of [wrong, cut]) {
      const out = decoder.decodeStream(message);
      await expect(out.next()).rejects.toMatchObject({ name: 'DiffKeeperError' });
    }
    await decoder.close();
  });

  it('carry no dictionary without a number, and no two of one', async () => {
    for (const pairs of [
      [[0, 'a']],
      [
        [3, 'a'],
        [3, 'b'],
      ],
    ] as [number, string][][]) {
      const writer = new MessageWriter(engine, HEAD);
      const parts = await writer.head();
      for (const [id, bytes] of pairs) parts.push(...(await writer.dictionary(id, Buffer.from(bytes))));
      const payload = Buffer.from('0123456789');
      parts.push(...(await writer.segment({ ...SEGMENT, payload })));
      parts.push(...writer.end({ stateBytes: 10, digest: engine.digest('blake3', payload) }));
      const decoder = new StateDecoder();
      await expect(decoder.decode(Buffer.concat(parts))).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
      await expect(streamed(decoder, Buffer.concat(parts))).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
      await decoder.close();
    }
  });
});

describe('frozen messages', () => {
  it('are made alike for ever', async () => {
    expect((await byHand({})).toString('hex')).toBe(
      '444b5331010a0600016b016b0501100a0104000a000a3031323334353637383903290a53b63a6fc8605d0c0ce559317a00177d72adb24d669235e4c914f443a8831ca1d45ab0b297faa731',
    );
  });
});
