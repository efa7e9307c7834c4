/** Decoders against bytes of any kind: what comes out is right, or DK_PROTOCOL. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { FRAME, type FrameType, payloadLimit } from '../../src/transport/frame.js';
import { FramePool } from '../../src/transport/frame-pool.js';
import { FrameReader } from '../../src/transport/frame-reader.js';
import { decodeHello, decodeJoin, decodeWelcome, encodeWelcome } from '../../src/transport/greeting.js';
import * as messages from '../../src/transport/messages.js';
import { missingRanges, type Range, RangeSet, wholeUnits } from '../../src/transport/ranges.js';
import { decodeError, encodeError } from '../../src/transport/wire-error.js';
import { frameBytes, offerBytes } from './raw-client.js';
import { seededBytes } from './session-fixture.js';

const engine = loadEngine();
const RUNS = { seed: 20, numRuns: 300 };

interface Plain {
  readonly type: number;
  readonly id: number;
  readonly offset: number;
  readonly payload: Buffer;
}

/** Reads bytes in parts of these lengths; gives what was read before the end or the failure. */
function readAll(bytes: Buffer, parts: readonly number[]): { readonly frames: Plain[]; readonly error?: unknown } {
  const frames: Plain[] = [];
  const reader = new FrameReader(
    (data) => engine.xxh3(data),
    new FramePool(),
    payloadLimit,
    (frame) => {
      const { type, id, offset, payload, release } = frame;
      frames.push({ type, id, offset, payload: Buffer.from(payload) });
      release();
    },
  );
  try {
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const end = at + (parts[turn % parts.length] as number);
      reader.feed(bytes.subarray(at, end));
      at = end;
    }
  } catch (error) {
    return { frames, error };
  }
  return { frames };
}

const plain: fc.Arbitrary<Plain> = fc
  .record({
    type: fc.constantFrom(...Object.values(FRAME)),
    id: fc.maxSafeNat(),
    offset: fc.maxSafeNat(),
    length: fc.oneof(fc.nat(100), fc.integer({ min: 16_000, max: 17_000 }), fc.integer({ min: 60_000, max: 200_000 })),
  })
  .map(({ type, id, offset, length }) => {
    return { type, id, offset, payload: seededBytes(Math.min(length, payloadLimit(type)), length) };
  });
const bytesOf = (frames: readonly Plain[]): Buffer =>
  Buffer.concat(frames.map(({ type, payload, id, offset }) => frameBytes(type as FrameType, payload, { id, offset })));
const parts = fc.array(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 70_000 })), {
  minLength: 1,
  maxLength: 8,
});
const equal = (left: readonly Plain[], right: readonly Plain[]): boolean =>
  left.length === right.length &&
  left.every((one, index) => {
    const other = right[index] as Plain;
    const same = one.type === other.type && one.id === other.id && one.offset === other.offset;
    return same && one.payload.equals(other.payload);
  });

describe('frames', () => {
  it('come out as they went in, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 6 }), parts, (frames, cuts) => {
        const result = readAll(bytesOf(frames), cuts);
        expect(result.error).toBeUndefined();
        expect(equal(result.frames, frames)).toBe(true);
      }),
      { seed: 20, numRuns: 150 },
    );
  });

  it('with changed, lost or added bytes are refused where the damage is, and those before it are right', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('flip', 'drop', 'add', 'repeat'),
      value: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(
        fc.array(plain, { minLength: 1, maxLength: 4 }),
        change,
        parts,
        (frames, { at, kind, value }, cuts) => {
          const whole = bytesOf(frames);
          const place = at % whole.length;
          const head = whole.subarray(0, place);
          const byte = whole[place] as number;
          const middle = { flip: [byte ^ value], drop: [], add: [value, byte], repeat: [byte, byte] }[kind] as number[];
          const damagedBytes = Buffer.concat([head, Buffer.from(middle), whole.subarray(place + 1)]);
          const result = readAll(damagedBytes, cuts);
          if (result.error !== undefined) expect(isDiffKeeperError(result.error, 'DK_PROTOCOL')).toBe(true);
          expect(equal(result.frames, frames.slice(0, result.frames.length))).toBe(true);
          if (kind === 'flip') expect(result.frames.length).toBeLessThan(frames.length);
        },
      ),
      { seed: 21, numRuns: 150 },
    );
  });
});

