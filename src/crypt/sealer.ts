/**
 * Authenticated encryption: XAES-256-GCM (C2SP), which is AES-256-GCM under a key that is derived from the first half of
 * a nonce of 24 bytes. So long a nonce may be drawn at random for every message, however many there are.
 *
 *   sealed := nonce[24], ciphertext (as long as the plain bytes), tag[16]
 */
import type { Cipher } from 'node:crypto';
import { nodeCrypto, randomBytes } from '../core/core.js';

const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** What sealing adds to the plain bytes. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;
export const KEY_BYTES = 32;
const BLOCK_BYTES = 16;
/** Nonces drawn at once: asking for each by itself costs as much as a small message. */
const NONCES_AT_ONCE = 128;

/** The constant of CMAC for blocks of 128 bits. */
const CMAC_ROUND = 0x87;

export class Sealer {
  /** AES-256 of single blocks. The mode has no state, so that one object serves all nonces in one call each. */
  readonly #block: Cipher;
  /** First subkey of CMAC, laid over both blocks that derive a key. */
  readonly #subkey: Buffer;
  #nonces: Buffer = Buffer.alloc(0);

  /** @param key 32 bytes, used for nothing else */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, came ${key.length}`);
    this.#block = nodeCrypto().createCipheriv('aes-256-ecb', key, null);
    this.#block.setAutoPadding(false);
    this.#subkey = doubled(this.#block.update(Buffer.alloc(BLOCK_BYTES)));
  }

  /** Key of one message: CMAC in counter mode over the nonce's first 12 bytes. */
  #derive(nonce: Uint8Array): Buffer {
    const blocks = Buffer.alloc(2 * BLOCK_BYTES);
    for (let half = 0; half < 2; half += 1) {
      const at = half * BLOCK_BYTES;
      blocks[at + 1] = half + 1;
      blocks[at + 2] = 0x58;
      blocks.set(nonce.subarray(0, 12), at + 4);
      for (let index = 0; index < BLOCK_BYTES; index += 1) {
        blocks[at + index] = (blocks[at + index] as number) ^ (this.#subkey[index] as number);
      }
    }
    return this.#block.update(blocks);
  }

  #freshNonce(): Buffer {
    if (this.#nonces.length === 0) this.#nonces = randomBytes(NONCE_BYTES * NONCES_AT_ONCE);
    const nonce = this.#nonces.subarray(0, NONCE_BYTES);
    this.#nonces = this.#nonces.subarray(NONCE_BYTES);
    return nonce;
  }

  /**
   * Sealed bytes that only `open` with the same key and the same `bound` bytes gives back.
   *
   * @param bound what the bytes belong to; authenticated, not kept
   * @param nonce 24 bytes, never twice with one key; default random
   */
  seal(plain: Uint8Array, bound: Uint8Array, nonce: Uint8Array = this.#freshNonce()): Buffer {
    const sealed = Buffer.allocUnsafe(plain.length + SEAL_BYTES);
    this.sealInto(sealed, [plain], bound, nonce);
    return sealed;
  }

  /**
   * As `seal`, for pieces that follow one another, into memory of exactly the right length. Large buffers that are made
   * and dropped cost more in collections of garbage than sealing does.
   */
  sealInto(
    room: Buffer,
    pieces: readonly Uint8Array[],
    bound: Uint8Array,
    nonce: Uint8Array = this.#freshNonce(),
  ): void {
    const cipher = nodeCrypto().createCipheriv('aes-256-gcm', this.#derive(nonce), nonce.subarray(12));
    cipher.setAAD(bound);
    room.set(nonce);
    let at = NONCE_BYTES;
    for (const piece of pieces) {
      if (piece.length > 0) room.set(cipher.update(piece), at);
      at += piece.length;
    }
    cipher.final();
    room.set(cipher.getAuthTag(), at);
  }

  /** The plain bytes; null when key, `bound` or any byte is another than it was. */
  open(sealed: Uint8Array, bound: Uint8Array): Buffer | null {
    const plainBytes = sealed.length - SEAL_BYTES;
    if (plainBytes < 0) return null;
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const options = { authTagLength: TAG_BYTES };
    const cipher = nodeCrypto().createDecipheriv('aes-256-gcm', this.#derive(nonce), nonce.subarray(12), options);
    cipher.setAAD(bound);
    cipher.setAuthTag(sealed.subarray(NONCE_BYTES + plainBytes));
    const plain = cipher.update(sealed.subarray(NONCE_BYTES, NONCE_BYTES + plainBytes));
    try {
      cipher.final();
      return plain;
    } catch {
      // Node has one error for every way in which a tag can be wrong.
      return null;
    }
  }
}

/** Doubling in GF(2^128), as CMAC does it. */
function doubled(block: Uint8Array): Buffer {
  const result = Buffer.alloc(BLOCK_BYTES);
  let carry = 0;
  for (let index = BLOCK_BYTES - 1; index >= 0; index -= 1) {
    const byte = block[index] as number;
    result[index] = ((byte << 1) & 0xff) | carry;
    carry = byte >> 7;
  }
  if (carry === 1) result[BLOCK_BYTES - 1] = (result[BLOCK_BYTES - 1] as number) ^ CMAC_ROUND;
  return result;
}
