/**
 * BLAKE3 in TypeScript, because the libraries do not give the chaining values of
 * inner nodes, which the page scan keeps per group of 64 KiB. Written from the
 * BLAKE3 paper: 1 KiB chunks of 64-byte blocks, and a binary tree whose left side
 * takes the largest power of two of chunks below the count.
 */
const CHUNK_BYTES = 1024;
const BLOCK_BYTES = 64;
/** Bytes of one group: 64 chunks, so a group is a whole subtree. */
export const GROUP_BYTES = 65536;
const GROUP_CHUNKS = GROUP_BYTES / CHUNK_BYTES;

const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

const IV = Int32Array.from([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

/** Word order of each of the seven rounds: the permutation of the paper, applied again and again. */
const SCHEDULE = makeSchedule();

function makeSchedule(): Uint8Array {
  const step = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  const all = new Uint8Array(7 * 16);
  let row = Array.from({ length: 16 }, (_, i) => i);
  for (let round = 0; round < 7; round += 1) {
    all.set(row, round * 16);
    row = step.map((from) => row[from] as number);
  }
  return all;
}

const state = new Int32Array(16);
const message = new Int32Array(16);

function mix(a: number, b: number, c: number, d: number, x: number, y: number): void {
  let va = ((state[a] as number) + (state[b] as number) + x) | 0;
  let vd = (state[d] as number) ^ va;
  vd = (vd >>> 16) | (vd << 16);
  let vc = ((state[c] as number) + vd) | 0;
  let vb = (state[b] as number) ^ vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  state[a] = va;
  state[b] = (vb >>> 7) | (vb << 25);
  state[c] = vc;
  state[d] = vd;
}

/** One compression of `message` into the 8 words of `value`. */
function compress(value: Int32Array, counter: number, blockBytes: number, flags: number): void {
  state.set(value, 0);
  for (let i = 0; i < 4; i += 1) state[8 + i] = IV[i] as number;
  state[12] = counter | 0;
  state[13] = Math.floor(counter / 2 ** 32) | 0;
  state[14] = blockBytes;
  state[15] = flags;
  for (let at = 0; at < 112; at += 16) {
    const m = (i: number): number => message[SCHEDULE[at + i] as number] as number;
    mix(0, 4, 8, 12, m(0), m(1));
    mix(1, 5, 9, 13, m(2), m(3));
    mix(2, 6, 10, 14, m(4), m(5));
    mix(3, 7, 11, 15, m(6), m(7));
    mix(0, 5, 10, 15, m(8), m(9));
    mix(1, 6, 11, 12, m(10), m(11));
    mix(2, 7, 8, 13, m(12), m(13));
    mix(3, 4, 9, 14, m(14), m(15));
  }
  for (let i = 0; i < 8; i += 1) value[i] = (state[i] as number) ^ (state[i + 8] as number);
}

function loadBlock(data: Uint8Array, start: number, bytes: number): void {
  if (bytes < BLOCK_BYTES) message.fill(0);
  const whole = bytes >> 2;
  let at = start;
  for (let i = 0; i < whole; i += 1, at += 4) {
    message[i] =
      (data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24);
  }
  for (let i = whole << 2; i < bytes; i += 1, at += 1) {
    message[i >> 2] = (message[i >> 2] as number) | ((data[at] as number) << ((i & 3) * 8));
  }
}

/** Chaining value of one chunk, or the root when it is the only one. */
function chunkValue(data: Uint8Array, start: number, end: number, counter: number, root: boolean): Int32Array {
  const value = IV.slice();
  let at = start;
  let flags = CHUNK_START;
  do {
    const bytes = Math.min(BLOCK_BYTES, end - at);
    loadBlock(data, at, bytes);
    at += bytes;
    if (at >= end) flags |= root ? CHUNK_END | ROOT : CHUNK_END;
    compress(value, counter, bytes, flags);
    flags = 0;
  } while (at < end);
  return value;
}

function parentValue(left: Int32Array, right: Int32Array, root: boolean): Int32Array {
  message.set(left, 0);
  message.set(right, 8);
  const value = IV.slice();
  compress(value, 0, BLOCK_BYTES, root ? PARENT | ROOT : PARENT);
  return value;
}

/** Largest power of two below `count` (at least 2). */
export function leftCount(count: number): number {
  return 2 ** (31 - Math.clz32(count - 1));
}

function subtreeValue(data: Uint8Array, start: number, end: number, counter: number, root: boolean): Int32Array {
  const chunks = Math.ceil((end - start) / CHUNK_BYTES);
  if (chunks <= 1) return chunkValue(data, start, end, counter, root);
  const left = leftCount(chunks);
  const middle = start + left * CHUNK_BYTES;
  return parentValue(
    subtreeValue(data, start, middle, counter, false),
    subtreeValue(data, middle, end, counter + left, false),
    root,
  );
}

function valueBytes(value: Int32Array): Buffer {
  const bytes = Buffer.alloc(32);
  for (let i = 0; i < 8; i += 1) bytes.writeInt32LE(value[i] as number, i * 4);
  return bytes;
}

function valueAt(bytes: Uint8Array, index: number): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset + index * 32, 32);
  return Int32Array.from({ length: 8 }, (_, i) => view.getInt32(i * 4, true));
}

/** BLAKE3 of the whole data, 32 bytes. */
export function blake3(data: Uint8Array): Buffer {
  return valueBytes(subtreeValue(data, 0, data.length, 0, true));
}

/** Chaining value of the full group number `index` of a file that has more than this group. */
export function groupValue(group: Uint8Array, index: number): Buffer {
  return valueBytes(subtreeValue(group, 0, GROUP_BYTES, index * GROUP_CHUNKS, false));
}

/**
 * BLAKE3 of a whole file, from the chaining values of its leading groups and the
 * bytes of the last one. `tail` holds 1 to 65,536 bytes, so the last group is
 * given as bytes even when it is full: alone it would be the root.
 *
 * @param groups 32 bytes per group before the tail; more are ignored
 * @param count how many groups come before the tail
 */
export function rootFromGroups(groups: Uint8Array, count: number, tail: Uint8Array): Buffer {
  const span = (first: number, units: number, root: boolean): Int32Array => {
    if (units === 1) {
      if (first < count) return valueAt(groups, first);
      return subtreeValue(tail, 0, tail.length, first * GROUP_CHUNKS, root);
    }
    const left = leftCount(units);
    return parentValue(span(first, left, false), span(first + left, units - left, false), root);
  };
  return valueBytes(span(0, count + 1, true));
}
