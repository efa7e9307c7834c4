/** What begun streams, and what is at work, come to when their encoder or decoder is closed; what baselines count for. */
import { describe, expect, it } from 'vitest';
import { patternBytes } from '../engine/samples.js';
import { pair } from './codec-fixture.js';

const SEGMENT = 1 << 16;
const CLOSED = { code: 'DK_STORE_CLOSED' };

describe('close', () => {
  it('ends streams of an encoder that were begun and left unread, and gives back what they held', async () => {
    const { encoder } = pair({ segmentBytes: SEGMENT });
    const ended: string[] = [];
    async function* chunks(): AsyncGenerator<Buffer> {
      try {
        for (let i = 0; i < 5; i += 1) yield patternBytes(SEGMENT, i);
      } finally {
        ended.push('chunks');
      }
    }
    const stream = encoder.encodeStream('k', chunks());
    expect((await stream.next()).done).toBe(false);
    const waiting = encoder.encodeStream('k', Buffer.alloc(10));
    const second = expect(waiting.next()).rejects.toMatchObject(CLOSED);
    const later = encoder.encode('k', Buffer.alloc(20));
    await encoder.close();
    expect(ended).toEqual(['chunks']);
    await second;
    expect((await later).stateBytes).toBe(20);
    await expect(stream.next()).rejects.toMatchObject(CLOSED);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(encoder.metrics().baselineMemoryBytes).toBe(0);
    await expect(encoder.encodeStream('k', Buffer.alloc(1)).next()).rejects.toMatchObject(CLOSED);
  });

  it('ends streams of a decoder that were begun and left unread', async () => {
    const { encoder, decoder } = pair({ segmentBytes: SEGMENT });
    const message = await encoder.encode('k', patternBytes(3 * SEGMENT, 1));
    const stream = decoder.decodeStream(message.parts);
    expect((await stream.next()).done).toBe(false);
    const second = expect(decoder.decodeStream(message.parts).next()).rejects.toMatchObject(CLOSED);
    await decoder.close();
    await second;
    await expect(stream.next()).rejects.toMatchObject(CLOSED);
    expect(decoder.metrics().baselineMemoryBytes).toBe(0);
    await encoder.close();
  });

  it('lets a stream that is read to its end be what it is', async () => {
    const { encoder, decoder } = pair({ segmentBytes: SEGMENT });
    const state = patternBytes(3 * SEGMENT + 9, 1);
    const parts: Buffer[] = [];
    const coding = encoder.encodeStream('k', state);
    for (let next = await coding.next(); !next.done; next = await coding.next()) parts.push(next.value);
    const left = decoder.decodeStream(parts);
    for await (const segment of left) {
      expect(segment.length).toBe(SEGMENT);
      break;
    }
    const pieces: Uint8Array[] = [];
    for await (const segment of decoder.decodeStream(parts)) pieces.push(segment);
    expect(Buffer.concat(pieces).equals(state)).toBe(true);
    await Promise.all([encoder.close(), decoder.close()]);
  });
});

describe('small baselines', () => {
  /** Measured after collections: heap that one of a few bytes takes; memory outside of the heap comes on top. */
  const HEAP_BYTES = 1200;

  it('count for what they take, keys included, so that the bound of memory holds', async () => {
    const memoryBytesMax = 300_000;
    for (const key of ['k', 'k'.repeat(1000)]) {
      const { encoder, decoder } = pair({ memoryBytesMax, dictionaries: false }, { memoryBytesMax });
      for (let i = 0; i < 400; i += 1) {
        await decoder.decode((await encoder.encode(`${key}${i}`, Buffer.alloc(8, i))).toBuffer());
      }
      for (const one of [encoder.metrics(), decoder.metrics()]) {
        expect(one.baselineMemoryBytes).toBeLessThanOrEqual(memoryBytesMax);
        expect(one.baselineMemoryBytes / one.baselineCount).toBeGreaterThan(HEAP_BYTES + key.length);
        expect(one.baselinesEvicted).toBe(400 - one.baselineCount);
      }
      await Promise.all([encoder.close(), decoder.close()]);
    }
  });
});
