import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CODEC, type Engine, TRY } from '../../src/engine/engine.js';
import { describeSketches } from './conformance-sketches.js';
import { describeSlices } from './conformance-slices.js';
import { editedBytes, lengthsOf, patternBytes, RUNS, textBytes } from './samples.js';

const ALL_TRIES = TRY.zstd | TRY.zstdContext | TRY.xor;
const CUT = { minBytes: 1024, averageBytes: 4096, maxBytes: 16384 };

function describeZstd(engine: Engine): void {
  it('compresses and decompresses, also the empty input and with older bytes', async () => {
    const text = textBytes(100_000, 5);
    for (const data of [Buffer.alloc(0), Buffer.from('a'), text, patternBytes(70_000, 2), Buffer.alloc(300_000)]) {
      for (const context of [undefined, Buffer.alloc(0), Buffer.from('abc'), editedBytes(data, 3)]) {
        const options = context === undefined ? {} : { context };
        const frame = await engine.compress(data, { level: 5, ...options });
        const decoded = await engine.decompress(frame, { decodedBytes: data.length, ...options });
        expect(decoded.equals(data)).toBe(true);
      }
    }
    const context = editedBytes(patternBytes(100_000, 8), 1);
    expect((await engine.compress(patternBytes(100_000, 8), { context })).length).toBeLessThan(1000);
  });

  it('takes a context that looks like a dictionary as plain bytes', async () => {
    const data = patternBytes(5000, 8);
    const context = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), data]);
    const frame = await engine.compress(data, { context });
    expect((await engine.decompress(frame, { decodedBytes: data.length, context })).equals(data)).toBe(true);
  });

  it('refuses damaged frames, wrong lengths and wrong arguments', async () => {
    const data = textBytes(20_000, 1);
    const frame = await engine.compress(data);
    const damaged = { code: 'DK_CORRUPT_DELTA' };
    await expect(engine.decompress(frame, { decodedBytes: 19_999 })).rejects.toMatchObject(damaged);
    await expect(engine.decompress(frame, { decodedBytes: 20_001 })).rejects.toMatchObject(damaged);
    await expect(engine.decompress(Buffer.alloc(0), { decodedBytes: 0 })).rejects.toMatchObject(damaged);
    await expect(engine.decompress(Buffer.from('no frame at all'), { decodedBytes: 5 })).rejects.toMatchObject(damaged);
    for (let end = 0; end < frame.length; end += Math.ceil(frame.length / 50)) {
      await expect(engine.decompress(frame.subarray(0, end), { decodedBytes: 20_000 })).rejects.toMatchObject(damaged);
    }
    await expect(engine.compress(data, { level: 20 })).rejects.toThrow(RangeError);
    await expect(engine.compress(data, { level: 0 })).rejects.toThrow(RangeError);
    await expect(engine.compress(data, { context: data, dictionary: data })).rejects.toThrow(TypeError);
  });

  it('survives any flipped byte', async () => {
    const data = textBytes(3000, 1);
    const frame = await engine.compress(data);
    for (let at = 0; at < frame.length; at += 1) {
      const bad = Buffer.from(frame);
      bad[at] = (bad[at] as number) ^ 0x55;
      // Without a checksum a flip may decode; it must keep the length then, and never crash.
      const decoded = await engine
        .decompress(bad, { decodedBytes: 3000 })
        .catch((error: { code?: string }) => error.code);
      if (typeof decoded !== 'object') expect(decoded).toBe('DK_CORRUPT_DELTA');
      else expect((decoded as Buffer).length).toBe(3000);
    }
  });
}

