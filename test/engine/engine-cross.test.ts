/** The two engines against each other: each must read, find and compute what the other does. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Engine, HashAlgo } from '../../src/engine/engine.js';
import { TRY } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import { alignPairs, relatedPair } from './conformance-align.js';
import { scanAll } from './conformance-reading.js';
import { rangesOfCases } from './conformance-windows.js';
import { editedBytes, lengthsOf, patternBytes, RUNS, textBytes } from './samples.js';
import { withTree } from './tree.js';

const twin = loadTwin();
/** Where the addon does not load this compares the twin with itself, and engine-native.test.ts says so. */
const other = loadEngine();
const PAIRS: [string, Engine, Engine][] = [
  [`${other.info.kind} to typescript`, other, twin],
  [`typescript to ${other.info.kind}`, twin, other],
];
const ALGOS: HashAlgo[] = ['blake3', 'sha256'];
const LENGTHS = [0, 1, 16, 17, 128, 129, 240, 241, 1024, 1025, 65_536, 200_001];

async function crossFrames(from: Engine, to: Engine): Promise<void> {
  for (const level of [1, 3, 9, 19]) {
    for (const data of [textBytes(60_000, 1), patternBytes(60_000, 1), Buffer.alloc(0), Buffer.alloc(200_000)]) {
      const magic = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), data]);
      for (const context of [Buffer.alloc(0), Buffer.from('ab'), editedBytes(data, 3), magic]) {
        const frame = await from.compress(data, { level, context });
        const decoded = await to.decompress(frame, { decodedBytes: data.length, context });
        expect(decoded.equals(data)).toBe(true);
      }
    }
  }
}

async function crossBlobs(from: Engine, to: Engine): Promise<void> {
  const source = patternBytes(60_000, 1);
  const targets = [
    textBytes(9000, 1),
    editedBytes(source, 4),
    patternBytes(30_000, 8),
    Buffer.alloc(4096),
    Buffer.alloc(0),
  ];
  const contexts = [editedBytes(textBytes(9000, 1), 2), source, Buffer.alloc(0), Buffer.from('short'), source];
  const shared = { contexts: Buffer.concat(contexts), contextLengths: lengthsOf(contexts) };
  for (const tries of [TRY.zstd, TRY.zstdContext, TRY.xor, TRY.zstd | TRY.zstdContext | TRY.xor]) {
    const encoded = await from.encodeBlobs({
      ...shared,
      targets: Buffer.concat(targets),
      targetLengths: lengthsOf(targets),
      tries: new Uint8Array(targets.length).fill(tries),
      level: 3,
    });
    const digests = Buffer.concat(targets.map((target) => from.digest('blake3', target)));
    const decoded = await to.decodeBlobs({
      ...shared,
      ...encoded,
      decodedLengths: lengthsOf(targets),
      digests,
      algo: 'blake3',
    });
    expect([...decoded.status]).toEqual([0, 0, 0, 0, 0]);
    expect(decoded.data.equals(Buffer.concat(targets))).toBe(true);
  }
}

