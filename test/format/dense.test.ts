/** Dense packs: what a group holds comes back bit by bit, from any place; damaged ones are refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import {
  decodeGroup,
  decodeGroupHead,
  decodeGroupList,
  encodeGroup,
  encodeGroupList,
  encodeRecord,
  listBytesOf,
  RECORD,
  RecordFolder,
  type RecordKind,
  UnfoldedGroup,
} from '../../src/format/format.js';
import { codeOf, noise } from '../store/store-fixture.js';

const engine = loadEngine();
const checksum = (bytes: Uint8Array) => engine.xxh3(bytes);
const digestOf = (bytes: Uint8Array) => engine.digest('blake3', bytes);
const NONE = Buffer.alloc(0);

interface Wanted {
  readonly kind: RecordKind;
  readonly bytes: number;
  readonly seed: number;
  /** Digests of records so many places before are put into the payload. */
  readonly names: readonly number[];
  readonly whole: boolean;
}

/** The plain records, and the group that stands for them. */
function folded(wanted: readonly Wanted[]): { plain: Buffer; bytes: Buffer; records: number } {
  const folder = new RecordFolder();
  const plain: Buffer[] = [];
  const digests: Buffer[] = [];
  for (const { kind, bytes, seed, names, whole } of wanted) {
    const named = names.flatMap((back) => digests[digests.length - back] ?? []);
    const parts = named.flatMap((digest, index) => [noise(bytes % (index + 7), seed + index), digest]);
    const payload = kind === RECORD.blob ? noise(bytes, seed) : Buffer.concat([...parts, noise(bytes, seed)]);
    const digest = digestOf(payload);
    const contextList = whole ? Buffer.concat([Buffer.of(1), ...named.slice(0, 1)]) : NONE;
    const facts = { kind, codec: whole ? 2 : 0, depth: whole ? 3 : 0, digest, decodedBytes: payload.length };
    const record = encodeRecord({ ...facts, contextList, payload }, checksum);
    if (whole) folder.addWhole(kind, record, { digest, contextListBytes: contextList.length });
    else folder.addPlain(kind, payload, digest);
    plain.push(record);
    digests.push(digest);
  }
  const { records, bytes } = folder;
  const all = Buffer.concat(plain);
  expect(bytes).toBe(all.length);
  return { plain: all, bytes: folder.finish(), records };
}

const wanted = fc.record({
  kind: fc.constantFrom(RECORD.blob, RECORD.recipe, RECORD.versions, RECORD.checkpoint),
  bytes: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(70, 4095, 4096, 4097, 9000)),
  seed: fc.integer({ min: 1, max: 5 }),
  names: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
  whole: fc.boolean(),
});

function unfold(bytes: Buffer, records: number, length: number): UnfoldedGroup {
  return new UnfoldedGroup(bytes, { records, bytes: length, digestOf, checksum });
}

