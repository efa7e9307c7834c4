import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDiffKeeperError, LIMITS, pathBytes, pathFromBytes } from '../../src/core/core.js';
import {
  ByteReader,
  ByteWriter,
  type Checkpoint,
  decodeCheckpoint,
  decodeExtents,
  decodeMarker,
  decodeRecord,
  decodeVersionsRecord,
  type Extent,
  encodeCheckpoint,
  encodeExtents,
  encodeMarker,
  encodeRecord,
  encodeVersion,
  encodeVersionsRecord,
  extentsBytes,
  hasSafePath,
  mergeExtents,
  RECORD,
  removedVersion,
  sliceExtents,
  VERSION_TYPE,
  type Version,
} from '../../src/format/format.js';

/** A stand-in checksum: the codecs only carry it. */
const checksum = (bytes: Uint8Array): bigint => {
  let sum = 7n;
  for (const byte of bytes) sum = BigInt.asUintN(64, sum * 1099511628211n + BigInt(byte));
  return sum;
};
const digestOf = (n: number): Buffer => Buffer.alloc(32, n);
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return isDiffKeeperError(error) ? error.code : String(error);
  }
  return 'no error';
};

const extentArbitrary: fc.Arbitrary<Extent> = fc.oneof(
  fc.record({
    digest: fc.integer({ min: 1, max: 9 }).map(digestOf),
    offset: fc.integer({ min: 0, max: 1000 }),
    length: fc.integer({ min: 1, max: LIMITS.blobBytes - 1000 }),
  }),
  fc.record({ digest: fc.constant(null), offset: fc.constant(0), length: fc.integer({ min: 1, max: 1 << 20 }) }),
);

function fileVersion(path: string, extra: Partial<Version> = {}): Version {
  const base = { ...removedVersion(path, 7), type: VERSION_TYPE.file, mode: 0o644, size: 5, digest: digestOf(3) };
  return { ...base, recipe: { kind: 'whole' }, mtimeNs: -5n, uid: 1000, gid: 4294967295, ...extra };
}

describe('numbers', () => {
  it('round trip and stay within bounds', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (small, large) => {
        const bytes = new ByteWriter(1).varint(small).varint64(large).finish();
        const reader = new ByteReader(bytes, 'DK_CORRUPT_RECORD', 'test');
        expect(reader.varint()).toBe(small);
        expect(reader.varint64()).toBe(large);
        reader.expectEnd();
      }),
    );
  });

  it('refuse what is cut short or too long', () => {
    const read = (bytes: number[]) => () => new ByteReader(Buffer.from(bytes), 'DK_CORRUPT_RECORD', 'test').varint();
    expect(codeOf(read([]))).toBe('DK_CORRUPT_RECORD');
    expect(codeOf(read([0x80]))).toBe('DK_CORRUPT_RECORD');
    expect(codeOf(read(new Array(9).fill(0xff)))).toBe('DK_CORRUPT_RECORD');
    expect(() => new ByteWriter().varint(-1)).toThrow(RangeError);
  });
});

describe('extents', () => {
  it('round trip', () => {
    fc.assert(
      fc.property(fc.array(extentArbitrary, { maxLength: 40 }), (extents) => {
        expect(decodeExtents(encodeExtents(extents))).toEqual(extents);
      }),
    );
  });

  it('slices and merges cover the same bytes', () => {
    fc.assert(
      fc.property(fc.array(extentArbitrary, { minLength: 1, maxLength: 20 }), fc.nat(), fc.nat(), (extents, a, b) => {
        const total = extentsBytes(extents);
        const offset = a % total;
        const length = b % (total - offset + 1);
        const slices = sliceExtents(extents, offset, length);
        expect(extentsBytes(slices)).toBe(length);
        const again = [
          ...sliceExtents(extents, 0, offset),
          ...slices,
          ...sliceExtents(extents, offset + length, total - offset - length),
        ];
        expect(mergeExtents(again)).toEqual(mergeExtents(extents));
      }),
    );
  });

  it('refuse any cut or forged list with a typed error', () => {
    const good = encodeExtents([
      { digest: digestOf(1), offset: 0, length: 10 },
      { digest: null, offset: 0, length: 20 },
    ]);
    for (let end = 0; end < good.length; end += 1) {
      expect(codeOf(() => decodeExtents(good.subarray(0, end)))).toBe('DK_CORRUPT_RECIPE');
    }
    expect(codeOf(() => decodeExtents(Buffer.concat([good, Buffer.of(0)])))).toBe('DK_CORRUPT_RECIPE');
    expect(codeOf(() => decodeExtents(Buffer.from([0xff, 0xff, 0xff, 0x7f])))).toBe('DK_CORRUPT_RECIPE');
    const outside = new ByteWriter()
      .varint(1)
      .bytes(digestOf(1))
      .varint(1)
      .varint(1)
      .varint(LIMITS.blobBytes)
      .varint(1);
    expect(codeOf(() => decodeExtents(outside.finish()))).toBe('DK_CORRUPT_RECIPE');
    expect(codeOf(() => sliceExtents([{ digest: null, offset: 0, length: 4 }], 2, 3))).toBe('DK_CORRUPT_RECIPE');
  });
});

