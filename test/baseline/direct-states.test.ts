/** Large states of short deltas are made by one job: same states, same counts, same refusals as by the way for all messages. */
import { describe, expect, it } from 'vitest';
import type { StateEncoderOptions } from '../../src/baseline/baseline.js';
import { MessageWriter } from '../../src/baseline/state-message.js';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes } from '../engine/samples.js';
import { pair } from './codec-fixture.js';

const real = loadEngine();
const large = patternBytes(LIMITS.syncStateBytes + 70_001, 1);

function changed(state: Buffer, step: number): Buffer {
  const target = Buffer.from(state);
  for (let at = step - 1; at < target.length; at += step) target[at] = ~(target[at] as number) & 255;
  return target;
}

/** Bytes at random places to random values: more of them than are hashed on the event loop. */
function scattered(state: Buffer): Buffer {
  const target = Buffer.from(state);
  const picks = patternBytes(state.length, 8);
  for (let at = 0; at < target.length; at += 1) {
    if ((picks[at] as number) < 77) target[at] = picks[(at * 7 + 1) % picks.length] as number;
  }
  return target;
}

/** A message as it arrives: always taken the way for all messages. */
async function* arriving(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* parts;
}

/** Lets others have two turns of the event loop. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 2; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('large states of short deltas', () => {
  const kinds: [string, StateEncoderOptions][] = [
    ['as by default', {}],
    ['BLAKE3', { digest: 'blake3' }],
    ['SHA-256', { digest: 'sha256' }],
    ['several segments', { segmentBytes: 1 << 20 }],
    ['page hashes', { keep: 'pages' }],
  ];
  it.each(kinds)('give the states and counts that they give in pieces: %s', async (_name, options) => {
    const { encoder, decoder } = pair({ ...options, deltasMax: 3 });
    const other = pair().decoder;
    const states = [
      large,
      changed(large, 100),
      changed(large, 30_000),
      large.subarray(0, 1 << 20),
      Buffer.concat([large, large.subarray(0, 900)]),
      changed(large, 7),
      scattered(large),
    ];
    for (const state of states) {
      const message = await encoder.encode('k', state);
      const { bytes: made, ...facts } = await other.decode(arriving(message.parts));
      expect(made.equals(state)).toBe(true);
      for (const input of [message.parts, message.toBuffer()]) {
        const into = Buffer.alloc(state.length + 3, 7);
        const { bytes, ...found } = await decoder.decode(input, { into });
        expect(bytes.equals(state)).toBe(true);
        expect([bytes.buffer, into[state.length]]).toEqual([into.buffer, 7]);
        expect(found).toEqual(facts);
        // Its own memory.
        expect((await other.decode(input)).bytes.equals(state)).toBe(true);
      }
    }
    const { operations, ...counts } = decoder.metrics();
    const { operations: operationsOther, ...countsOther } = other.metrics();
    expect([counts.failures, countsOther.failures]).toEqual([0, 0]);
    expect([operations, operationsOther]).toEqual([14, 21]);
    await Promise.all([encoder.close(), decoder.close(), other.close()]);
  });

  it('are verified: a payload that makes other bytes is refused, and so is one that makes nothing', async () => {
    const { encoder, decoder } = pair();
    await decoder.decode((await encoder.encode('k', large)).parts);
    const { sourceDigest = '', ...made } = await encoder.encode('k', changed(large, 30_000));
    const head = {
      key: 'k',
      keyClass: 'k',
      digestKind: 'xxh3',
      plain: false,
      timestampMs: made.timestampMs,
      baselineId: undefined,
      source: { id: made.sourceId ?? 0, digest: Buffer.from(sourceDigest, 'hex') },
      segmentBytes: 1 << 26,
      stateBytes: large.length,
      digests: false,
    } as const;
    const messageOf = async (payload: Buffer): Promise<Buffer> => {
      const writer = new MessageWriter(real, head);
      const segment = {
        engine: 6,
        targetBytes: large.length,
        sourceOffset: 0,
        sourceBytes: large.length,
        dictionaryId: 0,
        digest: undefined,
        payload,
      };
      const parts = [...(await writer.head()), ...(await writer.segment(segment))];
      parts.push(...writer.end({ stateBytes: large.length, digest: Buffer.from(made.targetDigest, 'hex') }));
      return Buffer.concat(parts);
    };
    const { payload } = await real.sparseDiff(large, changed(large, 30_000), 3);
    expect((await decoder.decode(await messageOf(payload))).bytes.equals(changed(large, 30_000))).toBe(true);
    const another = await real.sparseDiff(large, changed(large, 30_001), 3);
    await expect(decoder.decode(await messageOf(another.payload))).rejects.toMatchObject({
      code: 'DK_DIGEST_MISMATCH',
      facts: { key: 'k' },
    });
    await expect(decoder.decode(await messageOf(payload.subarray(1)))).rejects.toMatchObject({
      code: 'DK_CORRUPT_DELTA',
    });
    expect(decoder.metrics().operations).toBe(2);
    expect(decoder.metrics().failures).toBe(2);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('are refused when a long payload did not arrive as it was sent, and made when it did', async () => {
    let jobs = 0;
    const nativeEngine: Engine = {
      ...real,
      sparsePatch: (...args) => {
        jobs += 1;
        return real.sparsePatch(...args);
      },
    };
    const { encoder, decoder } = pair({ engine: 'sparse' }, { nativeEngine });
    await decoder.decode((await encoder.encode('k', large)).parts);
    const { parts, engines } = await encoder.encode('k', scattered(large));
    const longest = parts.reduce((best, part) => (part.length > best.length ? part : best));
    expect([engines, longest.length > LIMITS.syncBytes]).toEqual([['sparse'], true]);
    expect((await decoder.decode(parts)).bytes.equals(scattered(large))).toBe(true);
    const [front = Buffer.alloc(0), ...rest] = parts;
    const others: Buffer[][] = [
      [Buffer.concat(parts)],
      [front.subarray(0, 9), front.subarray(9), ...rest],
      // The payload in two pieces.
      [...parts].flatMap((part) => (part === longest ? [part.subarray(0, 90_000), part.subarray(90_000)] : [part])),
    ];
    for (const pieces of others) {
      expect((await decoder.decode(pieces)).bytes.equals(scattered(large))).toBe(true);
    }
    const before = jobs;
    // A value, the digest, a name, and the check, where the digest says nothing against the state.
    for (const [index, at] of [
      [parts.indexOf(longest), longest.length - 1],
      [parts.length - 1, 3],
      [0, 10],
      [parts.length - 1, (parts.at(-1)?.length ?? 0) - 1],
    ] as const) {
      const spoilt = parts.map((part) => Buffer.from(part));
      const bytes = spoilt[index] as Buffer;
      bytes[at] = (bytes[at] as number) ^ 1;
      const code = await decoder.decode(spoilt).then(
        () => 'made',
        (error: { code?: string }) => error.code,
      );
      expect(['DK_CORRUPT_DELTA', 'DK_BASELINE_MISSING']).toContain(code);
    }
    // Only the way for all messages says what is wrong, before it makes anything.
    expect(jobs).toBeLessThanOrEqual(before + 3);
    await expect(decoder.decode([...parts, Buffer.alloc(1)])).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    await expect(decoder.decode(parts.slice(0, -1))).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('wait for the states of their key, and are refused when the decoder closes meanwhile', async () => {
    let release = (): void => {};
    let jobs = 0;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const nativeEngine: Engine = {
      ...real,
      async sparsePatch(...args) {
        jobs += 1;
        if (jobs === 1) await held;
        return real.sparsePatch(...args);
      },
    };
    const { encoder, decoder } = pair({}, { nativeEngine });
    await decoder.decode((await encoder.encode('k', large)).parts);
    const done: string[] = [];
    const decoding = [30_000, 50_000, 100].map(async (step) => {
      const state = changed(large, step);
      const { parts } = await encoder.encode('k', state);
      return decoder.decode(parts).then(
        ({ bytes }) => done.push(bytes.equals(state) ? 'right' : 'wrong'),
        ({ code }: { code: string }) => done.push(code),
      );
    });
    // The first one has the turn of its key; the others wait.
    while (jobs === 0) await turns();
    await turns();
    expect([done, jobs]).toEqual([[], 1]);
    const closed = decoder.close();
    release();
    await Promise.all([...decoding, closed]);
    expect(done.sort()).toEqual(['DK_STORE_CLOSED', 'DK_STORE_CLOSED', 'right']);
    await encoder.close();
  });
});