describe.each(PAIRS)('%s', (_, from, to) => {
  it('decodes frames, with and without older bytes', () => crossFrames(from, to));

  it('decodes blobs', () => crossBlobs(from, to));

  it('finds the same ranges for windows', async () => {
    expect(await rangesOfCases(from, 1 << 20)).toEqual(await rangesOfCases(to, 1 << 20));
  });

  it('patches xor payloads of any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 500 });
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (source, target) => {
        const payload = await from.xorDiff(source, target, 3);
        expect([...(await to.xorPatch(source, payload, target.length))]).toEqual([...target]);
      }),
      RUNS,
    );
  });

  it('patches align payloads', async () => {
    for (const [name, source, target] of alignPairs()) {
      for (const effort of ['fast', 'max'] as const) {
        const payload = await from.alignDiff(source, target, effort);
        expect((await to.alignPatch(source, payload, target.length)).equals(target), `${name} ${effort}`).toBe(true);
      }
    }
    await fc.assert(
      fc.asyncProperty(relatedPair, async ([source, target]) => {
        const payload = await from.alignDiff(source, target, 'balanced');
        expect((await to.alignPatch(source, payload, target.length)).equals(target)).toBe(true);
      }),
      RUNS,
    );
  });

  it('loads the saved stat index and finds nothing changed', () =>
    withTree(async (root) => {
      await mkdir(join(root, 'a/b'), { recursive: true });
      await mkdir(join(root, 'a-b'));
      await writeFile(join(root, 'a/b/file'), 'x');
      await symlink('a', join(root, 'link'));
      const options = { root, directories: [''], recursive: true, enterAdded: true, skip: [] };
      const index = from.createStatIndex();
      const found = await index.scan(options);
      index.put(found.paths, found.rows, new Uint8Array(found.paths.length).fill(1));
      const loaded = to.createStatIndex();
      expect(loaded.load(index.save())).toBe(true);
      expect(loaded.save().equals(index.save())).toBe(true);
      expect((await loaded.scan(options)).paths).toEqual([]);
      const fresh = await to.createStatIndex().scan(options);
      expect(fresh).toEqual(found);
    }));

  it('goes on from the page table of the other', () =>
    withTree(async (root) => {
      for (const algo of ALGOS) {
        for (const size of [0, 5, 4096, 65_536, 65_537, 131_072, 700_001]) {
          await writeFile(join(root, 'file'), patternBytes(size, 2));
          const first = await scanAll(from, root, 'file', algo);
          const second = await scanAll(to, root, 'file', algo, { ...first, sourceBytes: size });
          expect(second.ranges, `${size}`).toEqual([]);
          const whole = await scanAll(to, root, 'file', algo);
          for (const part of ['pages', 'groups', 'digest'] as const) {
            expect(second[part].equals(first[part]), `${part} ${size}`).toBe(true);
            expect(whole[part].equals(first[part]), `${part} ${size}`).toBe(true);
          }
          expect(whole.ranges).toEqual(first.ranges);
        }
      }
    }));

  it('reads a batch of files alike', () =>
    withTree(async (root) => {
      const paths = Array.from({ length: 30 }, (_unused, i) => `f${i}`);
      for (const [i, path] of paths.entries()) await writeFile(join(root, path), patternBytes(i * 100, i + 1));
      await symlink('f1', join(root, 'link'));
      await mkdir(join(root, 'd'));
      const options = {
        root,
        paths: [...paths, 'link', 'd', 'none'],
        fileBytesMax: 2500,
        totalBytesMax: 20_000,
        algo: 'blake3' as const,
      };
      expect(await to.readFiles(options)).toEqual(await from.readFiles(options));
    }));
});

describe('both engines', () => {
  it('cut alike', async () => {
    const sizes = [
      { minBytes: 64, averageBytes: 64, maxBytes: 64 },
      { minBytes: 64, averageBytes: 200, maxBytes: 1000 },
      { minBytes: 1000, averageBytes: 3000, maxBytes: 3000 },
      { minBytes: 16_384, averageBytes: 65_536, maxBytes: 262_144 },
    ];
    for (const data of [patternBytes(500_000, 3), textBytes(500_000, 3), Buffer.alloc(300_000)]) {
      for (const size of sizes) expect([...(await other.cut(data, size))]).toEqual([...(await twin.cut(data, size))]);
    }
  });

  it('hash alike', () => {
    for (const length of LENGTHS) {
      const data = patternBytes(length, 2);
      for (const algo of ALGOS) expect(other.digest(algo, data)).toEqual(twin.digest(algo, data));
      for (const seed of [0n, 1n, 2n ** 64n - 1n])
        expect(other.xxh3(data, seed), `${length}`).toBe(twin.xxh3(data, seed));
    }
    for (const count of [0, 1, 2, 3, 7, 8, 9, 100]) {
      const leaves = patternBytes(count * 32, 9);
      for (const algo of ALGOS) expect(other.merkleRoot(algo, leaves)).toEqual(twin.merkleRoot(algo, leaves));
    }
  });

  it('hash any bytes alike', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.bigInt(0n, 2n ** 64n - 1n), (data, seed) => {
        expect(other.xxh3(data, seed)).toBe(twin.xxh3(data, seed));
        expect(other.digest('blake3', data)).toEqual(twin.digest('blake3', data));
      }),
      RUNS,
    );
  });
});
