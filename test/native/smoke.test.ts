import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { afterAll, describe, expect, it } from 'vitest';
import { addon, noise, prose } from './addon-door.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'dk-native-'));
afterAll(() => fs.rmSync(work, { recursive: true, force: true }));

describe('digests', () => {
  it('gives the published values', () => {
    const empty = Buffer.alloc(0);
    const abc = Buffer.from('abc');
    expect(hex(addon.digest('blake3', empty))).toBe('af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
    expect(hex(addon.digest('blake3', abc))).toBe('6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
    expect(hex(addon.digest('sha256', empty))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(hex(addon.digest('sha256', abc))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(addon.xxh3(empty)).toBe(0x2d06800538d394c2n);
  });

  it('agrees with other implementations around every boundary of the tree', async () => {
    const data = Buffer.alloc((3 << 20) + 5, 0).map((_, i) => i % 251);
    const sizes = [1, 63, 64, 65, 1023, 1024, 1025, 65535, 65536, 65537, 131071, 131072, 131073, 196608, 1 << 20];
    sizes.push((1 << 20) + 1, (1 << 20) + 65536, (2 << 20) - 1, (3 << 20) + 5);
    for (const size of sizes) {
      const piece = data.subarray(0, size);
      const plain = hex(addon.digest('blake3', piece));
      expect(hex(addon.blake3FromGroups(piece)), `groups of ${size}`).toBe(plain);
      expect(hex(await addon.digestAsync('blake3', piece)), `threads at ${size}`).toBe(plain);
      if (size <= (1 << 20) + 1) expect(plain, `noble at ${size}`).toBe(hex(blake3(piece)));
      const file = path.join(work, String(size));
      fs.writeFileSync(file, piece);
      expect(hex(await addon.digestFile('blake3', file))).toBe(plain);
      const sha = createHash('sha256').update(piece).digest('hex');
      expect(hex(addon.digest('sha256', piece))).toBe(sha);
      expect(hex(await addon.digestAsync('sha256', piece))).toBe(sha);
      expect(hex(await addon.digestFile('sha256', file))).toBe(sha);
    }
  });

  it('has a root for any number of groups', () => {
    const data = noise(11 * 65536 + 1, 3);
    for (let groups = 0; groups <= 11; groups += 1) {
      for (const tail of [0, 1]) {
        const piece = data.subarray(0, groups * 65536 + tail);
        expect(hex(addon.blake3FromGroups(piece))).toBe(hex(addon.digest('blake3', piece)));
      }
    }
  });

  it('digests pieces and refuses lengths that do not add up', async () => {
    const data = noise(1000, 1);
    const digests = await addon.digestMany('sha256', data, Uint32Array.of(0, 1, 999));
    expect(hex(digests.subarray(32, 64))).toBe(createHash('sha256').update(data.subarray(0, 1)).digest('hex'));
    expect(hex(digests.subarray(64))).toBe(createHash('sha256').update(data.subarray(1)).digest('hex'));
    expect(() => addon.digestMany('sha256', data, Uint32Array.of(5))).toThrow(RangeError);
  });

  it('reports file errors by the name of the error', async () => {
    await expect(addon.digestFile('blake3', path.join(work, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(addon.digestFile('blake3', work)).rejects.toMatchObject({ code: 'EISDIR' });
  });

  it('builds Merkle roots in the shape of RFC 6962', () => {
    const sha = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
    const reference = (leaves: Buffer[]): Buffer => {
      if (leaves.length === 0) return sha();
      if (leaves.length === 1) return leaves[0] as Buffer;
      let half = 1;
      while (half * 2 < leaves.length) half *= 2;
      return sha(Buffer.of(1), reference(leaves.slice(0, half)), reference(leaves.slice(half)));
    };
    for (let count = 0; count < 20; count += 1) {
      const leaves = Array.from({ length: count }, (_, i) => noise(32, i));
      expect(hex(addon.merkleRoot('sha256', Buffer.concat(leaves)))).toBe(hex(reference(leaves)));
    }
  });
});

describe('zstd', () => {
  it('round-trips with nothing, a context and a dictionary', async () => {
    const text = prose(200_000, 1);
    const context = Buffer.concat([noise(3 << 20, 7), text]);
    const target = Buffer.concat([text.subarray(0, 1000), context.subarray(0, 2 << 20)]);
    for (const options of [{}, { level: 19 }, { context }, { dictionary: text }]) {
      const frame = await addon.compress(target, options);
      const back = await addon.decompress(frame, { ...options, decodedBytes: target.length });
      expect(back.equals(target)).toBe(true);
      // Long-distance matching: noise from the far end of the context costs nothing.
      if ('context' in options) expect(frame.length).toBeLessThan(5000);
    }
    const empty = await addon.compress(Buffer.alloc(0));
    expect((await addon.decompress(empty, { decodedBytes: 0 })).length).toBe(0);
  });

  it('refuses damage, other lengths, two frames and skippable frames', async () => {
    const frame = await addon.compress(prose(5000, 2));
    const corrupt = { code: 'DK_CORRUPT_DELTA' };
    const skippable = Buffer.from('502a4d1800000000', 'hex');
    const hostile = [Buffer.alloc(0), frame.subarray(0, -1), Buffer.concat([frame, frame]), skippable];
    hostile.push(Buffer.concat([frame, Buffer.of(0)]), noise(100, 1));
    for (const bytes of hostile)
      await expect(addon.decompress(bytes, { decodedBytes: 5000 })).rejects.toMatchObject(corrupt);
    for (const decodedBytes of [0, 4999, 5001, 2 ** 32 - 1]) {
      await expect(addon.decompress(frame, { decodedBytes })).rejects.toMatchObject(corrupt);
    }
    expect(() => addon.compress(frame, { level: 20 })).toThrow(RangeError);
    expect(() => addon.decompress(frame, { decodedBytes: 1.5 })).toThrow(RangeError);
  });
});

describe('xor', () => {
  it('round-trips states that change, grow, shrink and vanish', async () => {
    const source = noise(100_000, 1);
    const changed = Buffer.from(source);
    for (const at of [0, 1, 9, 20, 4095, 4096, 50_000, 99_999]) changed[at] = (changed[at] as number) ^ 0xff;
    const targets = [source, changed, Buffer.concat([changed, noise(50, 2), Buffer.alloc(5000), noise(3, 3)])];
    targets.push(changed.subarray(0, 500), Buffer.alloc(0), noise(100_000, 9), Buffer.alloc(100_000));
    for (const target of targets) {
      for (const from of [source, Buffer.alloc(0), source.subarray(0, 499)]) {
        const payload = await addon.xorDiff(from, target, 3);
        expect((await addon.xorPatch(from, payload, target.length)).equals(target)).toBe(true);
      }
    }
    expect((await addon.xorDiff(source, changed, 3)).length).toBeLessThan(80);
  });

  it('refuses payloads that leave the target or do not add up', async () => {
    const contents = [
      [],
      [1],
      [1, 0, 0],
      [1, 0, 11, 1],
      [1, 10, 1, 5],
      [1, 0, 2, 1],
      [1, 0, 1, 1, 1],
      [0, 0],
      [255],
      [2, 0, 1, 7],
    ];
    contents.push([1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, 5], [1, 0x80, 0x00, 1, 5]);
    for (const content of contents) {
      const payload = await addon.compress(Buffer.from(content));
      const result = addon.xorPatch(Buffer.alloc(10), payload, 10);
      await expect(result, content.join()).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    }
    const bomb = await addon.compress(Buffer.alloc(50_000_000));
    await expect(addon.xorPatch(Buffer.alloc(10), bomb, 10)).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });
});

describe('cut', () => {
  const options = { minBytes: 16_384, averageBytes: 65_536, maxBytes: 262_144 };

  it('cuts as the document says', async () => {
    let x = 1;
    const data = Buffer.alloc(1 << 20);
    for (let i = 0; i < data.length; i += 1) {
      x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff;
      data[i] = x >> 16;
    }
    const lengths = [
      77581, 48442, 30656, 105000, 34935, 73779, 83186, 77864, 106096, 98293, 45593, 44821, 103742, 106089, 12499,
    ];
    expect([...(await addon.cut(data, options))]).toEqual(lengths);
  });

  it('adds up, keeps to its limits and survives an insertion', async () => {
    const data = noise(2 << 20, 5);
    const lengths = await addon.cut(data, options);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(data.length);
    expect(lengths.slice(0, -1).every((length) => length >= 16_384 && length <= 262_144)).toBe(true);
    const shifted = await addon.cut(Buffer.concat([Buffer.of(1), data]), options);
    expect([...shifted].slice(-5)).toEqual([...lengths].slice(-5));
    expect((await addon.cut(Buffer.alloc(0), options)).length).toBe(0);
    expect(() => addon.cut(data, { ...options, minBytes: 70_000 })).toThrow(RangeError);
  });
});

describe('syncFileSystem', () => {
  it('syncs the file system of a directory, and says when there is none', async () => {
    expect(await addon.syncFileSystem(process.cwd())).toBe(process.platform === 'linux');
    if (process.platform !== 'linux') return;
    await expect(addon.syncFileSystem('/no/such/directory')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('preallocate', () => {
  it('reserves blocks and leaves the length', () => {
    const fd = fs.openSync(path.join(work, 'reserved'), 'w');
    addon.preallocate(fd, 0, 1 << 20);
    expect(fs.fstatSync(fd).size).toBe(0);
    fs.closeSync(fd);
    expect(() => addon.preallocate(999_999, 0, 1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});
