import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DeltaChoice, diff, digest, inspectDelta, patch } from '../../src/delta/delta.js';
import { DELTA_ENGINES } from '../../src/delta/engines.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes } from '../engine/samples.js';

const noise = randomBytes(200_000);
function edited(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.write('edited here', at);
  return copy;
}

/** Puts a new checksum under changed bytes, so that the checks behind it are reached. */
function resealed(delta: Buffer): Buffer {
  const copy = Buffer.from(delta);
  if (((copy[2] ?? 0) & 0x80) !== 0) {
    const at = copy.length - 2;
    copy.writeUInt16LE(Number(loadEngine().xxh3(copy.subarray(0, at)) & 0xffffn), at);
    return copy;
  }
  const end = copy.length - 8;
  copy.writeBigUInt64LE(loadEngine().xxh3(copy.subarray(0, end)), end);
  return copy;
}

describe('diff and patch', () => {
  it.each<DeltaChoice>(['auto', 'align', 'bsdiff', 'xdelta', 'zstd', 'xor'])(
    '%s brings the target back',
    async (engine) => {
      const cases: [Buffer, Buffer][] = [
        [Buffer.alloc(0), Buffer.alloc(0)],
        [Buffer.alloc(0), Buffer.from('abc')],
        [Buffer.from('abc'), Buffer.alloc(0)],
        [noise, edited(noise, 1000)],
        [noise, Buffer.concat([Buffer.from('shift'), noise])],
        [noise, noise.subarray(0, 1234)],
        [Buffer.alloc(50_000, 'text '), randomBytes(5000)],
      ];
      for (const [source, target] of cases) {
        const delta = await diff(source, target, { engine });
        expect(delta.length).toBeLessThanOrEqual(target.length + 96);
        expect((await patch(source, delta)).equals(target)).toBe(true);
      }
    },
  );

  it('holds for arbitrary bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 3000 });
    const property = fc.asyncProperty(
      bytes,
      bytes,
      fc.constantFrom<DeltaChoice>('auto', 'align', 'bsdiff', 'xdelta', 'zstd', 'xor'),
      async (a, b, engine) => {
        expect(Buffer.compare(await patch(a, await diff(a, b, { engine })), b)).toBe(0);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it('auto is the smallest', async () => {
    const target = edited(noise, 5000);
    const sizes = await Promise.all(
      (['auto', 'align', 'zstd', 'xor'] as const).map(async (engine) => (await diff(noise, target, { engine })).length),
    );
    expect(sizes[0]).toBe(Math.min(...sizes));
    expect(sizes[0]).toBeLessThan(400);
  });

  it('says what it is', async () => {
    const target = edited(noise, 0);
    const info = await inspectDelta(await diff(noise, target, { hashAlgo: 'sha256', engine: 'xor' }));
    expect(info).toMatchObject({
      engine: 'xor',
      hashAlgo: 'sha256',
      sourceBytes: noise.length,
      targetBytes: target.length,
    });
    expect(info.targetDigest).toBe((await digest(target, { hashAlgo: 'sha256' })).toString('hex'));
    const small = await inspectDelta(await diff(noise, target.subarray(0, 500), { hashAlgo: 'sha256' }));
    const whole = await digest(target.subarray(0, 500), { hashAlgo: 'sha256' });
    expect(small.targetDigest).toBe(whole.subarray(0, 8).toString('hex'));
    expect(small.sourceDigest).toBe(info.sourceDigest.slice(0, 8));
    expect(small).toMatchObject({ sourceBytes: noise.length, targetBytes: 500, hashAlgo: 'sha256' });
  });

  it('has engines with numbers of their own', () => {
    expect(new Set(DELTA_ENGINES.map(({ number }) => number)).size).toBe(DELTA_ENGINES.length);
  });
});

describe('bad input', () => {
  it('tells the wrong source from a damaged delta', async () => {
    const delta = await diff(noise, edited(noise, 9));
    await expect(patch(edited(noise, 0), delta)).rejects.toMatchObject({ code: 'DK_SOURCE_MISMATCH' });
  });

  it.each([300, 70_000])('finds every flipped bit and every cut: %i bytes', async (bytes) => {
    const source = patternBytes(bytes, 3);
    const delta = await diff(source, edited(Buffer.from(source), 100));
    for (let at = 0; at < delta.length; at += 1) {
      const bad = Buffer.from(delta);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      await expect(patch(source, bad), `byte ${at}`).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
      await expect(patch(source, delta.subarray(0, at))).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    }
  });

  it('checks fields behind a right checksum', async () => {
    const source = Buffer.alloc(70_000, 'abc');
    const delta = await diff(source, edited(source, 9));
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(delta);
      copy[at] = value;
      return resealed(copy);
    };
    const code = (bad: Buffer) => patch(source, bad).catch((error: { code: string }) => error.code);
    expect(await code(changed(4, 2))).toBe('DK_UNSUPPORTED');
    expect(await code(changed(5, 200))).toBe('DK_UNSUPPORTED');
    expect(await code(changed(6, 9))).toBe('DK_CORRUPT_DELTA');
    expect(await code(changed(7, 1))).toBe('DK_CORRUPT_DELTA');
    expect(await code(changed(8, 0xf1))).toBe('DK_SOURCE_MISMATCH');
    expect(await code(changed(11, 0xf1))).toMatch(/DK_(DIGEST_MISMATCH|CORRUPT_DELTA)/);
    expect(await code(changed(14 + 32, (delta[46] ?? 0) ^ 1))).toBe('DK_DIGEST_MISMATCH');
    const long = Buffer.concat([delta.subarray(0, 8), Buffer.alloc(8, 0xff), delta.subarray(16)]);
    expect(await code(resealed(long))).toBe('DK_CORRUPT_DELTA');
    // 70,000 written in four bytes: one number must have one form.
    const padded = Buffer.concat([delta.subarray(0, 8), Buffer.from([0xf0, 0xa2, 0x84, 0x00]), delta.subarray(11)]);
    expect(await code(resealed(padded))).toBe('DK_CORRUPT_DELTA');
  });

  it('checks the fields of the compact form', async () => {
    const source = Buffer.from('abcabc');
    const delta = await diff(source, Buffer.from('abcabd'));
    const code = (bad: Buffer) => patch(source, bad).catch((error: { code: string }) => error.code);
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(delta);
      copy[at] = value;
      return resealed(copy);
    };
    expect([...delta.subarray(0, 5)]).toEqual([0x44, 0x4b, 0xc0, 6, 0]);
    expect(await code(changed(2, 0xdf))).toBe('DK_UNSUPPORTED');
    // SHA-256; and the older form, for whose digests there are too few bytes.
    expect(await code(changed(2, 0xe0))).toBe('DK_SOURCE_MISMATCH');
    expect(await code(changed(2, 0x80))).toBe('DK_CORRUPT_DELTA');
    expect(await code(changed(3, 7))).toMatch(/DK_(SOURCE_MISMATCH|DIGEST_MISMATCH)/);
    // A source of 7 bytes, of 6 - 7 bytes.
    expect(await code(changed(4, 2))).toBe('DK_SOURCE_MISMATCH');
    expect(await code(changed(4, 13))).toBe('DK_CORRUPT_DELTA');
    expect(await code(changed(5, (delta[5] ?? 0) ^ 1))).toBe('DK_SOURCE_MISMATCH');
    expect(await code(changed(13, (delta[13] ?? 0) ^ 1))).toBe('DK_DIGEST_MISMATCH');
    expect(
      await code(resealed(Buffer.concat([delta.subarray(0, 3), Buffer.from([0x80, 0x80, 4]), delta.subarray(4)]))),
    ).toBe('DK_CORRUPT_DELTA');
    expect(await code(resealed(Buffer.concat([delta.subarray(0, 3), Buffer.alloc(28)])))).toBe('DK_SOURCE_MISMATCH');
    expect(await code(delta.subarray(0, 3))).toBe('DK_CORRUPT_DELTA');
  });

  // Written by an older release, which kept 8 and 16 bytes of the digests.
  it.each([
    ['blake3', 8, '444b8006008a120b9472cc2c98227e4f8b4e47f6ba52d8269e37f92aaf616263616264d027'],
    ['sha256', 8, '444ba00600bbb59da3af939f7aaf5e91834cf1471e66bfb875c6bd91bd6162636162642106'],
  ])('reads the older compact form: %s', async (hashAlgo, kept, bytes) => {
    const delta = Buffer.from(bytes, 'hex');
    expect((await patch(Buffer.from('abcabc'), delta)).toString()).toBe('abcabd');
    const info = await inspectDelta(delta);
    expect(info.hashAlgo).toBe(hashAlgo);
    expect([info.sourceDigest.length, info.targetDigest.length]).toEqual([2 * kept, 4 * kept]);
    for (let at = 0; at < delta.length; at += 1) {
      const bad = Buffer.from(delta);
      bad[at] = (bad[at] ?? 0) ^ 4;
      await expect(patch(Buffer.from('abcabc'), bad)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    }
  });

  it('is twelve bytes shorter than the older form', async () => {
    const old = '444b83b00400ed6697cf0a0e25d42dd9ec80e355fbdf0efe6e33332c988528b52ffd200529000001ac0201472393';
    const source = Buffer.from('line of text, '.repeat(40));
    const target = Buffer.from(source);
    target.write('!', 300);
    expect((await patch(source, Buffer.from(old, 'hex'))).equals(target)).toBe(true);
    expect((await diff(source, target)).length).toBe(old.length / 2 - 12);
  });

  it('bounds the target before work', async () => {
    const delta = await diff(Buffer.alloc(0), Buffer.alloc(5000));
    await expect(patch(Buffer.alloc(0), delta, { targetBytesMax: 4999 })).rejects.toMatchObject({ code: 'DK_LIMIT' });
  });

  it('refuses wrong arguments and stops when asked', async () => {
    await expect(diff('a' as unknown as Buffer, noise)).rejects.toThrow(TypeError);
    await expect(diff(noise, noise, { level: 0 })).rejects.toThrow(RangeError);
    await expect(diff(noise, noise, { effort: 'best' as 'max' })).rejects.toThrow(TypeError);
    await expect(diff(noise, noise, { engine: 'best' as DeltaChoice })).rejects.toThrow(TypeError);
    await expect(diff(noise, noise, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'DK_ABORTED' });
    await expect(patch(noise, noise, { targetBytesMax: -1 })).rejects.toThrow(RangeError);
  });
});
