/** Dictionary training of the twin: the method of `native/dictionary`, to the byte. */

const STRING_BYTES = 8;
const TABLE_BITS = 20;
const STRETCH_BYTES = 128;
const FACTOR_LOW = 0x7f4a7c15;
const FACTOR_HIGH = 0x9e3779b9;

/** The top bits of the 64-bit product of 8 bytes and the factor, in 32-bit halves. */
function slotOf(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  // High half of low * FACTOR_LOW by 16-bit limbs; what is above 64 bits falls away.
  const a = low & 0xffff;
  const b = low >>> 16;
  const c = FACTOR_LOW & 0xffff;
  const d = FACTOR_LOW >>> 16;
  const cross = a * d + b * c + Math.floor((a * c) / 0x10000);
  const top = b * d + Math.floor(cross / 0x10000);
  const word = ((top % 0x100000000) + Math.imul(low, FACTOR_HIGH) + Math.imul(high, FACTOR_LOW)) >>> 0;
  return word >>> (32 - TABLE_BITS);
}

function countSamples(view: DataView, lengths: Uint32Array): Uint16Array {
  const counts = new Uint16Array(2 ** TABLE_BITS);
  const last = new Uint32Array(2 ** TABLE_BITS);
  let start = 0;
  for (const [index, length] of lengths.entries()) {
    for (let i = 0; i + STRING_BYTES <= length; i += 1) {
      const slot = slotOf(view, start + i);
      if (last[slot] === index + 1) continue;
      if (last[slot] !== 0 && (counts[slot] as number) < 0xffff) counts[slot] = (counts[slot] as number) + 1;
      last[slot] = index + 1;
    }
    start += length;
  }
  return counts;
}

function bestStretch(view: DataView, start: number, end: number, worth: Uint16Array): { start: number; worth: number } {
  const strings = STRETCH_BYTES - STRING_BYTES + 1;
  let best = { start, worth: 0 };
  let sum = 0;
  for (let i = start; i + STRING_BYTES <= end; i += 1) {
    sum += worth[slotOf(view, i)] as number;
    if (i >= start + strings) sum -= worth[slotOf(view, i - strings)] as number;
    if (i + 1 >= start + strings && sum > best.worth) best = { start: i + 1 - strings, worth: sum };
  }
  return best;
}

/** See `Engine.trainDictionary`. */
export function trainDictionaryNow(samples: Uint8Array, lengths: Uint32Array, bytesMax: number): Buffer {
  const view = new DataView(samples.buffer, samples.byteOffset, samples.byteLength);
  const worth = countSamples(view, lengths);
  const most = Math.floor(bytesMax / STRETCH_BYTES);
  const epochs = Math.max(1, Math.min(most, Math.floor(samples.length / (4 * STRETCH_BYTES))));
  const taken: { start: number; worth: number }[] = [];
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    const start = Math.floor((samples.length * epoch) / epochs);
    const best = bestStretch(view, start, Math.floor((samples.length * (epoch + 1)) / epochs), worth);
    if (best.worth === 0) continue;
    taken.push(best);
    for (let i = best.start; i + STRING_BYTES <= best.start + STRETCH_BYTES; i += 1) worth[slotOf(view, i)] = 0;
  }
  taken.sort((a, b) => a.worth - b.worth);
  return Buffer.concat(taken.map(({ start }) => samples.subarray(start, start + STRETCH_BYTES)));
}
