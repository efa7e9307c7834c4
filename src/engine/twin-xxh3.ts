/**
 * XXH3-64, written from the xxHash specification. Short inputs and the ends use
 * BigInt; the long loop, where the time goes, works on 32-bit halves. What XXH3-128 shares with it is exported for that.
 */
export const SECRET = Buffer.from(
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f' +
    'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c' +
    '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8' +
    'fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea' +
    'c5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b' +
    '16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e',
  'hex',
);
const P32_1 = 0x9e3779b1n;
export const P32_2 = 0x85ebca77n;
const P32_3 = 0xc2b2ae3dn;
export const P64_1 = 0x9e3779b185ebca87n;
export const P64_2 = 0xc2b2ae3d27d4eb4fn;
const P64_3 = 0x165667b19e3779f9n;
export const P64_4 = 0x85ebca77c2b2ae63n;
const P64_5 = 0x27d4eb2f165667c5n;
const MX1 = 0x165667919e3779f9n;
export const MX2 = 0x9fb21c651e98df25n;

const STRIPE_BYTES = 64;
const BLOCK_STRIPES = 16;
const LAST_SECRET = 192 - 64;

export const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint): bigint => u64(value << bits) | (value >> (64n - bits));

export function swap64(value: bigint): bigint {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.readBigUInt64BE();
}

/** Low and high half of the 128-bit product, folded by XOR. */
function fold(a: bigint, b: bigint): bigint {
  const product = a * b;
  return u64(product) ^ (product >> 64n);
}

export function avalanche(value: bigint): bigint {
  const mixed = u64((value ^ (value >> 37n)) * MX1);
  return mixed ^ (mixed >> 32n);
}

export function avalanche64(value: bigint): bigint {
  let h = u64((value ^ (value >> 33n)) * P64_2);
  h = u64((h ^ (h >> 29n)) * P64_3);
  return h ^ (h >> 32n);
}

export function mix16(data: Buffer, at: number, secretAt: number, seed: bigint): bigint {
  return fold(
    data.readBigUInt64LE(at) ^ u64(SECRET.readBigUInt64LE(secretAt) + seed),
    data.readBigUInt64LE(at + 8) ^ u64(SECRET.readBigUInt64LE(secretAt + 8) - seed),
  );
}

function upTo16(data: Buffer, seed: bigint): bigint {
  const n = data.length;
  const bytes = BigInt(n);
  const secret = (at: number): bigint => SECRET.readBigUInt64LE(at) ^ SECRET.readBigUInt64LE(at + 8);
  if (n > 8) {
    const low = data.readBigUInt64LE(0) ^ u64(secret(24) + seed);
    const high = data.readBigUInt64LE(n - 8) ^ u64(secret(40) - seed);
    return avalanche(u64(bytes + swap64(low) + high + fold(low, high)));
  }
  if (n >= 4) {
    const low32 = Buffer.alloc(4);
    low32.writeUInt32LE(Number(seed & 0xffffffffn));
    const swapped = seed ^ (BigInt(low32.readUInt32BE()) << 32n);
    const input = BigInt(data.readUInt32LE(n - 4)) + (BigInt(data.readUInt32LE(0)) << 32n);
    let h = input ^ u64(secret(8) - swapped);
    h ^= rotate(h, 49n) ^ rotate(h, 24n);
    h = u64(h * MX2);
    h ^= (h >> 35n) + bytes;
    h = u64(h * MX2);
    return h ^ (h >> 28n);
  }
  if (n > 0) {
    const word = ((data[0] as number) << 16) | ((data[n >> 1] as number) << 24) | (data[n - 1] as number) | (n << 8);
    const flip = u64(BigInt((SECRET.readUInt32LE(0) ^ SECRET.readUInt32LE(4)) >>> 0) + seed);
    return avalanche64(BigInt(word >>> 0) ^ flip);
  }
  return avalanche64(seed ^ secret(56));
}

function upTo240(data: Buffer, seed: bigint): bigint {
  const n = data.length;
  let sum = BigInt(n) * P64_1;
  if (n <= 128) {
    for (let i = (n - 1) >> 5; i >= 0; i -= 1) {
      sum += mix16(data, 16 * i, 32 * i, seed) + mix16(data, n - 16 * (i + 1), 32 * i + 16, seed);
    }
    return avalanche(u64(sum));
  }
  for (let i = 0; i < 8; i += 1) sum += mix16(data, 16 * i, 16 * i, seed);
  let end = avalanche(u64(sum));
  for (let i = 8; i < n >> 4; i += 1) end += mix16(data, 16 * i, 16 * (i - 8) + 3, seed);
  end += mix16(data, n - 16, 136 - 17, seed);
  return avalanche(u64(end));
}

