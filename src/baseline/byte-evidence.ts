/** Cheap evidence about bytes before effort is spent on them. A few microseconds each, whatever the length; milliseconds in turns for noise. */
import { Turns } from './large-memory.js';

const NOISE_SAMPLES = 32;
const NOISE_SAMPLE_BYTES = 256;
/** 8,192 samples of pure noise come to 7.98 bits per byte; text, code and tables stay below 7. */
const NOISE_BITS = 7.9;
/** Below this, trying costs less than guessing. */
const NOISE_BYTES_MIN = 64 << 10;
/** Stretches of noise that are looked for again, and how far behind them: zstd looks no farther at most levels. */
const REPEAT_SAMPLES = 8;
const REPEAT_SAMPLE_BYTES = 32;
const REPEAT_REACH_BYTES = 2 << 20;
const PLACE_SAMPLES = 64;
const PLACE_SAMPLE_BYTES = 64;

/** Whether samples look like noise that does not repeat itself, so that compressing these bytes alone would be in vain. */
export async function looksRandom(bytes: Uint8Array): Promise<boolean> {
  if (bytes.length < NOISE_BYTES_MIN) return false;
  const counts = new Uint32Array(256);
  const step = Math.floor((bytes.length - NOISE_SAMPLE_BYTES) / (NOISE_SAMPLES - 1));
  for (let sample = 0; sample < NOISE_SAMPLES; sample += 1) {
    const from = sample * step;
    for (let at = from; at < from + NOISE_SAMPLE_BYTES; at += 1) {
      const value = bytes[at] as number;
      counts[value] = (counts[value] as number) + 1;
    }
  }
  const total = NOISE_SAMPLES * NOISE_SAMPLE_BYTES;
  let bits = 0;
  for (const count of counts) if (count > 0) bits += (count / total) * Math.log2(total / count);
  return bits >= NOISE_BITS && !(await repeats(bytes));
}

/** Whether some samples come again not far behind: noise that repeats itself folds well. */
async function repeats(bytes: Uint8Array): Promise<boolean> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const turns = new Turns();
  const step = Math.floor(all.length / REPEAT_SAMPLES);
  for (let sample = 0; sample < REPEAT_SAMPLES; sample += 1) {
    const from = sample * step;
    const stretch = all.subarray(from, from + REPEAT_SAMPLE_BYTES);
    const behind = all.subarray(from + 1, from + REPEAT_REACH_BYTES + REPEAT_SAMPLE_BYTES);
    if (behind.indexOf(stretch) >= 0) return true;
    await turns.took(behind.length);
  }
  return false;
}

/** Whether three quarters of some sampled bytes are equal at the same offset. */
export function mostlyInPlace(source: Uint8Array, target: Uint8Array): boolean {
  const common = Math.min(source.length, target.length);
  if (common < PLACE_SAMPLE_BYTES || common * 2 < target.length) return false;
  const step = Math.max(PLACE_SAMPLE_BYTES, Math.floor(common / PLACE_SAMPLES));
  let equal = 0;
  let looked = 0;
  for (let at = 0; at + PLACE_SAMPLE_BYTES <= common; at += step) {
    for (let i = at; i < at + PLACE_SAMPLE_BYTES; i += 1) if (source[i] === target[i]) equal += 1;
    looked += PLACE_SAMPLE_BYTES;
  }
  return equal * 4 >= looked * 3;
}
