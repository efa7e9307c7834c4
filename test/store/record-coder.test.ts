/** Sealed records of several master keys: each says its own, and keeps its length when it is sealed anew. */
import { describe, expect, it } from 'vitest';
import { newMasterKey, storeKeys } from '../../src/crypt/crypt.js';
import { loadTwin } from '../../src/engine/load.js';
import { encodeRecord, RECORD, type RecordParts, sealedEpoch } from '../../src/format/format.js';
import { recordCoder } from '../../src/store/record-coder.js';
import { codeOf, noise } from './store-fixture.js';

const engine = loadTwin();
const checksum = (bytes: Uint8Array): bigint => engine.xxh3(bytes);
const STORE = 'ab'.repeat(16);
const [first, second] = [newMasterKey(), newMasterKey()];
const of = (...masters: [number, Buffer][]) => recordCoder(checksum, storeKeys(new Map(masters), STORE));
const before = of([0, first]);
const after = of([0, first], [7, second]);
const PARTS: RecordParts = {
  kind: RECORD.blob,
  codec: 0,
  depth: 0,
  digest: engine.digest('blake3', noise(70_000, 1)),
  decodedBytes: 70_000,
  contextList: Buffer.alloc(0),
  payload: noise(70_000, 1),
};

describe('a sealed record', () => {
  it('opens under the master key that it names', () => {
    for (const [coder, epoch] of [
      [before, 0],
      [after, 7],
    ] as const) {
      const bytes = coder.encode(PARTS);
      expect(sealedEpoch(bytes)).toBe(epoch);
      expect(coder.length(bytes.subarray(0, coder.headBytes), 0)).toBe(bytes.length);
      expect(after.decode(bytes, 0).payload.equals(PARTS.payload)).toBe(true);
    }
    expect(() => of([0, second]).decode(before.encode(PARTS), 0)).toThrow('not sealed with the key');
    expect(() => of([7, first]).decode(after.encode(PARTS), 0)).toThrow('not sealed with the key');
  });

  it('of a master key that is not there is no damage', async () => {
    expect(await codeOf(async () => before.decode(after.encode(PARTS), 0))).toBe('DK_KEY_LOST');
    expect(await codeOf(async () => of([7, second]).decode(before.encode(PARTS), 0))).toBe('DK_KEY_LOST');
  });

  it('whose number is another one is damaged, also when its checksum is made right', async () => {
    const bytes = after.encode(PARTS);
    bytes[7] = 0;
    expect(await codeOf(async () => after.decode(bytes, 0))).toBe('DK_CORRUPT_RECORD');
    bytes.writeBigUInt64LE(checksum(bytes.subarray(0, -8)), bytes.length - 8);
    expect(await codeOf(async () => after.decode(bytes, 0))).toBe('DK_CORRUPT_RECORD');
  });

  it('is sealed anew for another place only where it is under an older key, with the same length', () => {
    const old = before.encode(PARTS);
    const moved = after.moved(old, after.decode(old, 0));
    expect([sealedEpoch(moved), moved.length]).toEqual([7, old.length]);
    expect(of([7, second]).decode(moved, 0).head).toEqual(before.decode(old, 0).head);
    expect(after.moved(moved, after.decode(moved, 0))).toBe(moved);
    const plain = encodeRecord(PARTS, checksum);
    expect(after.toPlain(moved, after.decode(moved, 0)).equals(plain)).toBe(true);
    const clear = recordCoder(checksum, null);
    expect(clear.moved(plain, clear.decode(plain, 0))).toBe(plain);
  });
});
