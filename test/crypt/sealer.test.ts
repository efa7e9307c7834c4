/** XAES-256-GCM against the published vectors, and what must not open. */
import { describe, expect, it } from 'vitest';
import { SEAL_BYTES, Sealer } from '../../src/crypt/crypt.js';

const NONCE = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX', 'latin1');
const NONE = Buffer.alloc(0);

describe('the vectors of C2SP', () => {
  it.each([
    [1, '', 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271'],
    [3, 'c2sp.org/XAES-256-GCM', '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d'],
  ])('key of bytes %i', (byte, bound, expected) => {
    const sealer = new Sealer(Buffer.alloc(32, byte));
    const sealed = sealer.seal(Buffer.from('XAES-256-GCM'), Buffer.from(bound), NONCE);
    expect(sealed.subarray(0, 24).equals(NONCE)).toBe(true);
    expect(sealed.subarray(24).toString('hex')).toBe(expected);
  });
});

describe('sealed bytes', () => {
  const sealer = new Sealer(Buffer.alloc(32, 7));
  const bound = Buffer.from('what it belongs to');

  it.each([0, 1, 15, 16, 17, 1000, 1 << 20])('of %i plain bytes come back', (length) => {
    const plain = Buffer.alloc(length, 'abc');
    const sealed = sealer.seal(plain, bound);
    expect(sealed.length).toBe(length + SEAL_BYTES);
    expect(sealer.open(sealed, bound)?.equals(plain)).toBe(true);
  });

  it('are others each time', () => {
    const seen = new Set(Array.from({ length: 400 }, () => sealer.seal(NONE, NONE).toString('hex')));
    expect(seen.size).toBe(400);
  });

  it('open only whole, with their key, and for what they were bound to', () => {
    const sealed = sealer.seal(Buffer.from('secret'), bound);
    for (let at = 0; at < sealed.length; at += 1) {
      const flipped = Buffer.from(sealed);
      flipped[at] = (flipped[at] as number) ^ 1;
      expect(sealer.open(flipped, bound), `byte ${at}`).toBeNull();
      expect(sealer.open(sealed.subarray(0, at), bound)).toBeNull();
    }
    expect(sealer.open(Buffer.concat([sealed, NONE, Buffer.of(0)]), bound)).toBeNull();
    expect(sealer.open(sealed, Buffer.from('another'))).toBeNull();
    expect(new Sealer(Buffer.alloc(32, 8)).open(sealed, bound)).toBeNull();
  });

  it('want a key of 32 bytes', () => {
    expect(() => new Sealer(Buffer.alloc(16))).toThrow(RangeError);
  });
});