/** The default secret with the seed added and subtracted in turn. */
function seededSecret(seed: bigint): Buffer {
  const secret = Buffer.from(SECRET);
  for (let at = 0; at < 192; at += 16) {
    secret.writeBigUInt64LE(u64(SECRET.readBigUInt64LE(at) + seed), at);
    secret.writeBigUInt64LE(u64(SECRET.readBigUInt64LE(at + 8) - seed), at + 8);
  }
  return secret;
}

/** Eight 64-bit lanes as halves: low words at 0, 2, 4 ..., high words at 1, 3, 5 ... */
function addTo(lanes: Uint32Array, lane: number, low: number, high: number): void {
  const sum = (lanes[lane] as number) + low;
  lanes[lane] = sum;
  lanes[lane + 1] = (lanes[lane + 1] as number) + high + (sum > 0xffffffff ? 1 : 0);
}

/** lanes[lane] += a * b, where a and b are unsigned 32-bit words. */
function addProduct(lanes: Uint32Array, lane: number, a: number, b: number): void {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const cross = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (cross & 0xffff);
  const low = ((other & 0xffff) * 65536 + ((a0 * b0) & 0xffff)) >>> 0;
  addTo(lanes, lane, low, a1 * b1 + Math.floor(cross / 65536) + Math.floor(other / 65536));
}

function accumulate(lanes: Uint32Array, data: DataView, at: number, secret: DataView, secretAt: number): void {
  for (let i = 0; i < 8; i += 1) {
    const low = data.getUint32(at + 8 * i, true);
    const high = data.getUint32(at + 8 * i + 4, true);
    const keyLow = (low ^ secret.getUint32(secretAt + 8 * i, true)) >>> 0;
    const keyHigh = (high ^ secret.getUint32(secretAt + 8 * i + 4, true)) >>> 0;
    addTo(lanes, (i ^ 1) * 2, low, high);
    addProduct(lanes, i * 2, keyLow, keyHigh);
  }
}

function scramble(lanes: Uint32Array, secret: DataView): void {
  for (let i = 0; i < 8; i += 1) {
    const high = lanes[2 * i + 1] as number;
    const low = ((lanes[2 * i] as number) ^ (high >>> 15) ^ secret.getUint32(LAST_SECRET + 8 * i, true)) >>> 0;
    const mixed = (high ^ secret.getUint32(LAST_SECRET + 8 * i + 4, true)) >>> 0;
    lanes[2 * i] = 0;
    lanes[2 * i + 1] = Math.imul(mixed, 0x9e3779b1);
    addProduct(lanes, 2 * i, low, 0x9e3779b1);
  }
}

/** Lanes over more than 240 bytes, and the secret that they were made with. */
export function longLanes(data: Buffer, seed: bigint): { readonly lanes: Uint32Array; readonly secret: Buffer } {
  const secretBytes = seed === 0n ? SECRET : seededSecret(seed);
  const secret = new DataView(secretBytes.buffer, secretBytes.byteOffset, 192);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const lanes = new Uint32Array(16);
  [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1].forEach((start, i) => {
    lanes[2 * i] = Number(start & 0xffffffffn);
    lanes[2 * i + 1] = Number(start >> 32n);
  });
  const stripes = Math.floor((data.length - 1) / STRIPE_BYTES);
  for (let stripe = 0; stripe < stripes; stripe += 1) {
    accumulate(lanes, view, stripe * STRIPE_BYTES, secret, (stripe % BLOCK_STRIPES) * 8);
    if (stripe % BLOCK_STRIPES === BLOCK_STRIPES - 1 && (stripe + 1) * STRIPE_BYTES < data.length) {
      scramble(lanes, secret);
    }
  }
  accumulate(lanes, view, data.length - STRIPE_BYTES, secret, LAST_SECRET - 7);
  return { lanes, secret: secretBytes };
}

/** One 64-bit result of the lanes. */
export function mergeLanes(lanes: Uint32Array, secret: Buffer, secretAt: number, start: bigint): bigint {
  const lane = (i: number): bigint => BigInt(lanes[2 * i] as number) | (BigInt(lanes[2 * i + 1] as number) << 32n);
  let sum = start;
  for (let i = 0; i < 4; i += 1) {
    sum += fold(
      lane(2 * i) ^ secret.readBigUInt64LE(secretAt + 16 * i),
      lane(2 * i + 1) ^ secret.readBigUInt64LE(secretAt + 8 + 16 * i),
    );
  }
  return avalanche(u64(sum));
}

/** XXH3-64 of bytes. @param seed 64 bits, default 0 */
export function xxh3(data: Uint8Array, seed = 0n): bigint {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length <= 16) return upTo16(bytes, seed);
  if (bytes.length <= 240) return upTo240(bytes, seed);
  const { lanes, secret } = longLanes(bytes, seed);
  return mergeLanes(lanes, secret, 11, BigInt(bytes.length) * P64_1);
}
