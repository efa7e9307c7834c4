/** Kinds of digests of states: what each message says, old messages, messages made by hand. */
import { describe, expect, it } from 'vitest';
import { StateDecoder, type StateDigest } from '../../src/baseline/baseline.js';
import { stateDigest } from '../../src/baseline/state-digest.js';
import { MessageWriter, type StateHead } from '../../src/baseline/state-message.js';
import { loadEngine } from '../../src/engine/load.js';
import { createTwin } from '../../src/engine/twin.js';
import { xxh3Wide } from '../../src/engine/twin-xxh3-wide.js';
import { patternBytes } from '../engine/samples.js';
import { HEAD, pair, SEGMENT, trip } from './codec-fixture.js';

const engine = loadEngine();

/** The quick digest of one segment, by the text of docs/format-state.md. */
function quickOf(bytes: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.write('DKXXH3L1', 'latin1');
  head.writeBigUInt64LE(BigInt(bytes.length), 8);
  const values = [];
  for (let at = 0; at < bytes.length; at += 65_536) values.push(xxh3Wide(bytes.subarray(at, at + 65_536), 0n));
  return xxh3Wide(Buffer.concat([head, ...values]), 0n);
}

/** That of a state of several segments. */
function quickOfMany(segments: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(16);
  head.write('DKXXH3S1', 'latin1');
  head.writeBigUInt64LE(BigInt(segments.length), 8);
  return xxh3Wide(Buffer.concat([head, ...segments.map(quickOf)]), 0n);
}

describe('the quick digest', () => {
  it('has one value for ever', () => {
    expect(quickOf(Buffer.alloc(0)).toString('hex')).toBe('4b356dcbcaa852f8152dc3996a4089a3');
    expect(quickOf(Buffer.from('state')).toString('hex')).toBe('8644c70eed959bce30312d0ddfdf4bea');
  });

  it.each([0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])(
    'of %d bytes, by both engines and by its text',
    async (n) => {
      const bytes = patternBytes(n, 5);
      const expected = quickOf(bytes);
      for (const one of [engine, createTwin()]) {
        expect((await one.groupDigest(bytes, false, 'xxh3')).digest.equals(expected)).toBe(true);
      }
      const both = pair({ dictionaries: false });
      const { message, same } = await trip(both, 'vm-1', bytes);
      expect([same, message.targetDigest]).toEqual([true, expected.toString('hex')]);
    },
  );

  it('of several segments', async () => {
    const state = patternBytes(150_000, 6);
    const segments = [state.subarray(0, 65_536), state.subarray(65_536, 131_072), state.subarray(131_072)];
    const both = pair({ segmentBytes: 65_536 });
    const { message, same } = await trip(both, 'vm-1', state);
    expect([same, message.targetDigest]).toEqual([true, quickOfMany(segments).toString('hex')]);
  });

  it.each([
    ['xxh3', undefined, { one: 3, several: 2 }, 32],
    ['xxh3', 'xxh3', { one: 3, several: 2 }, 32],
    ['blake3', 'blake3', { one: 3, several: 1 }, 64],
    ['sha256', 'sha256', { one: 3, several: 1 }, 64],
  ] as const)('%s where %s is asked for: version and lengths', async (kind, digest, versions, digits) => {
    const state = patternBytes(300_000, 7);
    const parts = pair({ ...(digest === undefined ? {} : { digest }), segmentBytes: 65_536 });
    const inParts = await trip(parts, 'vm-1', state);
    expect([inParts.same, inParts.message.toBuffer()[4]]).toEqual([true, versions.several]);
    const both = pair(digest === undefined ? {} : { digest });
    const full = await trip(both, 'vm-1', state);
    const next = Buffer.from(state);
    next.fill(9, 70_000, 70_003);
    const delta = await trip(both, 'vm-1', next);
    expect([full.same, delta.same, delta.message.kind]).toEqual([true, true, 'delta']);
    for (const { message } of [full, delta]) {
      expect([message.toBuffer()[4], message.targetDigest.length]).toEqual([versions.one, digits]);
    }
    expect(delta.message.sourceDigest).toBe(full.message.targetDigest);
    if (kind !== 'xxh3') expect(full.message.targetDigest).toBe(engine.digest(kind, state).toString('hex'));
  });

  it('options: one name or the other, nothing else', () => {
    expect(() => pair({ digest: 'md5' as StateDigest })).toThrow(TypeError);
    expect(() => pair({ hashAlgo: 'xxh3' as 'blake3' })).toThrow(TypeError);
  });
});

