import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Engine, HashAlgo } from '../../src/engine/engine.js';
import { patternBytes, RUNS } from './samples.js';

const ALGOS: HashAlgo[] = ['blake3', 'sha256'];

function reference(algo: HashAlgo, data: Uint8Array): string {
  return algo === 'blake3'
    ? Buffer.from(blake3(data)).toString('hex')
    : createHash('sha256').update(data).digest('hex');
}

/** RFC 6962, written down as it reads. */
function referenceRoot(algo: HashAlgo, leaves: Buffer[]): string {
  if (leaves.length === 0) return reference(algo, Buffer.alloc(0));
  if (leaves.length === 1) return (leaves[0] as Buffer).toString('hex');
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  const parts = [referenceRoot(algo, leaves.slice(0, left)), referenceRoot(algo, leaves.slice(left))];
  return reference(algo, Buffer.from(`01${parts.join('')}`, 'hex'));
}

export function describeHashing(engine: Engine): void {
  describe('digests', () => {
    it('says what it is', () => {
      expect(['native', 'typescript']).toContain(engine.info.kind);
      expect(engine.info.threads).toBeGreaterThanOrEqual(0);
    });

    it.each(ALGOS)('%s equals an independent implementation', async (algo) => {
      for (const length of [0, 1, 64, 1024, 1025, 65536, 65537, 300_000, 3_000_001]) {
        const data = patternBytes(length, length + 1);
        const expected = reference(algo, data);
        if (length <= 1 << 20) expect(engine.digest(algo, data).toString('hex')).toBe(expected);
        expect((await engine.digestAsync(algo, data)).toString('hex'), `${length}`).toBe(expected);
      }
    });

    it.each(ALGOS)('%s of pieces', async (algo) => {
      const data = patternBytes(5000, 1);
      const lengths = Uint32Array.of(0, 1, 999, 4000, 0);
      const digests = await engine.digestMany(algo, data, lengths);
      let at = 0;
      for (const [i, length] of lengths.entries()) {
        expect(digests.subarray(i * 32, i * 32 + 32).toString('hex')).toBe(
          reference(algo, data.subarray(at, at + length)),
        );
        at += length;
      }
      await expect(engine.digestMany(algo, data, Uint32Array.of(4999))).rejects.toThrow(RangeError);
    });

    it.each(ALGOS)('%s of a file', async (algo) => {
      const folder = await mkdtemp(join(tmpdir(), 'dk-digest-'));
      const data = patternBytes(2_500_000, 4);
      await writeFile(join(folder, 'file'), data);
      expect((await engine.digestFile(algo, join(folder, 'file'))).toString('hex')).toBe(reference(algo, data));
      await expect(engine.digestFile(algo, join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
      const aborted = AbortSignal.abort();
      await expect(engine.digestFile(algo, join(folder, 'file'), aborted)).rejects.toMatchObject({
        code: 'DK_ABORTED',
      });
      await rm(folder, { recursive: true });
    });

    it.each(ALGOS)('%s Merkle root is RFC 6962 shaped', (algo) => {
      for (let count = 0; count <= 20; count += 1) {
        const leaves = Array.from({ length: count }, (_, i) => patternBytes(32, i + 1));
        expect(engine.merkleRoot(algo, Buffer.concat(leaves)).toString('hex'), `${count}`).toBe(
          referenceRoot(algo, leaves),
        );
      }
      expect(() => engine.merkleRoot(algo, Buffer.alloc(33))).toThrow(RangeError);
    });

    it('XXH3-64 has the published values', () => {
      expect(engine.xxh3(new Uint8Array(0))).toBe(0x2d06800538d394c2n);
      expect(engine.xxh3(Buffer.from('abc'))).toBe(0x78af5f94892f3950n);
      expect(engine.xxh3(Buffer.from('abc'), 1n)).not.toBe(engine.xxh3(Buffer.from('abc')));
    });

    it('refuses wrong arguments', () => {
      expect(() => engine.digest('md5' as HashAlgo, new Uint8Array(0))).toThrow(TypeError);
      expect(() => engine.digest('sha256', 'text' as unknown as Uint8Array)).toThrow(TypeError);
      expect(() => engine.xxh3(new Uint8Array(0), -1n)).toThrow(RangeError);
    });

    it('digests any bytes alike, at once and off the event loop', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), async (data) => {
          for (const algo of ALGOS) {
            expect(engine.digest(algo, data).toString('hex')).toBe(reference(algo, data));
            expect(engine.digest(algo, data)).toEqual(await engine.digestAsync(algo, data));
          }
        }),
        RUNS,
      );
    });
  });
}