function describeXor(engine: Engine): void {
  it('grows, shrinks, stays and empties', async () => {
    const source = patternBytes(50_000, 4);
    const targets = [
      source,
      Buffer.alloc(0),
      source.subarray(0, 10_001),
      Buffer.concat([source, patternBytes(9000, 1)]),
      Buffer.concat([source, Buffer.alloc(9000)]),
      editedBytes(source, 6).subarray(0, 50_000),
    ];
    for (const target of targets) {
      for (const from of [source, Buffer.alloc(0)]) {
        const payload = await engine.xorDiff(from, target, 3);
        expect((await engine.xorPatch(from, payload, target.length)).equals(target)).toBe(true);
      }
    }
  });

  it('refuses payloads that leave the target', async () => {
    // Content: count, skip, length, bytes.
    const bad = [[1, 0, 5, 1, 2, 3, 4, 5], [1, 3, 2, 9, 9], [2, 0, 1, 7], [1, 0, 2, 7], [0, 1], [0x80], []];
    for (const content of bad) {
      const payload = await engine.compress(Buffer.from(content));
      await expect(engine.xorPatch(Buffer.alloc(4), payload, 4), `${content}`).rejects.toMatchObject({
        code: 'DK_CORRUPT_DELTA',
      });
    }
    const bomb = await engine.compress(Buffer.alloc(1 << 20));
    await expect(engine.xorPatch(Buffer.alloc(4), bomb, 4)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });

  it('turns any bytes into any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (source, target) => {
        const payload = await engine.xorDiff(source, target, 1);
        expect([...(await engine.xorPatch(source, payload, target.length))]).toEqual([...target]);
      }),
      RUNS,
    );
  });
}

function describeCuts(engine: Engine): void {
  it('cuts within the limits and finds the same cuts after an insertion', async () => {
    const data = patternBytes(400_000, 12);
    const lengths = [...(await engine.cut(data, CUT))];
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(data.length);
    for (const length of lengths.slice(0, -1)) {
      expect(length).toBeGreaterThan(CUT.minBytes);
      expect(length).toBeLessThanOrEqual(CUT.maxBytes);
    }
    const shifted = [...(await engine.cut(Buffer.concat([Buffer.from('inserted'), data]), CUT))];
    expect(shifted.slice(-20)).toEqual(lengths.slice(-20));
  });

  it('handles nothing, little and uniform data, and refuses sizes out of order', async () => {
    expect([...(await engine.cut(Buffer.alloc(0), CUT))]).toEqual([]);
    expect([...(await engine.cut(Buffer.alloc(1024), CUT))]).toEqual([1024]);
    const uniform = await engine.cut(Buffer.alloc(100_000), CUT);
    expect(uniform.reduce((sum, length) => sum + length, 0)).toBe(100_000);
    await expect(engine.cut(Buffer.alloc(1), { ...CUT, minBytes: 5000 })).rejects.toThrow(RangeError);
    await expect(engine.cut(Buffer.alloc(1), { ...CUT, minBytes: 63 })).rejects.toThrow(RangeError);
    await expect(engine.cut(Buffer.alloc(1), { ...CUT, maxBytes: 2 ** 31 })).rejects.toThrow(RangeError);
  });
}

