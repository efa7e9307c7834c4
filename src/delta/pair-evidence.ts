/** Evidence about two files from a few samples: what `auto` decides by before it spends time on all bytes. */
import type { Effort, Engine } from '../engine/engine.js';
import { LEVEL_OF_EFFORT } from './engine-costs.js';

const PIECES = 64;
const SHORT_BYTES = 64;
const LONG_BYTES = 4096;

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
}

/** What the samples say. */
export interface PairEvidence {
  /** Share of the samples that are equal at the same offset, 0 to 1. */
  readonly inPlace: number;
  /** Whether the target begins like an executable. */
  readonly executable: boolean;
  readonly sizes?: SampleSizes;
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
): Promise<PairEvidence> {
  const { source, target } = pair;
  const inPlace = shareInPlace(source, target);
  const executable = EXECUTABLE_MAGICS.some(
    (magic) => target.length > magic.length && magic.equals(target.subarray(0, magic.length)),
  );
  if (!trials) return { inPlace, executable };
  const sample = samplePair(source, target);
  // Ratios hold for any level; high ones would take longer than the answer is worth.
  const level = LEVEL_OF_EFFORT.fast;
  const zstd = (await engine.compress(sample.target, { level })).length;
  const align = (await engine.alignDiff(sample.source, sample.target, effort === 'max' ? 'balanced' : effort)).length;
  const xor = inPlace > 0 ? (await engine.xorDiff(sample.source, sample.target, level)).length : zstd;
  return { inPlace, executable, sizes: { target: sample.target.length, zstd, align, xor } };
}