describe('messages', () => {
  const good: Buffer[] = [
    offerBytes(100),
    messages.encodeHave([[0, 65536]]),
    messages.encodeAcks([{ id: 1, offset: 65536 }]),
    messages.encodeRequest('verb', Buffer.from('body')),
    messages.encodeNumber(17),
    encodeError(new RangeError('no')),
    encodeWelcome({
      version: 1,
      windowBytes: 4 << 20,
      sessionId: Buffer.alloc(16),
      secret: Buffer.alloc(32),
      streamsMax: 4,
      rights: 'read',
    }),
  ];
  const decoders: ((bytes: Buffer) => unknown)[] = [
    messages.decodeOffer,
    messages.decodeBlob,
    (bytes) => messages.decodeHave(bytes, 1 << 20),
    messages.decodeAcks,
    messages.decodeRequest,
    messages.decodeDigest,
    messages.decodeStreams,
    decodeError,
    decodeHello,
    decodeWelcome,
    decodeJoin,
  ];
  const mutated = fc
    .tuple(fc.constantFrom(...good), fc.nat(), fc.uint8Array({ maxLength: 4 }), fc.nat(6))
    .map(([bytes, at, put, cut]) => {
      const place = at % (bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + cut)]);
    });
  const anything = fc.oneof(
    mutated,
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );

  it.each(decoders.map((decode, index) => [index, decode] as const))(
    'decoder %i takes it or says DK_PROTOCOL',
    (_index, decode) => {
      fc.assert(
        fc.property(anything, (bytes) => {
          try {
            decode(bytes);
          } catch (error) {
            if (!isDiffKeeperError(error, 'DK_PROTOCOL')) throw error;
          }
        }),
        RUNS,
      );
    },
  );

  it('lists of stretches come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 1000 })), { maxLength: 30 }), (gaps) => {
        let end = 0;
        const ranges: Range[] = gaps.map(([gap, length]) => {
          const start = end + gap;
          end = start + length;
          return [start, end];
        });
        expect(messages.decodeHave(messages.encodeHave(ranges), end)).toEqual(ranges);
      }),
      RUNS,
    );
  });
});

describe('stretches', () => {
  const SIZE = 64;
  it('are what a list of single bytes says', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: 9 }))), (pieces) => {
        const set = new RangeSet();
        const bytes = new Set<number>();
        for (const [start, length] of pieces) {
          const end = Math.min(SIZE, start + length);
          const here = Array.from({ length: end - start }, (_, index) => bytes.has(start + index));
          const expected = here.every(Boolean) ? 'all' : here.some(Boolean) ? 'some' : 'none';
          expect(set.covers(start, end)).toBe(expected);
          if (expected !== 'none') continue;
          set.add(start, end);
          for (let at = start; at < end; at += 1) bytes.add(at);
        }
        expect(set.bytes).toBe(bytes.size);
        const missing = missingRanges(set.ranges, SIZE).flatMap(([start, end]) =>
          Array.from({ length: end - start }, (_, index) => start + index),
        );
        expect(missing).toEqual(Array.from({ length: SIZE }, (_, at) => at).filter((at) => !bytes.has(at)));
      }),
      RUNS,
    );
  });

  it('are rounded inwards to whole units, but for the end', () => {
    expect(
      wholeUnits(
        [
          [5, 20],
          [25, 5],
          [40, 10],
        ],
        50,
        10,
      ),
    ).toEqual([
      [10, 30],
      [40, 50],
    ]);
    expect(
      wholeUnits(
        [
          [0, 9],
          [41, 9],
        ],
        50,
        10,
      ),
    ).toEqual([]);
    expect(wholeUnits([[0, 45]], 45, 10)).toEqual([[0, 45]]);
    expect(() => wholeUnits([[0, 51]], 50, 10)).toThrow(RangeError);
    expect(() =>
      wholeUnits(
        [
          [10, 5],
          [14, 5],
        ],
        50,
        10,
      ),
    ).toThrow(RangeError);
  });
});
