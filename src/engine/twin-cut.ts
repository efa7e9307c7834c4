/**
 * FastCDC with a 64-bit gear hash, as docs/format-chunking.md says. The hash is
 * held in two 32-bit halves; the masks touch the high half only, because an
 * average of at most 1 GiB needs at most 32 mask bits.
 */
import type { CutOptions } from './engine.js';
import { yieldTurn } from './twin-hash.js';

const GEAR_SEED = 0x446966664b656570n;
/** Bytes cut before other work gets its turn. */
const TURN_BYTES = 4 << 20;

/** The gear table, in halves. */
export const gearHigh = new Int32Array(256);
export const gearLow = new Uint32Array(256);

function fillGear(): void {
  let state = GEAR_SEED;
  for (let i = 0; i < 256; i += 1) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    z ^= z >> 31n;
    gearHigh[i] = Number(BigInt.asIntN(32, z >> 32n));
    gearLow[i] = Number(z & 0xffffffffn);
  }
}
fillGear();

/** The `bits` highest bits of a 32-bit word. */
function topMask(bits: number): number {
  return bits >= 32 ? -1 : ~(0xffffffff >>> bits);
}

/** Where the piece that begins at `start` ends. */
function pieceEnd(data: Uint8Array, start: number, options: CutOptions): number {
  const left = data.length - start;
  if (left <= options.minBytes) return data.length;
  const bits = 31 - Math.clz32(options.averageBytes);
  const maskSmall = topMask(bits + 2);
  const maskLarge = topMask(bits - 2);
  const end = start + Math.min(left, options.maxBytes);
  const turn = Math.min(start + options.averageBytes, end);
  let high = 0;
  let low = 0;
  let mask = maskSmall;
  for (let at = start + options.minBytes; at < end; at += 1) {
    if (at === turn) mask = maskLarge;
    const byte = data[at] as number;
    const sum = ((low << 1) >>> 0) + (gearLow[byte] as number);
    high = (((high << 1) | (low >>> 31)) + (gearHigh[byte] as number) + (sum > 0xffffffff ? 1 : 0)) | 0;
    low = sum >>> 0;
    if ((high & mask) === 0) return at + 1;
  }
  return end;
}

/** Lengths of the pieces; they add up to the data. The caller has checked the options. */
export async function cutPieces(data: Uint8Array, options: CutOptions): Promise<Uint32Array> {
  const lengths: number[] = [];
  let turn = TURN_BYTES;
  for (let start = 0; start < data.length; ) {
    const end = pieceEnd(data, start, options);
    lengths.push(end - start);
    start = end;
    if (start >= turn) {
      turn = start + TURN_BYTES;
      await yieldTurn();
    }
  }
  return Uint32Array.from(lengths);
}
