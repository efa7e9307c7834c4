import { expect, it } from 'vitest';
import { type Engine, FROM_ITEMS, IN_DATA, type SliceBatch, TRY, ZERO_BYTES } from '../../src/engine/engine.js';
import { editedBytes, lengthsOf, patternBytes, textBytes } from './samples.js';

const CHAINS = 9;
const LINKS = 6;

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

  const coded = async (bytes: Buffer, context: Buffer) =>
    engine.encodeBlobs({
      targets: bytes,
      targetLengths: lengthsOf([bytes]),
      contexts: context,
      contextLengths: Uint32Array.of(context.length),
      tries: Uint8Array.of(TRY.xor | TRY.zstdContext),
      level: 3,
    });

  /** Chains of deltas, link by link side by side, of which only the ends are wanted; and these ends. */
  const chains = async (): Promise<{ readonly batch: SliceBatch; readonly last: Buffer[] }> => {
    const last = Array.from({ length: CHAINS }, (_, chain) => patternBytes(20_000 + 7 * chain, chain));
    const columns = { payloads: [] as Buffer[], codecs: [] as number[], lengths: [] as number[] };
    const [contexts, digests]: [number[], Buffer[]] = [[], []];
    for (let link = 0; link < LINKS; link += 1) {
      for (let chain = 0; chain < CHAINS; chain += 1) {
        const before = last[chain] as Buffer;
        const bytes = link === 0 ? before : editedBytes(before, link);
        const { payloads, codecs } = await coded(bytes, link === 0 ? Buffer.alloc(0) : before);
        if (link > 0) contexts.push(FROM_ITEMS + columns.codecs.length - CHAINS, 0, before.length);
        columns.payloads.push(payloads);
        columns.codecs.push(codecs[0] ?? 0);
        columns.lengths.push(bytes.length);
        digests.push(engine.digest('blake3', bytes));
        last[chain] = bytes;
      }
    }
    const count = CHAINS * LINKS;
    const atEnds = (value: number) => Uint32Array.from({ length: count }, (_, i) => (i < count - CHAINS ? 0 : value));
    const batch: SliceBatch = {
      buffers: columns.payloads,
      payloads: Uint32Array.from(columns.payloads.flatMap((payload, index) => [index, 0, payload.length])),
      codecs: Uint8Array.from(columns.codecs),
      decodedLengths: Uint32Array.from(columns.lengths),
      contextCounts: Uint32Array.from({ length: count }, (_, i) => (i < CHAINS ? 0 : 1)),
      contexts: Uint32Array.from(contexts),
      sliceCounts: atEnds(1),
      slices: Uint32Array.from(last.flatMap((bytes) => [0, bytes.length])),
      target: Buffer.alloc(0),
      places: new Uint32Array(CHAINS).fill(IN_DATA),
      digests: Buffer.concat(digests),
      algo: 'blake3',
    };
    return { batch, last };
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

  it('gives them all the same to who verifies nothing, but for what does not decode', async () => {
    const batch = await made();
    const good = await engine.decodeSlices(batch);
    const digests = Buffer.alloc(batch.digests.length);
    const decoded = await engine.decodeSlices({ ...batch, digests, verify: 'none' });
    expect([...decoded.status]).toEqual([0, 0]);
    expect(decoded.data.equals(good.data)).toBe(true);
    const decodedLengths = Uint32Array.from(batch.decodedLengths, (length, item) => length + (item === 0 ? 1 : 0));
    const cut = await engine.decodeSlices({ ...batch, digests, decodedLengths, verify: 'none' });
    expect([...cut.status]).toEqual([1, 0]);
    await expect(engine.decodeSlices({ ...batch, verify: 'some' as 'all' })).rejects.toThrow(TypeError);
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

  it('decodes chains in one call, of which only the ends are asked for', async () => {
    const { batch, last } = await chains();
    const decoded = await engine.decodeSlices(batch);
    expect([...decoded.status]).toEqual(Array.from({ length: batch.codecs.length }, () => 0));
    expect(decoded.data.equals(Buffer.concat(last))).toBe(true);
  });

  it('gives nothing that stands on what differs from its digest, and all the rest', async () => {
    const { batch, last } = await chains();
    const digests = Buffer.from(batch.digests);
    // Of the second chain the second link.
    const wrong = CHAINS + 1;
    digests[32 * wrong] = (digests[32 * wrong] as number) ^ 1;
    const { status, data } = await engine.decodeSlices({ ...batch, digests });
    const expected = Array.from({ length: CHAINS * LINKS }, (_, item) => {
      if (item % CHAINS !== 1 || item < wrong) return 0;
      return item === wrong ? 2 : 3;
    });
    expect([...status]).toEqual(expected);
    last[1] = Buffer.alloc(last[1]?.length ?? 0);
    expect(data.equals(Buffer.concat(last))).toBe(true);
  });

  it('does not look at what lies between the ends of chains when only these are to be verified', async () => {
    const { batch, last } = await chains();
    const digests = Buffer.from(batch.digests);
    // Of the second chain a link, of the fourth the end.
    for (const wrong of [CHAINS + 1, CHAINS * (LINKS - 1) + 3])
      digests[32 * wrong] = (digests[32 * wrong] as number) ^ 1;
    const { status, data } = await engine.decodeSlices({ ...batch, digests, verify: 'ends' });
    const expected = Array.from(status, (_, item) => (item === CHAINS * (LINKS - 1) + 3 ? 2 : 0));
    expect([...status]).toEqual(expected);
    last[3] = Buffer.alloc(last[3]?.length ?? 0);
    expect(data.equals(Buffer.concat(last))).toBe(true);
  });

  it('takes contexts from several items, and from buffers beside them', async () => {
    const { batch, last } = await chains();
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = last;
    const context = Buffer.concat([first.subarray(100, 5000), text, Buffer.alloc(50), second, first.subarray(0, 10)]);
    const edited = editedBytes(context, 3);
    const { payloads, codecs } = await coded(edited, context);
    const count = batch.codecs.length;
    const ends = [FROM_ITEMS + count - CHAINS, FROM_ITEMS + count - CHAINS + 1];
    const [one = 0, two = 0] = ends;
    const longer: SliceBatch = {
      ...batch,
      buffers: [...batch.buffers, payloads, text],
      payloads: Uint32Array.from([...batch.payloads, batch.buffers.length, 0, payloads.length]),
      codecs: Uint8Array.from([...batch.codecs, ...codecs]),
      decodedLengths: Uint32Array.from([...batch.decodedLengths, edited.length]),
      contextCounts: Uint32Array.from([...batch.contextCounts, 5]),
      contexts: Uint32Array.from([
        ...[...batch.contexts, one, 100, 4900, batch.buffers.length + 1, 0, text.length, ZERO_BYTES, 0, 50],
        ...[two, 0, second.length, one, 0, 10],
      ]),
      sliceCounts: Uint32Array.from([...batch.sliceCounts, 1]),
      slices: Uint32Array.from([...batch.slices, 0, edited.length]),
      places: Uint32Array.from([...batch.places, 0]),
      target: Buffer.alloc(edited.length),
      digests: Buffer.concat([batch.digests, engine.digest('blake3', edited)]),
    };
    const decoded = await engine.decodeSlices(longer);
    expect(decoded.status.every((status) => status === 0)).toBe(true);
    expect(decoded.data.equals(Buffer.concat(last))).toBe(true);
    expect(Buffer.from(longer.target).equals(edited)).toBe(true);
  });

  it('refuses pieces of items that come later, or lie outside them', async () => {
    const { batch } = await chains();
    const first = 3 * batch.contextCounts.slice(0, 2 * CHAINS - 1).reduce((sum, count) => sum + count, 0);
    for (const wrong of [2 * CHAINS - 1, 2 * CHAINS, batch.codecs.length, 0x7ffffffe]) {
      const contexts = Uint32Array.from(batch.contexts);
      contexts[first] = FROM_ITEMS + wrong;
      await expect(engine.decodeSlices({ ...batch, contexts })).rejects.toThrow(RangeError);
    }
    const contexts = Uint32Array.from(batch.contexts);
    contexts[first + 1] = 1;
    await expect(engine.decodeSlices({ ...batch, contexts })).rejects.toThrow(RangeError);
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
