/** Evidence about two files from a few samples: what `auto` decides by before it spends time on all bytes. */
import type { Effort, Engine } from '../engine/engine.js';
import { LEVEL_OF_EFFORT } from './engine-costs.js';
import { layoutOfHeaders, type TensorLayout, wholeRegion } from './tensor-layout.js';

const PIECES = 64;
const SHORT_BYTES = 64;
const LONG_BYTES = 4096;
/** Samples must get this much smaller as floats before they count as such: a wrong guess costs more than it gains. */
const TENSOR_GAIN = 0.9;

/** Magic bytes of ELF, PE (MZ), Mach-O (both orders, 64 bit, universal) and WebAssembly. */
const EXECUTABLE_MAGICS = ['7f454c46', '4d5a', 'cffaedfe', 'feedfacf', 'cafebabe', '0061736d'].map((hex) =>
  Buffer.from(hex, 'hex'),
);

/** Bytes that each engine makes of the samples; absent where it was not tried on them. */
export interface SampleSizes {
  /** Bytes of all samples together. */
  readonly target: number;
  readonly zstd: number;
  readonly align: number;
  readonly xor: number;
  /** Absent when the target says itself whether it holds floats, or hardly differs in place. */
  readonly tensor?: number;
}

/** What the samples say. */
export interface PairEvidence {
  /** Share of the samples that are equal at the same offset, 0 to 1. */
  readonly inPlace: number;
  /** Whether the target begins like an executable. */
  readonly executable: boolean;
  /** Whether pieces of floats that differ in place stand a little further on or back in the source; false for others. */
  readonly shifted: boolean;
  readonly sizes?: SampleSizes;
}

/** Evidence, and what is needed to act on it. */
export interface PairView {
  readonly evidence: PairEvidence;
  readonly layout?: TensorLayout;
}

const NEEDLES = 16;
const NEEDLE_BYTES = 32;
/** Rows that were inserted shift what follows by less; a search further off would take as long as coding the floats. */
const NEEDLE_REACH = 1 << 16;

/** Looks for pieces of the target near their place in the source. Zeros and the like are found anywhere: left out. */
function looksShifted(source: Uint8Array, target: Uint8Array): boolean {
  const common = Math.min(source.length, target.length);
  const step = Math.max(NEEDLE_BYTES, Math.floor(common / NEEDLES));
  let found = 0;
  for (let at = step >> 1; at + NEEDLE_BYTES <= common; at += step) {
    const needle = Buffer.from(target.subarray(at, at + NEEDLE_BYTES));
    if (new Set(needle).size < NEEDLE_BYTES / 4) continue;
    if (needle.equals(source.subarray(at, at + NEEDLE_BYTES))) continue;
    const near = source.subarray(Math.max(0, at - NEEDLE_REACH), at + NEEDLE_REACH);
    if (Buffer.from(near.buffer, near.byteOffset, near.byteLength).includes(needle)) found += 1;
  }
  return found >= 2;
}

const lengthOf = ({ length }: Uint8Array): number => length;

/** The width of elements that makes the samples smallest, and that size. */
async function tryWidths(
  engine: Engine,
  sample: { readonly source: Buffer; readonly target: Buffer },
): Promise<{ readonly width: 2 | 4 | 8; readonly bytes: number }> {
  const tried = await Promise.all(
    ([4, 2, 8] as const).map(async (width) => {
      const regions = wholeRegion(sample.source.length, sample.target.length, width);
      return { width, bytes: lengthOf(await engine.tensorDiff(sample.source, sample.target, 'fast', regions)) };
    }),
  );
  return tried.reduce((best, one) => (one.bytes < best.bytes ? one : best));
}

function* places(common: number, bytes: number): Generator<number> {
  const step = Math.max(bytes, Math.floor(common / PIECES));
  // Multiples of 8 keep numbers whole.
  for (let at = 0; at + bytes <= common; at += step) yield at - (at % 8);
}

/** Share of short samples that are equal at the same offset. */
function shareInPlace(source: Uint8Array, target: Uint8Array): number {
  let equal = 0;
  let looked = 0;
  for (const at of places(Math.min(source.length, target.length), SHORT_BYTES)) {
    const sample = target.subarray(at, at + SHORT_BYTES);
    if (Buffer.compare(sample, source.subarray(at, at + SHORT_BYTES)) === 0) equal += 1;
    looked += 1;
  }
  return looked === 0 ? 0 : equal / looked;
}

/** Pieces from the same offsets of both, one behind the other. */
export function samplePair(
  source: Uint8Array,
  target: Uint8Array,
): { readonly source: Buffer; readonly target: Buffer } {
  const common = Math.min(source.length, target.length);
  const offsets = [...places(common, LONG_BYTES)];
  const gathered = (bytes: Uint8Array): Buffer =>
    Buffer.concat(offsets.map((at) => bytes.subarray(at, at + LONG_BYTES)));
  return { source: gathered(source), target: gathered(target) };
}

/** Looks at the pair. Only with `trials` are engines run on samples: a few milliseconds. */
export async function lookAt(
  engine: Engine,
  pair: { readonly source: Uint8Array; readonly target: Uint8Array },
  effort: Effort,
  trials: boolean,
): Promise<PairView> {
  const { source, target } = pair;
  const inPlace = shareInPlace(source, target);
  const executable = EXECUTABLE_MAGICS.some(
    (magic) => target.length > magic.length && magic.equals(target.subarray(0, magic.length)),
  );
  const layout = layoutOfHeaders(source, target);
  if (!trials) {
    return { evidence: { inPlace, executable, shifted: false }, ...(layout === undefined ? {} : { layout }) };
  }
  // What a header says needs no proof: a wrong header costs bytes, and trials would cost every right one time.
  if (layout !== undefined) {
    return { evidence: { inPlace, executable, shifted: looksShifted(source, target) }, layout };
  }
  const sample = samplePair(source, target);
  // Ratios hold for any level; high ones would take longer than the answer is worth.
  const level = LEVEL_OF_EFFORT.fast;
  const [align, zstd, xored] = await Promise.all([
    engine.alignDiff(sample.source, sample.target, effort === 'max' ? 'balanced' : effort).then(lengthOf),
    engine.compress(sample.target, { level }).then(lengthOf),
    inPlace > 0 ? engine.xorDiff(sample.source, sample.target, level).then(lengthOf) : undefined,
  ]);
  const xor = xored ?? zstd;
  const sizes = { target: sample.target.length, zstd, align, xor };
  const evidence = { inPlace, executable, shifted: false, sizes };
  // Floats hardly compress; what the others make small is none.
  if (Math.min(align, xor, zstd) < sample.target.length / 8) return { evidence };
  const { width, bytes } = await tryWidths(engine, sample);
  const measured = { ...evidence, sizes: { ...sizes, tensor: bytes } };
  if (bytes > TENSOR_GAIN * Math.min(align, xor, zstd)) return { evidence: measured };
  const regions = wholeRegion(source.length, target.length, width);
  const shifted = looksShifted(source, target);
  return { evidence: { ...measured, shifted }, layout: { origin: 'samples', regions } };
}