describe('versions', () => {
  const versions: Version[] = [
    removedVersion('gone', 7),
    { ...removedVersion('', 7), type: VERSION_TYPE.directory, mode: 0o700 },
    fileVersion('a/b'),
    fileVersion('empty', { size: 0, recipe: { kind: 'empty' } }),
    fileVersion('hard', { linkId: (1n << 64n) - 1n, sparse: true, xattrs: Buffer.from('x') }),
    fileVersion('inline', { recipe: { kind: 'inline', extents: [{ digest: digestOf(2), offset: 1, length: 5 }] } }),
    fileVersion('large', {
      size: LIMITS.regionBytes + 1,
      recipe: { kind: 'regions', regions: [digestOf(4), digestOf(5)] },
    }),
    {
      ...removedVersion(pathFromBytes(Buffer.from([0xff, 0xfe])), 7),
      type: VERSION_TYPE.symlink,
      mode: 0o777,
      size: 2,
      linkText: Buffer.from([0x2f, 0xff]),
      digest: digestOf(6),
    },
  ];

  it('round trip, names that are not UTF-8 included', () => {
    const decoded = decodeVersionsRecord(encodeVersionsRecord(7, versions.map(encodeVersion)));
    expect(decoded.sequence).toBe(7);
    expect(decoded.versions).toEqual(versions);
    expect(pathBytes(decoded.versions[7]?.path ?? '')).toEqual(Buffer.from([0xff, 0xfe]));
  });

  it('refuse every cut and survive every flipped byte', () => {
    const good = encodeVersionsRecord(7, versions.map(encodeVersion));
    for (let end = 0; end < good.length; end += 1) {
      expect(codeOf(() => decodeVersionsRecord(good.subarray(0, end)))).toMatch(/^DK_CORRUPT/);
    }
    for (let at = 0; at < good.length; at += 1) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0xff;
      expect(codeOf(() => decodeVersionsRecord(bad))).toMatch(/^(DK_CORRUPT|no error)/);
    }
  });

  it('tells safe paths from unsafe ones', () => {
    for (const path of ['../x', '/x', 'a//b', 'a/./b', 'a/..', 'x\0y', 'n'.repeat(256)]) {
      expect(hasSafePath(fileVersion(path))).toBe(false);
    }
    expect(hasSafePath(fileVersion('a/b..c'))).toBe(true);
    expect(hasSafePath(fileVersion(''))).toBe(false);
  });
});

describe('records', () => {
  const payload = Buffer.from('payload');
  const record = encodeRecord(
    {
      kind: RECORD.blob,
      codec: 1,
      depth: 3,
      digest: digestOf(9),
      decodedBytes: 100,
      contextList: Buffer.from('ctx'),
      payload,
    },
    checksum,
  );

  it('round trip', () => {
    const { head, contextList, payload: found } = decodeRecord(record, 0, checksum);
    expect(head).toMatchObject({
      kind: RECORD.blob,
      codec: 1,
      depth: 3,
      decodedBytes: 100,
      recordBytes: record.length,
    });
    expect(contextList.toString()).toBe('ctx');
    expect(found.toString()).toBe('payload');
  });

  it('refuse every flipped byte and every cut', () => {
    for (let at = 0; at < record.length; at += 1) {
      const bad = Buffer.from(record);
      bad[at] = (bad[at] as number) ^ 1;
      expect(codeOf(() => decodeRecord(bad, 0, checksum))).toBe('DK_CORRUPT_RECORD');
      expect(codeOf(() => decodeRecord(record.subarray(0, at), 0, checksum))).toBe('DK_CORRUPT_RECORD');
    }
  });
});

describe('checkpoints and marker', () => {
  const checkpoint: Checkpoint = {
    sequence: 12,
    timeMs: 1.5e12,
    root: digestOf(1),
    entries: 3,
    treeBytes: 2 ** 40,
    changed: 2,
    removed: 1,
    storedBytes: 999,
    changedBytes: 12345,
    frozen: true,
    pauseMs: 3.25,
    tag: 'before the upgrade ✓',
  };

  it('round trip', () => {
    const record = { checkpoint, previous: digestOf(8), parts: [digestOf(2), digestOf(3)] };
    expect(decodeCheckpoint(encodeCheckpoint(record))).toEqual(record);
    const marker = { format: 2, id: 'a'.repeat(32), hashAlgo: 'blake3', seed: 'b'.repeat(32), created: 'now' } as const;
    expect(decodeMarker(encodeMarker(marker), '/x')).toEqual(marker);
  });

  it('refuse damage, strangers and newer formats', () => {
    const good = encodeCheckpoint({ checkpoint, previous: digestOf(8), parts: [digestOf(2)] });
    for (let end = 0; end < good.length; end += 1) {
      expect(codeOf(() => decodeCheckpoint(good.subarray(0, end)))).toBe('DK_CORRUPT_RECORD');
    }
    expect(codeOf(() => decodeMarker(Buffer.from('{}'), '/x'))).toBe('DK_NO_STORE');
    expect(codeOf(() => decodeMarker(Buffer.from('nonsense'), '/x'))).toBe('DK_NO_STORE');
    const newer = Buffer.from(JSON.stringify({ diffkeeper: 'store', format: 99 }));
    expect(codeOf(() => decodeMarker(newer, '/x'))).toBe('DK_STORE_FORMAT_NEWER');
  });
});
