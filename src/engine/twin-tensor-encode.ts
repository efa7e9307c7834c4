/** Encoder of the `tensor` engine in the twin. Normative text: `docs/format-tensor.md`. */
import type { Effort, TensorRegion } from './engine.js';
import { ByteWriter } from './twin-align-format.js';
import {
  FROM_SOURCE,
  KIND_BYTES,
  KIND_COPY,
  PREFIX_MARGIN,
  SEGMENT_BYTES_MAX,
  TENSOR_FORM,
} from './twin-tensor-decode.js';
import { splitPlanes } from './twin-tensor-planes.js';
import { compressNow } from './twin-zstd.js';

/** Elements of a segment. */
const ELEMENTS = 128 << 10;
const LEVEL: Readonly<Record<Effort, number>> = { fast: 1, balanced: 3, max: 9 };
/** Elements that decide between difference and no difference, in pieces spread over the segment. */
const SAMPLE_PIECES = 16;
const SAMPLE_ELEMENTS = 256;
/** Above this entropy, bits for each byte, a plane is kept as it is. */
const NOISE_BITS = 7.85;
const NO_BYTES = new Uint8Array(0);

interface Unit {
  readonly begin: number;
  readonly length: number;
  /** 0 for bytes. */
  readonly width: 0 | 2 | 4 | 8;
  readonly source: number | undefined;
}

/** Cuts the target into segments: regions, and what lies between them. */
function cutUnits(sourceBytes: number, targetBytes: number, regions: readonly TensorRegion[]): Unit[] {
  const units: Unit[] = [];
  let at = 0;
  let diagonal = 0;
  const cutUpTo = (end: number, width: Unit['width'], lengthMax: number, fromSource: boolean): void => {
    while (at < end) {
      const length = Math.min(lengthMax, end - at);
      const source = at + diagonal;
      const there = fromSource && source >= 0 && source < sourceBytes;
      units.push({ begin: at, length, width, source: there ? source : undefined });
      at += length;
    }
  };
  for (const { begin, bytes, width, source } of regions) {
    cutUpTo(begin, KIND_BYTES, SEGMENT_BYTES_MAX, true);
    const end = begin + bytes - (bytes % width);
    if (source !== undefined && source <= sourceBytes) {
      diagonal = source - begin;
      const common = Math.min(end - begin, sourceBytes - source);
      cutUpTo(begin + common - (common % width), width, ELEMENTS * width, true);
    }
    cutUpTo(end, width, ELEMENTS * width, false);
  }
  cutUpTo(targetBytes, KIND_BYTES, SEGMENT_BYTES_MAX, true);
  return units;
}

/** Entropy by frequencies, bits for each byte. */
function entropy(plane: Uint8Array): number {
  const counts = new Uint32Array(256);
  const step = Math.max(1, Math.floor(plane.length / 8192));
  let samples = 0;
  for (let i = 0; i < plane.length; i += step) {
    counts[plane[i] as number] = (counts[plane[i] as number] as number) + 1;
    samples += 1;
  }
  return counts.reduce(
    (bits, count) => (count === 0 ? bits : bits - (count / samples) * Math.log2(count / samples)),
    0,
  );
}

function putPlane(out: ByteWriter, plane: Uint8Array, prefix: Uint8Array, effort: Effort): void {
  const noise = prefix.length === 0 && entropy(plane) > NOISE_BITS;
  const frame = noise ? NO_BYTES : compressNow(plane, { level: LEVEL[effort], context: prefix });
  const raw = noise || frame.length >= plane.length;
  out.varint(raw ? 0 : frame.length);
  out.add(raw ? plane : frame);
}

/** Whether differences look smaller than the elements themselves. */
function differencesHelp(width: 2 | 4 | 8, target: Uint8Array, from: Uint8Array): boolean {
  const count = target.length / width;
  const piece = Math.min(SAMPLE_ELEMENTS, count);
  const pieces = Math.min(SAMPLE_PIECES, Math.floor(count / piece));
  const gathered = (bytes: Uint8Array): Buffer =>
    Buffer.concat(
      Array.from({ length: pieces }, (_, p) => {
        const at = pieces === 1 ? 0 : Math.floor(((count - piece) * p) / (pieces - 1)) * width;
        return bytes.subarray(at, at + piece * width);
      }),
    );
  const sample = gathered(target);
  const bits = (planes: readonly Uint8Array[]): number => planes.reduce((sum, plane) => sum + entropy(plane), 0);
  return bits(splitPlanes(width, sample, gathered(from))) <= bits(splitPlanes(width, sample, undefined));
}

/** Writes segments; copies that continue each other become one. */
class SegmentWriter {
  readonly out = new ByteWriter();
  private diagonal = 0;
  private copy: { readonly begin: number; readonly source: number; readonly length: number } | undefined;

  head(begin: number, length: number, kind: number, source: number | undefined): void {
    this.out.varint(length);
    this.out.byte(source === undefined ? kind : kind | FROM_SOURCE);
    if (source === undefined) return;
    const change = source - begin - this.diagonal;
    this.out.varint(change < 0 ? -2 * change - 1 : 2 * change);
    this.diagonal += change;
  }

  flush(): void {
    if (this.copy !== undefined) this.head(this.copy.begin, this.copy.length, KIND_COPY, this.copy.source);
    this.copy = undefined;
  }

  copied({ begin, length }: Unit, source: number): void {
    if (this.copy !== undefined && this.copy.source + this.copy.length !== source) this.flush();
    const before = this.copy ?? { begin, source, length: 0 };
    this.copy = { ...before, length: before.length + length };
  }
}

/** Payload that turns `source` into `target`. After `warmZstd`. */
export function tensorDiffNow(
  source: Uint8Array,
  target: Uint8Array,
  effort: Effort,
  regions: readonly TensorRegion[],
): Buffer {
  const writer = new SegmentWriter();
  writer.out.byte(TENSOR_FORM);
  for (const unit of cutUnits(source.length, target.length, regions)) {
    const bytes = target.subarray(unit.begin, unit.begin + unit.length);
    const from = unit.source === undefined ? undefined : source.subarray(unit.source);
    if (unit.source !== undefined && from !== undefined && Buffer.compare(bytes, from.subarray(0, unit.length)) === 0) {
      writer.copied(unit, unit.source);
      continue;
    }
    writer.flush();
    if (unit.width === KIND_BYTES) {
      writer.head(unit.begin, unit.length, KIND_BYTES, unit.source);
      putPlane(writer.out, bytes, from?.subarray(0, unit.length + PREFIX_MARGIN) ?? NO_BYTES, effort);
      continue;
    }
    const { width } = unit;
    const useful = from !== undefined && differencesHelp(width, bytes, from) ? from : undefined;
    writer.head(unit.begin, unit.length, width, useful === undefined ? undefined : unit.source);
    for (const plane of splitPlanes(width, bytes, useful)) putPlane(writer.out, plane, NO_BYTES, effort);
  }
  writer.flush();
  return Buffer.from(writer.out.done());
}
