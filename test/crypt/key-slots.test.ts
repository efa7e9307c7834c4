/** The key file: what opens it, and what is refused before any work is done for it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHash } from '../../src/core/core.js';
import { decodeRing, encodeRing, type KeyRing, newMasterKey, openRing, withSlot } from '../../src/crypt/crypt.js';
import { codeOf } from '../store/store-fixture.js';

const STORE = 'ab'.repeat(16);
const EMPTY: KeyRing = { store: STORE, next: 1, slots: [] };
const PASSPHRASE = { passphrase: 'pass', cost: 12 };
const BYTES = { keyBytes: Buffer.alloc(32, 1) };

let base = '';
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-keys-'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

describe('a ring', () => {
  it('gives the master key to each of its keys and to no other', async () => {
    const master = newMasterKey();
    const ring = await withSlot(await withSlot(EMPTY, master, PASSPHRASE, 0), master, BYTES, 0);
    const read = decodeRing(encodeRing(ring)) as KeyRing;
    expect(read).toEqual(ring);
    for (const [key, slot] of [[PASSPHRASE, 1] as const, [BYTES, 2] as const]) {
      const opened = await openRing(read, key);
      expect(opened?.master.equals(master)).toBe(true);
      expect(opened?.slot).toBe(slot);
    }
    expect(await openRing(read, { passphrase: 'Pass' })).toBeNull();
    expect(await openRing(read, { keyBytes: Buffer.alloc(33, 1) })).toBeNull();
    // A slot that was moved into the ring of another store.
    expect(await openRing({ ...read, store: 'cd'.repeat(16) }, BYTES)).toBeNull();
  });

  it('takes keys from files: a passphrase without its line end, a key with every byte', async () => {
    const file = (name: string): string => path.join(base, name);
    const master = newMasterKey();
    const ring = await withSlot(await withSlot(EMPTY, master, PASSPHRASE, 0), master, BYTES, 0);
    for (const text of ['pass', 'pass\n', 'pass\r\n']) {
      await writeFile(file('pass'), text);
      expect(await openRing(ring, { passphraseFile: file('pass') }), JSON.stringify(text)).not.toBeNull();
    }
    await writeFile(file('pass'), 'pass\n\n');
    expect(await openRing(ring, { passphraseFile: file('pass') })).toBeNull();
    await writeFile(file('key'), BYTES.keyBytes);
    expect(await openRing(ring, { keyFile: file('key') })).not.toBeNull();
    await writeFile(file('key'), Buffer.concat([BYTES.keyBytes, Buffer.from('\n')]));
    expect(await openRing(ring, { keyFile: file('key') })).toBeNull();
    await writeFile(file('key'), 'short');
    expect(await codeOf(() => openRing(ring, { keyFile: file('key') }))).toBe('DK_ARGUMENT');
    await writeFile(file('key'), Buffer.alloc(5000));
    expect(await codeOf(() => openRing(ring, { keyFile: file('key') }))).toBe('DK_ARGUMENT');
    await writeFile(file('pass'), '\n');
    expect(await codeOf(() => openRing(ring, { passphraseFile: file('pass') }))).toBe('DK_ARGUMENT');
    expect(await codeOf(() => openRing(ring, { keyFile: file('missing') }))).toBe('DK_IO');
  });

  it('has at most 16 keys, and a cost within bounds', async () => {
    const master = newMasterKey();
    let ring = EMPTY;
    for (let count = 0; count < 16; count += 1) ring = await withSlot(ring, master, BYTES, 0);
    expect(await codeOf(() => withSlot(ring, master, BYTES, 0))).toBe('DK_LIMIT');
    await expect(withSlot(EMPTY, master, { passphrase: 'x', cost: 40 }, 0)).rejects.toThrow(RangeError);
  });
});

describe('the bytes of a ring', () => {
  const withDigest = (json: string): Buffer =>
    Buffer.from(`${json}\n${createHash('sha256').update(json).digest('hex')}\n`);

  it('are refused wherever one is another', async () => {
    const bytes = encodeRing(await withSlot(EMPTY, newMasterKey(), BYTES, 0));
    for (let at = 0; at < bytes.length; at += 7) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ 4;
      expect(decodeRing(flipped), `byte ${at}`).toBeNull();
      expect(decodeRing(bytes.subarray(0, at))).toBeNull();
    }
  });

  it('are refused when they ask for too much work, or make no sense', async () => {
    const ring = await withSlot(EMPTY, newMasterKey(), PASSPHRASE, 0);
    const [slot] = ring.slots;
    const make = (change: object, outer: object = {}): Buffer =>
      withDigest(JSON.stringify({ diffkeeper: 'keys', format: 1, ...ring, slots: [{ ...slot, ...change }], ...outer }));
    expect(decodeRing(make({}))).not.toBeNull();
    for (const scrypt of [
      { logN: 40, r: 8, p: 1 },
      { logN: 12, r: 1 << 20, p: 1 },
      { logN: 12, r: 8, p: 1e6 },
      null,
      7,
    ])
      expect(decodeRing(make({ scrypt })), JSON.stringify(scrypt)).toBeNull();
    for (const change of [{ kind: 'other' }, { salt: 'zz' }, { master: '00' }, { id: 'x' }, { kind: 'key-file' }])
      expect(decodeRing(make(change)), JSON.stringify(change)).toBeNull();
    for (const outer of [{ slots: 3 }, { slots: [null] }, { slots: Array(17).fill(slot) }, { store: 1 }, { next: 'x' }])
      expect(decodeRing(make({}, outer)), JSON.stringify(outer).slice(0, 40)).toBeNull();
    for (const json of ['[]', 'null', '3', '{}', '{"diffkeeper":"store"}'])
      expect(decodeRing(withDigest(json))).toBeNull();
    const older = (...numbers: unknown[]) => numbers.map((epoch) => ({ epoch, master: '00'.repeat(72) }));
    const rotated = (value: unknown, format = 2): Buffer => make({}, { format, rotated: value });
    expect(decodeRing(rotated({ epoch: 3, older: older(0, 2) }))?.rotated?.older).toHaveLength(2);
    for (const value of [
      undefined,
      null,
      { epoch: 0, older: [] },
      { epoch: 256, older: [] },
      { epoch: 1.5, older: [] },
      { epoch: 2 },
      { epoch: 2, older: [null] },
      { epoch: 2, older: older(2) },
      { epoch: 2, older: older(1, 0) },
      { epoch: 2, older: older(1, 1) },
      { epoch: 2, older: older('1') },
      { epoch: 2, older: [{ epoch: 1, master: '00' }] },
    ])
      expect(decodeRing(rotated(value)), JSON.stringify(value)).toBeNull();
    expect(decodeRing(rotated({ epoch: 1, older: [] }, 1))).toBeNull();
    expect(await codeOf(() => decodeRing(make({}, { format: 3 })))).toBe('DK_STORE_FORMAT_NEWER');
  });
});
