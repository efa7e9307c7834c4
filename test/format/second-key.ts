/**
 * Section 11 of `docs/format.md`, read a second time: from a passphrase or a key file to the bytes of sealed records.
 * Key derivation comes from another library than the product's; of Node's ciphers only single AES blocks and AES-GCM.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hkdf } from '@noble/hashes/hkdf.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { sha256 } from '@noble/hashes/sha2.js';

export type SecondKey = { readonly passphrase: string } | { readonly keyBytes: Uint8Array };

interface Slot {
  readonly kind: string;
  readonly salt: string;
  readonly scrypt?: { readonly logN: number; readonly r: number; readonly p: number };
  readonly master: string;
}

/** What opens the records of an encrypted store. Throws when the key fits none of its slots. */
export function opener(
  root: string,
  id: string,
  key: SecondKey | undefined,
): (sealed: Buffer, bound: Buffer) => Buffer {
  if (!key) throw new Error('the store is encrypted');
  const salt = Buffer.from(id, 'hex');
  const records = new Map<number, Buffer>();
  for (const [number, master] of masterKeys(root, id, key)) {
    records.set(number, derived(master, salt, 'diffkeeper records'));
  }
  return (sealed, bound) => {
    const own = records.get(bound[7] as number);
    if (!own) throw new Error(`no master key ${bound[7]}`);
    return xaesOpen(own, sealed, bound);
  };
}

const derived = (secret: Uint8Array, salt: Uint8Array, info: string): Buffer =>
  Buffer.from(hkdf(sha256, secret, salt, Buffer.from(info, 'utf8'), 32));

interface Ring {
  readonly format: number;
  readonly store: string;
  readonly slots: readonly Slot[];
  readonly rotated?: { readonly epoch: number; readonly older: readonly { epoch: number; master: string }[] };
}

function masterKeys(root: string, id: string, key: SecondKey): Map<number, Buffer> {
  const [json = '', check] = readFileSync(join(root, 'KEYS'), 'utf8').split('\n');
  if (check !== Buffer.from(sha256(Buffer.from(json, 'utf8'))).toString('hex')) throw new Error('KEYS is damaged');
  const ring = JSON.parse(json) as Ring;
  if (ring.format !== (ring.rotated ? 2 : 1) || ring.store !== id) throw new Error('KEYS of another store');
  for (const slot of ring.slots) {
    if ((slot.kind === 'passphrase') !== 'passphrase' in key) continue;
    try {
      const bound = Buffer.from(`diffkeeper key slot\0${id}`, 'utf8');
      return withOlder(ring, xaesOpen(wrapping(slot, key), Buffer.from(slot.master, 'hex'), bound));
    } catch {
      // The next slot may fit.
    }
  }
  throw new Error('the key fits no slot');
}

function withOlder({ store, rotated }: Ring, newest: Buffer): Map<number, Buffer> {
  const keys = new Map([[rotated?.epoch ?? 0, newest]]);
  const wrapper = derived(newest, Buffer.from(store, 'hex'), 'diffkeeper older keys');
  for (const { epoch, master } of rotated?.older ?? []) {
    const bound = Buffer.from(`diffkeeper older keys\0${store}\0${epoch}`, 'utf8');
    keys.set(epoch, xaesOpen(wrapper, Buffer.from(master, 'hex'), bound));
  }
  return keys;
}

function wrapping(slot: Slot, key: SecondKey): Buffer {
  const salt = Buffer.from(slot.salt, 'hex');
  if (!('passphrase' in key)) return derived(key.keyBytes, salt, 'diffkeeper key slot');
  const { logN, r, p } = slot.scrypt as NonNullable<Slot['scrypt']>;
  return Buffer.from(scrypt(Buffer.from(key.passphrase, 'utf8'), salt, { N: 2 ** logN, r, p, dkLen: 32 }));
}

function aesBlock(key: Buffer, block: Buffer): Buffer {
  // One block of CBC with a zero vector is AES itself.
  return createCipheriv('aes-256-cbc', key, Buffer.alloc(16)).update(block);
}

/** XAES-256-GCM: the key of a message is CMAC of the nonce's first half, in counter mode. */
function xaesOpen(key: Buffer, sealed: Buffer, bound: Buffer): Buffer {
  const nonce = sealed.subarray(0, 24);
  const zero = BigInt(`0x${aesBlock(key, Buffer.alloc(16)).toString('hex')}`);
  const subkey = BigInt.asUintN(128, zero << 1n) ^ (zero >> 127n === 1n ? 0x87n : 0n);
  const halves = [1, 2].map((counter) => {
    const block = BigInt(`0x000${counter}5800${nonce.subarray(0, 12).toString('hex')}`) ^ subkey;
    return aesBlock(key, Buffer.from(block.toString(16).padStart(32, '0'), 'hex'));
  });
  const decipher = createDecipheriv('aes-256-gcm', Buffer.concat(halves), nonce.subarray(12), { authTagLength: 16 });
  decipher.setAAD(bound).setAuthTag(sealed.subarray(sealed.length - 16));
  return Buffer.concat([decipher.update(sealed.subarray(24, sealed.length - 16)), decipher.final()]);
}
