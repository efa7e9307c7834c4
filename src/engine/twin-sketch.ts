/** Sketches as native/chunk/sketch.cc makes them; hashes are held in two 32-bit halves. */
import { type ContentVerbs, SKETCH_FEATURES } from './content-verbs.js';
import { cutPieces, gearHigh, gearLow } from './twin-cut.js';
import { yieldTurn } from './twin-hash.js';

const STRETCH_BYTES = 64;
/** Bytes sketched before other work gets its turn. */
const TURN_BYTES = 4 << 20;
const NONE = 0xffffffffffffffffn;

/** Puts a hash that is smaller than the last one in its place, once. */
function insert(hash: bigint, smallest: bigint[]): void {
  if (smallest.includes(hash)) return;
  smallest[smallest.length - 1] = hash;
  smallest.sort((one, other) => (one < other ? -1 : 1));
}

function fold(hash: bigint): number {
  return hash === NONE ? 0 : Number(BigInt.asUintN(64, hash * 0x9e3779b97f4a7c15n) >> 32n);
}

function sketch(data: Uint8Array): number[] {
  const smallest: bigint[] = new Array(SKETCH_FEATURES).fill(NONE);
  let boundHigh = 0xffffffff;
  let high = 0;
  let low = 0;
  for (let at = 0; at < data.length; at += 1) {
    const byte = data[at] as number;
    const sum = ((low << 1) >>> 0) + (gearLow[byte] as number);
    high = (((high << 1) | (low >>> 31)) + (gearHigh[byte] as number) + (sum > 0xffffffff ? 1 : 0)) | 0;
    low = sum >>> 0;
    if (high >>> 0 > boundHigh || at + 1 < STRETCH_BYTES) continue;
    const hash = (BigInt(high >>> 0) << 32n) | BigInt(low);
    if (hash >= (smallest[SKETCH_FEATURES - 1] as bigint)) continue;
    insert(hash, smallest);
    boundHigh = Number((smallest[SKETCH_FEATURES - 1] as bigint) >> 32n);
  }
  return smallest.map(fold);
}

/** The verbs in plain TypeScript. */
export const twinContent: ContentVerbs = {
  cut: cutPieces,
  async sketchMany(data, pieces) {
    const features = new Uint32Array((pieces.length / 2) * SKETCH_FEATURES);
    let bytes = 0;
    for (let i = 0; i < pieces.length; i += 2) {
      const [offset = 0, length = 0] = pieces.subarray(i, i + 2);
      features.set(sketch(data.subarray(offset, offset + length)), (i / 2) * SKETCH_FEATURES);
      bytes += length;
      if (bytes < TURN_BYTES) continue;
      bytes = 0;
      await yieldTurn();
    }
    return features;
  },
};
