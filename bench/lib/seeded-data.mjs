/** Seeded makers of content: the same seed gives the same bytes on every machine. */
import { createCipheriv, createHash } from 'node:crypto';

const WORDS = (
  'state value account order session queue worker cache index record total error retry request response user name ' +
  'return const function await import from export default class string number null true false config limit offset ' +
  'length buffer stream event handler result message version update delete insert select where time path file node'
).split(' ');

/** Sixteen byte values for bytes that carry four bits each. */
const SIXTEEN = Buffer.from('etaoinshrdlu ,.\n');

/** A stream of random numbers and bytes: AES-CTR over zeros, keyed by a text. */
export class SeededRandom {
  #cipher;
  #pool = Buffer.alloc(0);
  #at = 0;

  /** @param {string} seed */
  constructor(seed) {
    const key = createHash('sha256').update(seed).digest();
    this.#cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  }

  /**
   * Random bytes of a length.
   * @param {number} length
   */
  bytes(length) {
    return this.#cipher.update(Buffer.alloc(length));
  }

  /**
   * A whole number from 0 up to `limit`, which is at most 2^32 and excluded.
   * @param {number} limit
   */
  below(limit) {
    if (this.#at + 4 > this.#pool.length) {
      this.#pool = this.bytes(1 << 14);
      this.#at = 0;
    }
    const value = this.#pool.readUInt32LE(this.#at);
    this.#at += 4;
    return Math.floor((value / 2 ** 32) * limit);
  }

  /**
   * One of a list.
   * @template T
   * @param {readonly T[]} list
   * @returns {T}
   */
  pick(list) {
    return /** @type {T} */ (list[this.below(list.length)]);
  }

  /**
   * A number between two bounds, small ones as likely as large ones on a logarithmic scale.
   * @param {number} low
   * @param {number} high
   */
  logUniform(low, high) {
    return Math.round(low * (high / low) ** (this.below(2 ** 32) / 2 ** 32));
  }

  /**
   * Words in a row.
   * @param {number} count
   */
  words(count) {
    let text = this.pick(WORDS);
    for (let index = 1; index < count; index += 1) text += ` ${this.pick(WORDS)}`;
    return text;
  }

  /**
   * Bytes that a general compressor brings to about three quarters: each 4 KiB are half random, half of four bits a byte.
   * @param {number} length
   */
  halfCompressible(length) {
    const bytes = this.bytes(length);
    for (let start = 2048; start < length; start += 4096) {
      const end = Math.min(start + 2048, length);
      for (let index = start; index < end; index += 1)
        bytes[index] = SIXTEEN[/** @type {number} */ (bytes[index]) & 15] ?? 0;
    }
    return bytes;
  }
}
