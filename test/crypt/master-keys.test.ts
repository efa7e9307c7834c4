/** Several master keys in one ring: the newest opens all of them, and each slot takes a new one only with its key. */
import { describe, expect, it } from 'vitest';
import {
  decodeRing,
  encodeRing,
  type KeyRing,
  masterKeys,
  newMasterKey,
  openRing,
  type Rotation,
  rotatedRing,
  type StoreKey,
  withoutOlder,
  withSlot,
} from '../../src/crypt/crypt.js';
import { codeOf } from '../store/store-fixture.js';

const STORE = 'ab'.repeat(16);
const PASSPHRASE = { passphrase: 'pass', cost: 12 };
const BYTES = { keyBytes: Buffer.alloc(32, 1) };
const OTHER = { keyBytes: Buffer.alloc(32, 2) };

async function ringOf(...keys: StoreKey[]): Promise<KeyRing> {
  const master = newMasterKey();
  let ring: KeyRing = { store: STORE, next: 1, slots: [] };
  for (const key of keys) ring = await withSlot(ring, master, key, 0);
  return ring;
}

async function rotated(ring: KeyRing, how: Partial<Rotation> & Pick<Rotation, 'key'>): Promise<KeyRing> {
  const next = await rotatedRing(ring, { others: [], dropOthers: false, ...how }, 0);
  return decodeRing(encodeRing(next as KeyRing)) as KeyRing;
}

async function mastersOf(ring: KeyRing, key: StoreKey): Promise<Map<number, Buffer>> {
  const opened = await openRing(ring, key);
  return masterKeys(ring, opened?.master as Buffer) as Map<number, Buffer>;
}

describe('a rotated ring', () => {
  it('gives every master key to each of its keys', async () => {
    const first = await ringOf(PASSPHRASE, BYTES);
    const second = await rotated(first, { key: BYTES, others: [PASSPHRASE] });
    const third = await rotated(second, { key: PASSPHRASE, others: [BYTES] });
    const before = await mastersOf(first, BYTES);
    expect([...before.keys()]).toEqual([0]);
    const keys = await mastersOf(third, BYTES);
    expect([...keys.keys()]).toEqual([0, 1, 2]);
    expect(await mastersOf(third, PASSPHRASE)).toEqual(keys);
    expect(keys.get(0)).toEqual(before.get(0));
    expect(keys.get(1)).toEqual((await mastersOf(second, BYTES)).get(1));
    expect(new Set([...keys.values()].map((key) => key.toString('hex'))).size).toBe(3);
    expect(third.slots.map(({ id, salt, created }) => [id, salt, created])).toEqual(
      first.slots.map(({ id, salt, created }) => [id, salt, created]),
    );
  });

  it('does not open with the master key of before, nor with a slot of before', async () => {
    const first = await ringOf(BYTES);
    const second = await rotated(first, { key: BYTES });
    const [old] = [...(await mastersOf(first, BYTES)).values()];
    expect(masterKeys(second, old as Buffer)).toBeNull();
    const stale = await openRing({ ...second, slots: first.slots }, BYTES);
    expect(masterKeys(second, stale?.master as Buffer)).toBeNull();
  });

  it('has an older master key bound to its number and its store', async () => {
    const second = await rotated(await ringOf(BYTES), { key: BYTES });
    const third = await rotated(second, { key: BYTES });
    const newest = (await openRing(third, BYTES))?.master as Buffer;
    const { epoch, older } = third.rotated as NonNullable<KeyRing['rotated']>;
    const [one, two] = older as [(typeof older)[0], (typeof older)[0]];
    const swapped = [
      { epoch: 0, master: two.master },
      { epoch: 1, master: one.master },
    ];
    expect(masterKeys({ ...third, rotated: { epoch, older: swapped } }, newest)).toBeNull();
    expect(masterKeys({ ...third, store: 'cd'.repeat(16) }, newest)).toBeNull();
    expect([...(masterKeys(withoutOlder(third, 1), newest)?.keys() ?? [])]).toEqual([1, 2]);
    expect(withoutOlder(third, 0)).toEqual(third);
  });

  it('keeps the keys that were given, and loses none unasked', async () => {
    const ring = await ringOf(PASSPHRASE, BYTES, OTHER, BYTES);
    const how = { others: [], dropOthers: false };
    expect(await codeOf(() => rotatedRing(ring, { ...how, key: BYTES }, 0))).toBe('DK_ARGUMENT');
    expect(await rotatedRing(ring, { ...how, key: { keyBytes: Buffer.alloc(32, 9) } }, 0)).toBeNull();
    expect(await rotatedRing(ring, { ...how, key: BYTES, others: [{ passphrase: 'no' }] }, 0)).toBeNull();
    const ids = ({ slots }: KeyRing): number[] => slots.map(({ id }) => id);
    // Both slots of a key that stands twice.
    expect(ids(await rotated(ring, { key: BYTES, others: [PASSPHRASE, OTHER] }))).toEqual([1, 2, 3, 4]);
    expect(ids(await rotated(ring, { key: BYTES, dropOthers: true }))).toEqual([2, 4]);
    const replaced = await rotated(ring, { key: BYTES, others: [OTHER], dropOthers: true, replacement: PASSPHRASE });
    expect(ids(replaced)).toEqual([3, 5]);
    expect(await openRing(replaced, BYTES)).toBeNull();
    expect([...(await mastersOf(replaced, PASSPHRASE)).keys()]).toEqual([0, 1]);
  });

  it('ends with the last number that a record can name', async () => {
    const ring = await ringOf(BYTES);
    const last = await rotated({ ...ring, rotated: { epoch: 254, older: [] } }, { key: BYTES });
    expect(last.rotated?.epoch).toBe(255);
    expect(await codeOf(() => rotated(last, { key: BYTES }))).toBe('DK_LIMIT');
    let full = ring;
    for (let count = 0; count < 255; count += 1) full = await rotated(full, { key: BYTES });
    expect((await mastersOf(full, BYTES)).size).toBe(256);
    expect(encodeRing(full).length).toBeLessThan(60_000);
  });
});