describe('a group', () => {
  it('gives back its records bit by bit, from and to any byte', () => {
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 40 }), fc.nat(), fc.nat(), (list, one, other) => {
        const { plain, bytes, records } = folded(list);
        const all = Buffer.alloc(plain.length, 0xee);
        unfold(bytes, records, plain.length).copy(0, all);
        expect(all.equals(plain)).toBe(true);
        const from = one % plain.length;
        const some = Buffer.alloc(1 + (other % (plain.length - from)));
        unfold(bytes, records, plain.length).copy(from, some);
        expect(some.equals(plain.subarray(from, from + some.length))).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it('takes out what can be told from the rest', () => {
    const chain = Array.from({ length: 500 }, (_, index): Wanted[] => [
      { kind: RECORD.blob, bytes: 10, seed: index + 1, names: [], whole: false },
      { kind: RECORD.versions, bytes: 30, seed: 1, names: [1], whole: false },
      { kind: RECORD.checkpoint, bytes: 60, seed: 1, names: [1, 3], whole: false },
    ]).flat();
    const { plain, bytes, records } = folded(chain);
    const all = Buffer.alloc(plain.length);
    // The last record alone: its digest follows from all before it.
    const last = plain.length - 184;
    unfold(bytes, records, plain.length).copy(last, all.subarray(last));
    expect(all.subarray(last).equals(plain.subarray(last))).toBe(true);
    // Heads, checksums and digests are gone: 10, 30 and 60 bytes are left, what was put between names, and the table.
    expect(bytes.length / 500).toBeLessThan(100 + 3 + 14 + 20);
  });

  it('refuses any other bytes, or gives records that say what they are', () => {
    const { plain, bytes, records } = folded([
      { kind: RECORD.blob, bytes: 50, seed: 1, names: [], whole: false },
      { kind: RECORD.versions, bytes: 50, seed: 2, names: [1], whole: false },
      { kind: RECORD.recipe, bytes: 20, seed: 3, names: [2, 1], whole: true },
      { kind: RECORD.checkpoint, bytes: 50, seed: 4, names: [2], whole: false },
    ]);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
        const other = Buffer.from(cut ? bytes.subarray(0, at) : bytes);
        if (!cut) other[at] = (other[at] as number) ^ flip;
        const room = Buffer.alloc(plain.length);
        try {
          unfold(other, records, plain.length).copy(0, room);
        } catch (error) {
          expect(error).toMatchObject({ code: 'DK_CORRUPT_PACK' });
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('says what is wrong with numbers that cannot be', async () => {
    const { plain, bytes, records } = folded([{ kind: RECORD.blob, bytes: 50, seed: 1, names: [], whole: false }]);
    expect(await codeOf(() => unfold(bytes, records, plain.length + 1))).toBe('DK_CORRUPT_PACK');
    expect(await codeOf(() => unfold(bytes, records + 1, plain.length))).toBe('DK_CORRUPT_PACK');
    // A record that names itself.
    const own = Buffer.concat([Buffer.of(4), noise(1, 1), Buffer.of(0x11 - 0x10 + 2, 1, 1)]);
    expect(await codeOf(() => unfold(own, 1, 93))).toBe('DK_CORRUPT_PACK');
  });
});

describe('a group and the list of groups', () => {
  const facts = { foldedBytes: 90, records: 1, offset: 64, bytes: 110 };
  const home = { checksum, storeId: noise(16, 9), pack: 3 };
  const group = encodeGroup(facts, noise(40, 1), { home, place: 64 });
  const headCheck = (head: Buffer): bigint => {
    const where = Buffer.alloc(12);
    where.writeUInt32LE(home.pack);
    where.writeBigUInt64LE(64n, 4);
    return checksum(Buffer.concat([home.storeId, where, head.subarray(0, 32)]));
  };

  it('come back as they were written', () => {
    const { head, frame } = decodeGroup(group, home, 64);
    expect(head).toEqual({ ...facts, frameBytes: 40 });
    expect(frame.equals(noise(40, 1))).toBe(true);
    const groups = [
      { place: 64, groupBytes: 80, offset: 64, bytes: 110 },
      { place: 144, groupBytes: 100, offset: 174, bytes: 7000 },
    ];
    const list = encodeGroupList(groups, home, 244);
    expect(listBytesOf(list.subarray(-16))).toBe(list.length);
    expect(decodeGroupList(list, home, 244)).toEqual(groups);
    expect(decodeGroupList(list, home, 245)).toBeNull();
    const apart = encodeGroupList([groups[0] as (typeof groups)[0], { ...groups[1], offset: 175 } as never], home, 244);
    expect(decodeGroupList(apart, home, 244)).toBeNull();
    const longer = encodeGroupList([{ place: 64, groupBytes: 9_000_000, offset: 64, bytes: 110 }], home, 9_000_064);
    expect(decodeGroupList(longer, home, 9_000_064)).toBeNull();
  });

  it('belong to one place of one pack of one store', async () => {
    const list = encodeGroupList([{ place: 64, groupBytes: 88, offset: 64, bytes: 110 }], home, 152);
    expect(decodeGroupList(list, home, 152)).toHaveLength(1);
    for (const other of [
      { ...home, pack: 4 },
      { ...home, storeId: noise(16, 8) },
    ]) {
      expect(await codeOf(() => decodeGroup(group, other, 64))).toBe('DK_CORRUPT_PACK');
      expect(decodeGroupList(list, other, 152)).toBeNull();
    }
    expect(await codeOf(() => decodeGroup(group, home, 65))).toBe('DK_CORRUPT_PACK');
  });

  it('are refused when a byte is another one', async () => {
    for (let at = 0; at < group.length; at += 1) {
      const other = Buffer.from(group);
      other[at] = (other[at] as number) ^ 0x40;
      expect(await codeOf(() => decodeGroup(other, home, 64)), `byte ${at}`).toBe('DK_CORRUPT_PACK');
    }
    const list = encodeGroupList([{ place: 64, groupBytes: 80, offset: 64, bytes: 110 }], home, 144);
    for (let at = 0; at < list.length; at += 1) {
      const other = Buffer.from(list);
      other[at] = (other[at] as number) ^ 1;
      expect(decodeGroupList(other, home, 144), `byte ${at}`).toBeNull();
    }
  });

  it('are bounded before anything is allocated', async () => {
    const heads = [
      [4, 0xffffffff],
      [8, 0xffffffff],
      [12, 0],
      [12, 0xffffffff],
      [16, 1],
      [20, 0x7fffff],
      [24, 0x7fffffff],
    ] as const;
    for (const [at, value] of heads) {
      const head = Buffer.from(group.subarray(0, 40));
      head.writeUInt32LE(value, at);
      head.writeBigUInt64LE(headCheck(head), 32);
      expect(await codeOf(() => decodeGroupHead(head, home, 64)), `${value} at byte ${at}`).toBe('DK_CORRUPT_PACK');
    }
  });
});