function describeBlobs(engine: Engine): void {
  const targets = [
    Buffer.alloc(0),
    textBytes(40_000, 3),
    patternBytes(40_000, 3),
    editedBytes(patternBytes(40_000, 9), 2),
    Buffer.alloc(65_536),
    Buffer.from('tiny'),
  ];
  const contexts = [0, 0, 0, 40_000, 100, 4].map((length) => patternBytes(length, 9));
  const encode = (tries: number) =>
    engine.encodeBlobs({
      targets: Buffer.concat(targets),
      targetLengths: lengthsOf(targets),
      contexts: Buffer.concat(contexts),
      contextLengths: lengthsOf(contexts),
      tries: new Uint8Array(targets.length).fill(tries),
      level: 3,
    });

  it.each([0, TRY.zstd, TRY.zstdContext, TRY.xor, ALL_TRIES])('codes a mixed batch with tries %i', async (tries) => {
    const encoded = await encode(tries);
    const decoded = await engine.decodeBlobs({
      payloads: encoded.payloads,
      payloadLengths: encoded.payloadLengths,
      codecs: encoded.codecs,
      decodedLengths: lengthsOf(targets),
      contexts: Buffer.concat(contexts),
      contextLengths: lengthsOf(contexts),
      digests: Buffer.concat(targets.map((target) => engine.digest('blake3', target))),
      algo: 'blake3',
    });
    expect([...decoded.status]).toEqual(targets.map(() => 0));
    expect(decoded.data.equals(Buffer.concat(targets))).toBe(true);
    for (const [i, target] of targets.entries()) expect(encoded.payloadLengths[i]).toBeLessThanOrEqual(target.length);
    expect(encoded.codecs[2]).toBe(CODEC.raw);
    if (tries === 0) expect([...new Set(encoded.codecs)]).toEqual([CODEC.raw]);
    if (tries === ALL_TRIES) expect(encoded.codecs[1]).toBe(CODEC.zstd);
    if (tries === ALL_TRIES) expect(encoded.codecs[3]).toBe(CODEC.zstdContext);
  });

  it('tells an undecodable payload from one with other bytes', async () => {
    const encoded = await encode(ALL_TRIES);
    const digests = Buffer.concat(targets.map((target) => engine.digest('sha256', target)));
    digests[32] = (digests[32] as number) ^ 1;
    const codecs = Uint8Array.from(encoded.codecs);
    codecs[4] = 99;
    const payloads = Buffer.from(encoded.payloads);
    const third = (encoded.payloadLengths[0] as number) + (encoded.payloadLengths[1] as number) + 40_000;
    payloads.fill(0, third, third + 8);
    const decoded = await engine.decodeBlobs({
      payloads,
      payloadLengths: encoded.payloadLengths,
      codecs,
      decodedLengths: lengthsOf(targets),
      contexts: Buffer.concat(contexts),
      contextLengths: lengthsOf(contexts),
      digests,
      algo: 'sha256',
    });
    expect([...decoded.status]).toEqual([0, 2, 0, 1, 1, 0]);
    expect(decoded.data.subarray(0, 40_000).equals(Buffer.alloc(40_000))).toBe(true);
    expect(decoded.data.subarray(40_000, 80_000).equals(targets[2] as Buffer)).toBe(true);
  });

  describeSlices(engine);

  it('never codes against a context that other decoders would read as a dictionary', async () => {
    const target = patternBytes(5000, 8);
    const context = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), target]);
    const encoded = await engine.encodeBlobs({
      targets: target,
      targetLengths: Uint32Array.of(5000),
      contexts: context,
      contextLengths: Uint32Array.of(5004),
      tries: Uint8Array.of(ALL_TRIES),
      level: 3,
    });
    expect(encoded.codecs[0]).not.toBe(CODEC.zstdContext);
  });

  it('refuses batches whose parts do not fit together', async () => {
    const batch = {
      targets: Buffer.alloc(4),
      targetLengths: Uint32Array.of(4),
      contexts: Buffer.alloc(0),
      contextLengths: Uint32Array.of(0),
      tries: Uint8Array.of(1),
      level: 3,
    };
    await expect(engine.encodeBlobs({ ...batch, targetLengths: Uint32Array.of(5) })).rejects.toThrow(RangeError);
    await expect(engine.encodeBlobs({ ...batch, tries: Uint8Array.of(1, 1) })).rejects.toThrow(RangeError);
    await expect(engine.encodeBlobs({ ...batch, level: 0 })).rejects.toThrow(RangeError);
  });
}

export function describeCoding(engine: Engine): void {
  describe('zstd', () => describeZstd(engine));
  describe('xor', () => describeXor(engine));
  describe('cut', () => describeCuts(engine));
  describe('sketches', () => describeSketches(engine));
  describe('blobs', () => describeBlobs(engine));
}
