/** What the state encoder uses of an engine: sparse deltas, group digests, page hashes, dictionaries. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Engine, FROM_ZEROS } from '../../src/engine/engine.js';
import { editedBytes, lengthsOf, patternBytes, RUNS, textBytes } from './samples.js';

/** A copy with this share of its bytes changed, at seeded positions. */
export function scattered(source: Buffer, count: number, seed: number): Buffer {
  const target = Buffer.from(source);
  const picks = patternBytes(count * 5, seed);
  for (let i = 0; i < count; i += 1) {
    const at = picks.readUInt32LE(i * 5) % target.length;
    target[at] = picks[i * 5 + 4] as number;
  }
  return target;
}

function periodic(source: Buffer, every: number): Buffer {
  const target = Buffer.from(source);
  for (let i = 0; i < target.length; i += every) target[i] = ~(target[i] as number) & 255;
  return target;
}

async function tripBytes(engine: Engine, source: Buffer, target: Buffer): Promise<number> {
  const { payload, digest, groups } = await engine.sparseDiff(source, target, 3);
  expect([digest.length, groups.length]).toEqual([0, 0]);
  const { data } = await engine.sparsePatch(source, payload, target.length);
  expect(data.equals(target)).toBe(true);
  return payload.length;
}

function describeSparse(engine: Engine): void {
  it('sparse: every shape comes back', async () => {
    const source = patternBytes(150_000, 4);
    const targets = [
      source,
      Buffer.alloc(0),
      source.subarray(0, 70_001),
      Buffer.concat([source, patternBytes(9000, 1)]),
      Buffer.concat([source, Buffer.alloc(70_000)]),
      editedBytes(source, 6),
      scattered(source, 1500, 1),
      scattered(source, 40_000, 2),
      periodic(source, 20),
      periodic(source, 7),
      // A period that breaks now and then, and one beyond a block.
      scattered(periodic(source, 11), 40, 3),
      periodic(source, 64),
      periodic(source, 65),
      patternBytes(150_000, 5),
      Buffer.alloc(150_000),
    ];
    for (const target of targets) {
      for (const from of [source, Buffer.alloc(0), source.subarray(0, 65_536)]) await tripBytes(engine, from, target);
    }
  });

  it('sparse: any two byte strings', async () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    const small = fc.array(fc.constantFrom(0, 0, 0, 1), { maxLength: 600 });
    await fc.assert(
      fc.asyncProperty(bytes, bytes, small, small, async (a, b, c, d) => {
        await tripBytes(engine, Buffer.from(a), Buffer.from(b));
        await tripBytes(engine, Buffer.from(c), Buffer.from(d));
      }),
      { ...RUNS, numRuns: 150 },
    );
  });

  it('sparse: scattered changes cost what they are worth, patterns next to nothing', async () => {
    const source = patternBytes(1 << 20, 1);
    const count = 10_486;
    const target = scattered(source, count, 3);
    let changed = 0;
    for (let i = 0; i < source.length; i += 1) if (source[i] !== target[i]) changed += 1;
    const share = changed / source.length;
    const bits = -source.length * (share * Math.log2(share) + (1 - share) * Math.log2(1 - share));
    const bound = bits / 8 + (changed * Math.log2(255)) / 8;
    expect(await tripBytes(engine, source, target)).toBeLessThan(bound * 1.02);
    expect(await tripBytes(engine, source, periodic(source, 100))).toBeLessThan(60);
    expect(await tripBytes(engine, source, source)).toBe(1);
  });

  it('sparse: damage is refused or keeps the length, and never harms', async () => {
    const source = textBytes(9000, 1);
    const target = scattered(Buffer.concat([source, source]), 300, 2);
    const { payload } = await engine.sparseDiff(source, target, 3);
    for (let at = 0; at < payload.length; at += 1) {
      for (const flip of [1, 0x80, 0xff]) {
        const bad = Buffer.from(payload);
        bad[at] = (bad[at] as number) ^ flip;
        const made = await engine
          .sparsePatch(source, bad, target.length)
          .then(({ data }) => data.length)
          .catch((error: { code?: string }) => error.code);
        expect([target.length, 'DK_CORRUPT_DELTA']).toContain(made);
      }
      await expect(engine.sparsePatch(source, payload.subarray(0, at), target.length)).rejects.toMatchObject({
        code: 'DK_CORRUPT_DELTA',
      });
    }
    const more = Buffer.concat([payload, Buffer.alloc(1)]);
    await expect(engine.sparsePatch(source, more, target.length)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    await expect(engine.sparsePatch(source, payload, 100)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });

  it.each(['blake3', 'xxh3', undefined] as const)(
    'sparse: the digest comes along (%s), whatever the group values',
    async (kind) => {
      const long = patternBytes(400_000, 2);
      for (const source of [long, long.subarray(0, 65_536), long.subarray(0, 131_072), Buffer.alloc(0)]) {
        const known = await engine.groupDigest(source, false, kind);
        if (kind !== 'xxh3') expect(known.digest.equals(engine.digest('blake3', source))).toBe(true);
        const other = await engine.groupDigest(source, false, kind === 'xxh3' ? 'blake3' : 'xxh3');
        for (const target of [source, scattered(long, 3, 1), long.subarray(0, 131_072), long.subarray(0, 65_537)]) {
          const { digest } = await engine.groupDigest(target, false, kind);
          expect(digest.length).toBe(kind === 'xxh3' ? 16 : 32);
          for (const groups of [known.groups, Buffer.alloc(0), Buffer.alloc(31), other.groups]) {
            const made = await engine.sparseDiff(source, target, 3, groups, kind);
            expect(made.digest.equals(digest)).toBe(true);
            const back = await engine.sparsePatch(source, made.payload, target.length, groups, undefined, kind);
            expect(back.digest.equals(digest)).toBe(true);
            expect(back.groups.equals(made.groups)).toBe(true);
          }
        }
      }
      await expect(engine.groupDigest(long, false, 'sha256' as never)).rejects.toThrow(TypeError);
      await expect(engine.sparseDiff(long, long, 3, Buffer.alloc(0), 'md5' as never)).rejects.toThrow(TypeError);
      await expect(
        engine.sparsePatch(long, Buffer.alloc(1), 9, Buffer.alloc(0), undefined, 1 as never),
      ).rejects.toThrow(TypeError);
    },
  );
}

export function describeStates(engine: Engine): void {
  describeSparse(engine);

  it('groupDigest and copyBytes: copies of their own', async () => {
    for (const length of [0, 1, 5000, 65_536, 65_537, 400_000]) {
      const data = patternBytes(length, 3);
      const { digest, copy = Buffer.alloc(9) } = await engine.groupDigest(data, true);
      const plain = await engine.copyBytes(data);
      expect([digest.equals(engine.digest('blake3', data)), copy.equals(data), plain.equals(data)]).toEqual([
        true,
        true,
        true,
      ]);
      data.fill(0xff);
      if (length > 1) expect([copy.equals(data), plain.equals(data)]).toEqual([false, false]);
      for (const none of [undefined, false]) expect((await engine.groupDigest(data, none)).copy).toBeUndefined();
    }
    for (const wrong of [1, 0, 'yes', null, {}]) {
      await expect(engine.groupDigest(Buffer.alloc(9), wrong as never)).rejects.toThrow(TypeError);
    }
    engine.holdSpareMemory(1 << 20);
    engine.releaseSpareMemory();
    engine.releaseSpareMemory();
    expect(() => engine.holdSpareMemory(-1)).toThrow(RangeError);
  });

  it('copyRanges: what was asked for and nothing else', async () => {
    const from = patternBytes(700_000, 7);
    const shared = new Uint8Array(new SharedArrayBuffer(from.length));
    shared.set(from);
    for (const source of [from, shared]) {
      const into = engine.createRoom(1_000_000).fill(9);
      await engine.copyRanges(into, source, Float64Array.of(3, 0, 700_000, 700_100, FROM_ZEROS, 50, 0, 699_999, 1));
      const wanted = Buffer.alloc(1_000_000, 9);
      from.copy(wanted, 3);
      wanted.fill(0, 700_100, 700_150);
      wanted[0] = from[699_999] as number;
      expect(into.equals(wanted)).toBe(true);
    }
    const into = Buffer.alloc(10, 1);
    await engine.copyRanges(into, from, new Float64Array(0));
    await engine.copyRanges(into, Buffer.alloc(0), Float64Array.of(10, 0, 0, 4, FROM_ZEROS, 6));
    expect(into.toString('hex')).toBe('01010101000000000000');
    const wrong = [
      [0, 0, 11],
      [1, 0, 10],
      [0, 699_999, 2],
      [0, -2, 1],
      [-1, 0, 1],
      [0.5, 0, 1],
      [0, Number.NaN, 1],
      [0, 0],
    ];
    for (const row of wrong) {
      await expect(engine.copyRanges(into, from, Float64Array.from(row))).rejects.toThrow(RangeError);
    }
    expect(engine.createRoom(0)).toHaveLength(0);
    expect(() => engine.createRoom(-1)).toThrow(RangeError);
  });

  it('sparsePatch: into memory of the caller', async () => {
    const source = patternBytes(200_000, 7);
    const target = scattered(source, 50, 3);
    const { payload, digest } = await engine.sparseDiff(source, target, 3, Buffer.alloc(0));
    const into = Buffer.alloc(200_010, 9).subarray(2);
    const made = await engine.sparsePatch(source, payload, target.length, Buffer.alloc(0), into);
    expect([made.data.buffer, made.data.byteOffset]).toEqual([into.buffer, into.byteOffset]);
    expect([made.data.equals(target), made.digest.equals(digest)]).toEqual([true, true]);
    expect(into.subarray(target.length).every((byte) => byte === 9)).toBe(true);
    await expect(
      engine.sparsePatch(source, payload, target.length, undefined, Buffer.alloc(target.length - 1)),
    ).rejects.toThrow(RangeError);
  });

  it.each(['blake3', 'xxh3'] as const)(
    'sparseDiffSync and sparsePatchSync: as the others, or nothing (%s)',
    async (kind) => {
      const source = patternBytes(200_000, 7);
      const { groups } = await engine.groupDigest(source, false, kind);
      for (const target of [
        source,
        scattered(source, 500, 3),
        source.subarray(0, 70_000),
        Buffer.concat([source, source]),
      ]) {
        const slow = await engine.sparseDiff(source, target, 3, groups, kind);
        const how = { level: 3, groups, kind, changedMax: 250_000 };
        const into = Buffer.alloc(target.length);
        const made = engine.sparseDiffSync(source, target, how);
        const digest = engine.sparsePatchSync(source, slow.payload, into, how);
        if (engine.info.kind === 'native') {
          expect(made?.equals(Buffer.concat([slow.digest, slow.payload]))).toBe(true);
          expect(digest?.equals(slow.digest)).toBe(true);
          expect(into.equals(target)).toBe(true);
        } else expect([made, digest]).toEqual([undefined, undefined]);
      }
      const target = scattered(source, 500, 3);
      const { payload } = await engine.sparseDiff(source, target, 3);
      const few = { level: 3, groups, kind, changedMax: 400 };
      expect(engine.sparseDiffSync(source, target, few)).toBeUndefined();
      const into = Buffer.alloc(target.length, 7);
      expect(engine.sparsePatchSync(source, payload, into, few)).toBeUndefined();
      expect(into.every((byte) => byte === 7)).toBe(true);
      expect(engine.sparsePatchSync(source, payload.subarray(1), into, { ...few, changedMax: 9999 })).toBeUndefined();
      expect(() => engine.sparseDiffSync(source, target, { ...few, changedMax: -1 })).toThrow(RangeError);
      expect(() => engine.sparsePatchSync(source, payload, into, { ...few, kind: 'md5' as never })).toThrow(TypeError);
    },
  );

  it('equalBytes: all of them, views that overlap, and what is no bytes', async () => {
    for (const length of [0, 1, 300_000, (32 << 20) + 3]) {
      const data = Buffer.alloc(length, 'abc');
      expect(await engine.equalBytes(data, Buffer.from(data))).toBe(true);
      if (length < 7) continue;
      expect(await engine.equalBytes(data.subarray(3), data.subarray(0, -3))).toBe(true);
      expect(await engine.equalBytes(data.subarray(1), data.subarray(0, -1))).toBe(false);
      expect(await engine.equalBytes(data, data.subarray(0, -3))).toBe(false);
      const other = Buffer.from(data);
      other[length - 1] = 0;
      expect(await engine.equalBytes(data, other)).toBe(false);
    }
    await expect(engine.equalBytes(Buffer.alloc(1), 'a' as never)).rejects.toThrow(TypeError);
  });

  it('xxh3Async: as xxh3', async () => {
    for (const length of [0, 1, 300_000]) {
      const data = patternBytes(length, 3);
      expect(await engine.xxh3Async(data)).toBe(engine.xxh3(data));
      expect(await engine.xxh3Async(data, 77n)).toBe(engine.xxh3(data, 77n));
    }
    await expect(engine.xxh3Async(Buffer.alloc(1), -1n)).rejects.toThrow(RangeError);
  });

  it('pageHashes: one value per page, the same for the same page and seed only', async () => {
    const data = Buffer.concat([patternBytes(4096, 1), patternBytes(4096, 1), patternBytes(100, 1)]);
    const hashes = await engine.pageHashes(data, Buffer.alloc(16, 1));
    const other = await engine.pageHashes(data, Buffer.alloc(16, 2));
    expect([hashes.length, other.length]).toEqual([48, 48]);
    expect(hashes.subarray(0, 16).equals(hashes.subarray(16, 32))).toBe(true);
    expect(hashes.subarray(0, 16).equals(hashes.subarray(32, 48))).toBe(false);
    expect(hashes.subarray(0, 16).equals(other.subarray(0, 16))).toBe(false);
    expect(hashes.toString('hex')).toBe(
      '43f1236f9d251c110e0a824e0fc5714043f1236f9d251c110e0a824e0fc571409190c15fef35481a0de7dd30ba9d566b',
    );
    expect(await engine.pageHashes(Buffer.alloc(0), Buffer.alloc(16))).toHaveLength(0);
    await expect(engine.pageHashes(data, Buffer.alloc(8))).rejects.toThrow(RangeError);
  });

  it('trainDictionary: finds what samples share, to the byte', async () => {
    const record = (i: number): Buffer =>
      Buffer.concat([
        patternBytes(100, i),
        Buffer.from(`{"user":"name","kind":"session","id":${i},"roles":["reader","writer"]}`),
        patternBytes(50, i + 500),
      ]);
    const samples = Array.from({ length: 60 }, (_, i) => record(i));
    const dictionary = await engine.trainDictionary(Buffer.concat(samples), lengthsOf(samples), 2048);
    expect(dictionary.includes('"kind":"session","id":')).toBe(true);
    expect(dictionary.length).toBeLessThanOrEqual(2048);
    const fresh = record(99);
    const alone = await engine.compress(fresh);
    const helped = await engine.compress(fresh, { dictionary });
    expect(helped.length).toBeLessThan(alone.length - 30);
    expect((await engine.decompress(helped, { decodedBytes: fresh.length, dictionary })).equals(fresh)).toBe(true);
    expect(await engine.trainDictionary(Buffer.alloc(0), new Uint32Array(0), 2048)).toHaveLength(0);
    expect(createHash('sha256').update(dictionary).digest('hex').slice(0, 16)).toBe('0fc2cfabe3cf4372');
    await expect(engine.trainDictionary(Buffer.alloc(10), new Uint32Array([9]), 2048)).rejects.toThrow();
  });
}
