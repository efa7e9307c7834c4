import { expect, it } from 'vitest';
import { type Engine, IN_DATA, type SliceBatch, TRY, ZERO_BYTES } from '../../src/engine/engine.js';
import { editedBytes, lengthsOf, patternBytes, textBytes } from './samples.js';

/** Slices of blobs: part of the conformance suite. */
export function describeSlices(engine: Engine): void {
  const source = patternBytes(50_000, 4);
  const target = editedBytes(source, 7);
  const text = textBytes(20_000, 5);
  const made = async (): Promise<SliceBatch> => {
    const encoded = await engine.encodeBlobs({
      targets: Buffer.concat([target, text]),
      targetLengths: lengthsOf([target, text]),
      contexts: source,
      contextLengths: Uint32Array.of(source.length, 0),
      tries: Uint8Array.of(TRY.xor | TRY.zstdContext, TRY.zstd),
      level: 3,
    });
    const [first = 0, second = 0] = encoded.payloadLengths;
    return {
      // The context comes in three pieces, one of them from the middle of another buffer.
      buffers: [encoded.payloads, source.subarray(0, 20_000), Buffer.concat([text, source.subarray(20_000)])],
      payloads: Uint32Array.of(0, 0, first, 0, first, second),
      codecs: encoded.codecs,
      decodedLengths: lengthsOf([target, text]),
      contextCounts: Uint32Array.of(3, 0),
      contexts: Uint32Array.of(1, 0, 20_000, 2, 20_000, 10_000, 2, 30_000, 20_000),
      sliceCounts: Uint32Array.of(2, 1),
      slices: Uint32Array.of(5, 100, 49_000, 1000, 0, 20_000),
      target: Buffer.alloc(0),
      places: Uint32Array.of(IN_DATA, IN_DATA, IN_DATA),
      digests: Buffer.concat([engine.digest('blake3', target), engine.digest('blake3', text)]),
      algo: 'blake3',
    };
  };

  it('gives slices of blobs whose context is in pieces', async () => {
    const decoded = await engine.decodeSlices(await made());
    expect([...decoded.status]).toEqual([0, 0]);
    const wanted = Buffer.concat([target.subarray(5, 105), target.subarray(49_000, 50_000), text]);
    expect(decoded.data.equals(wanted)).toBe(true);
  });

  it('writes slices to the memory of the caller', async () => {
    const batch = await made();
    const places = Uint32Array.of(20_010, IN_DATA, 7);
    const memory = Buffer.alloc(20_200, 0xee);
    const decoded = await engine.decodeSlices({ ...batch, target: memory, places });
    expect([...decoded.status]).toEqual([0, 0]);
    expect(decoded.data.equals(target.subarray(49_000, 50_000))).toBe(true);
    const gap = Buffer.alloc(200, 0xee);
    const expected = [gap.subarray(0, 7), text, gap.subarray(0, 3), target.subarray(5, 105), gap.subarray(0, 90)];
    expect(memory.equals(Buffer.concat(expected))).toBe(true);
    const digests = Buffer.alloc(batch.digests.length);
    await engine.decodeSlices({ ...batch, target: memory, places, digests });
    expect(memory.subarray(7, 20_007).every((byte) => byte === 0)).toBe(true);
  });

  it('zeroes the slices of what differs from its digest', async () => {
    const batch = await made();
    const digests = Buffer.from(batch.digests);
    digests[0] = (digests[0] as number) ^ 1;
    const decoded = await engine.decodeSlices({ ...batch, digests });
    expect([...decoded.status]).toEqual([2, 0]);
    expect(decoded.data.equals(Buffer.concat([Buffer.alloc(1100), text]))).toBe(true);
  });

  it('takes zeros for a context', async () => {
    const zeros = Buffer.alloc(50_000);
    const edited = editedBytes(zeros, 3);
    const encoded = await engine.encodeBlobs({
      targets: edited,
      targetLengths: lengthsOf([edited]),
      contexts: zeros,
      contextLengths: Uint32Array.of(50_000),
      tries: Uint8Array.of(TRY.xor),
      level: 3,
    });
    const decoded = await engine.decodeSlices({
      ...(await made()),
      buffers: [encoded.payloads],
      payloads: Uint32Array.of(0, 0, encoded.payloads.length),
      codecs: encoded.codecs,
      decodedLengths: lengthsOf([edited]),
      contextCounts: Uint32Array.of(2),
      contexts: Uint32Array.of(ZERO_BYTES, 0, 20_000, ZERO_BYTES, 0, 30_000),
      sliceCounts: Uint32Array.of(1),
      slices: Uint32Array.of(0, edited.length),
      places: Uint32Array.of(IN_DATA),
      digests: engine.digest('blake3', edited),
    });
    expect([...decoded.status]).toEqual([0]);
    expect(decoded.data.equals(edited)).toBe(true);
  });

  it('refuses pieces and slices that lie elsewhere', async () => {
    const batch = await made();
    const wrong: Partial<SliceBatch>[] = [
      { payloads: Uint32Array.of(0, 1, batch.buffers[0]?.length ?? 0, 0, 0, 1) },
      { payloads: Uint32Array.of(3, 0, 1, 0, 0, 1) },
      { payloads: Uint32Array.of(ZERO_BYTES, 0, 1, 0, 0, 1) },
      { contexts: Uint32Array.of(1, 0, 20_001, 2, 0, 1, 2, 0, 1) },
      { contextCounts: Uint32Array.of(3, 1) },
      { slices: Uint32Array.of(5, 100, 49_000, 2000, 0, 20_000) },
      { sliceCounts: Uint32Array.of(1, 1) },
      { places: Uint32Array.of(IN_DATA, IN_DATA) },
      { places: Uint32Array.of(IN_DATA, 1, IN_DATA), target: Buffer.alloc(1000) },
      { digests: batch.digests.subarray(1) },
      { codecs: batch.codecs.subarray(1) },
    ];
    for (const bad of wrong) await expect(engine.decodeSlices({ ...batch, ...bad })).rejects.toThrow(RangeError);
  });
}
