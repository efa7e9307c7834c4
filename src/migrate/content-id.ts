/**
 * Names of values in the older system's content store: base58btc of a multihash (SHA-256 `Qm...`, BLAKE3 `gV...`), or
 * 64 hex digits of SHA-256 for chunks of large files; and its Merkle root over such names.
 */
import { createHash } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const MULTIHASH: Readonly<Record<number, HashAlgo>> = { 18: 'sha256', 30: 'blake3' };
const DIGEST_BYTES = 32;
/** A multihash of 34 bytes has 46 or 47 digits: more are refused before any arithmetic. */
const DIGITS_MAX = 48;

export interface ContentId {
  readonly algo: HashAlgo;
  readonly digest: Buffer;
}

/** Bytes of a base58btc number, or null. */
export function decodeBase58(text: string): Buffer | null {
  if (text.length > DIGITS_MAX) return null;
  let value = 0n;
  for (const digit of text) {
    const at = ALPHABET.indexOf(digit);
    if (at < 0) return null;
    value = value * 58n + BigInt(at);
  }
  const hex = value === 0n ? '' : value.toString(16);
  const zeros = text.length - text.replace(/^1+/, '').length;
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')]);
}

export function encodeBase58(bytes: Uint8Array): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
  let text = '';
  for (; value > 0n; value /= 58n) text = `${ALPHABET[Number(value % 58n)]}${text}`;
  let zeros = 0;
  while (zeros < bytes.length && bytes[zeros] === 0) zeros += 1;
  return '1'.repeat(zeros) + text;
}

/** What a name promises about its bytes; null when it is no such name. */
export function parseContentId(name: string): ContentId | null {
  if (/^[0-9a-f]{64}$/.test(name)) return { algo: 'sha256', digest: Buffer.from(name, 'hex') };
  const bytes = decodeBase58(name);
  if (bytes?.length !== 2 + DIGEST_BYTES || bytes[1] !== DIGEST_BYTES) return null;
  const algo = MULTIHASH[bytes[0] ?? 0];
  return algo ? { algo, digest: bytes.subarray(2) } : null;
}

/** The name of bytes with this digest. */
export function formatContentId(id: ContentId): string {
  return encodeBase58(Buffer.concat([Buffer.from([id.algo === 'sha256' ? 0x12 : 0x1e, DIGEST_BYTES]), id.digest]));
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Digest of bytes of any length. */
export async function digestOf(engine: Engine, algo: HashAlgo, bytes: Uint8Array): Promise<Buffer> {
  if (algo === 'sha256') return sha256(bytes);
  return bytes.length <= 1 << 20 ? engine.digest(algo, bytes) : engine.digestAsync(algo, bytes);
}

/**
 * Their Merkle root: leaf = SHA-256 of the name's text, node = SHA-256(left, right), no prefixes; an odd list of leaves
 * repeats its last one, an odd node of an upper level is paired with itself. Null for no names.
 */
export function legacyMerkleRoot(names: readonly string[]): Buffer | null {
  if (names.length === 0) return null;
  let level = names.map((name) => sha256(Buffer.from(name, 'utf8')));
  if (level.length % 2 === 1) level.push(level[level.length - 1] as Buffer);
  while (level.length > 1) {
    const next: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const left = level[at] as Buffer;
      next.push(sha256(Buffer.concat([left, level[at + 1] ?? left])));
    }
    level = next;
  }
  return level[0] ?? null;
}