const QUICK_HEAD: StateHead = { ...HEAD, digestKind: 'xxh3' };
const PAYLOAD = Buffer.from('0123456789');
/** Where a head without an odd key has its flags and its kind. */
const AT = { version: 4, flags: 6, kind: 7 };

/** A message with a right check but for what `spoil` does to its beginning. */
async function byHand(
  head: Partial<StateHead>,
  { digest = quickOf(PAYLOAD), spoil = (_start: Buffer): void => {} } = {},
): Promise<Buffer> {
  const writer = new MessageWriter(engine, { ...QUICK_HEAD, ...head });
  const parts = [...(await writer.head()), ...(await writer.segment({ ...SEGMENT, payload: PAYLOAD }))];
  parts.push(...writer.end({ stateBytes: 10, digest }));
  const message = Buffer.concat(parts);
  spoil(message);
  return message;
}

describe('messages made by hand', () => {
  const decodeOf = async (message: Buffer): Promise<string> => {
    const decoder = new StateDecoder();
    const said = await decoder.decode(message).then(
      ({ bytes }) => bytes.toString(),
      (error: { code?: string }) => error.code ?? String(error),
    );
    await decoder.close();
    return said;
  };
  const strong = stateDigest(engine, 'blake3', [engine.digest('blake3', PAYLOAD)]);
  const quickSource = { id: 1, digest: Buffer.alloc(16) };
  const strongSource = { id: 1, digest: Buffer.alloc(32) };
  const cases: [string, string, () => Promise<Buffer>][] = [
    ['the plain case', '0123456789', () => byHand({})],
    ['another digest', 'DK_DIGEST_MISMATCH', () => byHand({}, { digest: Buffer.alloc(16) })],
    ['one of another length', 'DK_CORRUPT_DELTA', () => byHand({}, { digest: strong })],
    [
      'a kind of a newer release',
      'DK_UNSUPPORTED',
      () => byHand({}, { spoil: (start) => start.writeUInt8(3, AT.kind) }),
    ],
    [
      'a version of a newer release',
      'DK_UNSUPPORTED',
      () => byHand({}, { spoil: (start) => start.writeUInt8(4, AT.version) }),
    ],
    ['version 1', 'DK_CORRUPT_DELTA', () => byHand({}, { spoil: (start) => start.writeUInt8(1, AT.version) })],
    [
      'a length of no source digest',
      'DK_CORRUPT_DELTA',
      () => byHand({}, { spoil: (start) => start.writeUInt8((start[AT.flags] as number) | 32, AT.flags) }),
    ],
    ['a quick source', 'DK_BASELINE_MISSING', () => byHand({ source: quickSource, baselineId: undefined })],
    ['a strong source', 'DK_BASELINE_MISSING', () => byHand({ source: strongSource, baselineId: undefined })],
    [
      'a strong digest and a quick source',
      'DK_BASELINE_MISSING',
      () => byHand({ digestKind: 'blake3', source: quickSource, baselineId: undefined }, { digest: strong }),
    ],
    ['a strong digest', '0123456789', () => byHand({ digestKind: 'blake3' }, { digest: strong })],
  ];
  it.each(cases)('%s: %s', async (_name, expected, make) => {
    expect(await decodeOf(await make())).toBe(expected);
  });
});
