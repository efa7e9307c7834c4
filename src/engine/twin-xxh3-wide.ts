/** XXH3-128, written from the xxHash specification, beside XXH3-64. */
import {
  avalanche,
  avalanche64,
  longLanes,
  MX2,
  mergeLanes,
  mix16,
  P32_2,
  P64_1,
  P64_2,
  P64_4,
  SECRET,
  swap64,
  u64,
} from './twin-xxh3.js';

interface Wide {
  readonly low: bigint;
  readonly high: bigint;
}

const LOW32 = 0xffffffffn;
/** Of the secret, the part that makes the upper half of a long input ends so. */
const UPPER_SECRET = 192 - 64 - 11;

function multiply(a: bigint, b: bigint): { low: bigint; high: bigint } {
  const product = u64(a) * u64(b);
  return { low: u64(product), high: product >> 64n };
}

function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | ((value >>> 24) & 0xff)) >>> 0;
}

const secret32 = (at: number): bigint => BigInt((SECRET.readUInt32LE(at) ^ SECRET.readUInt32LE(at + 4)) >>> 0);
const secret64 = (at: number): bigint => SECRET.readBigUInt64LE(at) ^ SECRET.readBigUInt64LE(at + 8);

function upTo3(data: Buffer, seed: bigint): Wide {
  const n = data.length;
  if (n === 0) return { low: avalanche64(seed ^ secret64(64)), high: avalanche64(seed ^ secret64(80)) };
  const word =
    (((data[0] as number) << 16) | ((data[n >> 1] as number) << 24) | (data[n - 1] as number) | (n << 8)) >>> 0;
  const swapped = swap32(word);
  const rotated = ((swapped << 13) | (swapped >>> 19)) >>> 0;
  return {
    low: avalanche64(BigInt(word) ^ u64(secret32(0) + seed)),
    high: avalanche64(BigInt(rotated) ^ u64(secret32(8) - seed)),
  };
}

function upTo8(data: Buffer, seed: bigint): Wide {
  const n = data.length;
  const mixed = seed ^ (BigInt(swap32(Number(seed & LOW32))) << 32n);
  const input = BigInt(data.readUInt32LE(0)) + (BigInt(data.readUInt32LE(n - 4)) << 32n);
  const product = multiply(input ^ u64(secret64(16) + mixed), P64_1 + BigInt(n << 2));
  const high = u64(product.high + (product.low << 1n));
  let low = product.low ^ (high >> 3n);
  low = u64((low ^ (low >> 35n)) * MX2);
  return { low: low ^ (low >> 28n), high: avalanche(high) };
}

function upTo16(data: Buffer, seed: bigint): Wide {
  const n = data.length;
  const first = data.readBigUInt64LE(0);
  const last = data.readBigUInt64LE(n - 8);
  const product = multiply(first ^ last ^ u64(secret64(32) - seed), P64_1);
  const flipped = last ^ u64(secret64(48) + seed);
  const high = u64(product.high + flipped + (flipped & LOW32) * (P32_2 - 1n));
  const low = u64(product.low + (BigInt(n - 1) << 54n)) ^ swap64(high);
  const mixed = multiply(low, P64_2);
  return { low: avalanche(mixed.low), high: avalanche(u64(mixed.high + high * P64_2)) };
}

/** Sums of inputs of 17 to 240 bytes. */
class Sums {
  readonly #data: Buffer;
  low: bigint;
  high = 0n;

  constructor(data: Buffer) {
    this.#data = data;
    this.low = u64(BigInt(data.length) * P64_1);
  }

  mix(first: number, second: number, secretAt: number, seed: bigint): void {
    const words = (at: number): bigint => u64(this.#data.readBigUInt64LE(at) + this.#data.readBigUInt64LE(at + 8));
    this.low = u64(this.low + mix16(this.#data, first, secretAt, seed)) ^ words(second);
    this.high = u64(this.high + mix16(this.#data, second, secretAt + 16, seed)) ^ words(first);
  }

  finish(seed: bigint): Wide {
    const { low, high } = this;
    const upper = low * P64_1 + high * P64_4 + u64(BigInt(this.#data.length) - seed) * P64_2;
    return { low: avalanche(u64(low + high)), high: u64(-avalanche(u64(upper))) };
  }
}

function upTo240(data: Buffer, seed: bigint): Wide {
  const n = data.length;
  const sums = new Sums(data);
  if (n <= 128) {
    for (let i = (n - 1) >> 5; i >= 0; i -= 1) sums.mix(16 * i, n - 16 * (i + 1), 32 * i, seed);
    return sums.finish(seed);
  }
  for (let at = 0; at < 128; at += 32) sums.mix(at, at + 16, at, seed);
  sums.low = avalanche(sums.low);
  sums.high = avalanche(sums.high);
  for (let at = 128; at + 32 <= n; at += 32) sums.mix(at, at + 16, 3 + at - 128, seed);
  sums.mix(n - 16, n - 32, 136 - 17 - 16, u64(-seed));
  return sums.finish(seed);
}

function wide(data: Buffer, seed: bigint): Wide {
  const n = data.length;
  if (n <= 3) return upTo3(data, seed);
  if (n <= 8) return upTo8(data, seed);
  if (n <= 16) return upTo16(data, seed);
  if (n <= 240) return upTo240(data, seed);
  const { lanes, secret } = longLanes(data, seed);
  const bytes = BigInt(n);
  return {
    low: mergeLanes(lanes, secret, 11, bytes * P64_1),
    high: mergeLanes(lanes, secret, UPPER_SECRET, u64(~(bytes * P64_2))),
  };
}

/** XXH3-128 of bytes in canonical order: 16 bytes, the upper half first, each big-endian. @param seed 64 bits */
export function xxh3Wide(data: Uint8Array, seed: bigint): Buffer {
  const { low, high } = wide(Buffer.from(data.buffer, data.byteOffset, data.byteLength), seed);
  const out = Buffer.allocUnsafe(16);
  out.writeBigUInt64BE(high, 0);
  out.writeBigUInt64BE(low, 8);
  return out;
}
