/**
 * Where files hold arrays of floats: read from the headers of safetensors, npy and GGUF. Headers are hints that decide
 * how small a delta gets, never whether it is right, so what cannot be read is no tensor file.
 */
import type { TensorRegion } from '../engine/engine.js';

/** One array: its place, the bytes of an element, and a name to find it by in the other file. */
export interface TensorArray {
  readonly name: string;
  readonly begin: number;
  readonly bytes: number;
  readonly width: 2 | 4 | 8;
}

type Width = TensorArray['width'];

const HEADER_BYTES_MAX = 64 << 20;
const SAFETENSORS_WIDTHS: Readonly<Record<string, Width>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readSafetensors(bytes: Uint8Array): TensorArray[] | undefined {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return undefined;
  const headBytes = Number(viewOf(bytes).getBigUint64(0, true));
  if (headBytes > Math.min(HEADER_BYTES_MAX, bytes.length - 8)) return undefined;
  const head: unknown = JSON.parse(Buffer.from(bytes.subarray(8, 8 + headBytes)).toString('utf8'));
  if (typeof head !== 'object' || head === null) return undefined;
  const arrays: TensorArray[] = [];
  for (const [name, entry] of Object.entries(head as Record<string, { dtype?: unknown; data_offsets?: unknown }>)) {
    const width = SAFETENSORS_WIDTHS[String(entry?.dtype)];
    const offsets = entry?.data_offsets;
    if (width === undefined || !Array.isArray(offsets)) continue;
    const [from, to] = offsets.map(Number) as [number, number];
    arrays.push({ name, begin: 8 + headBytes + from, bytes: to - from, width });
  }
  return arrays;
}

function readNpy(bytes: Uint8Array): TensorArray[] | undefined {
  if (bytes.length < 16 || Buffer.from(bytes.subarray(0, 6)).toString('latin1') !== '\x93NUMPY') return undefined;
  const long = (bytes[6] as number) >= 2;
  const headBytes = long ? viewOf(bytes).getUint32(8, true) : viewOf(bytes).getUint16(8, true);
  const begin = (long ? 12 : 10) + headBytes;
  if (begin > bytes.length) return undefined;
  const head = Buffer.from(bytes.subarray(10, begin)).toString('latin1');
  const width = Number(/'descr':\s*'<f([248])'/.exec(head)?.[1] ?? 0);
  if (width !== 2 && width !== 4 && width !== 8) return undefined;
  return [{ name: 'array', begin, bytes: bytes.length - begin, width }];
}

/** Bytes of a scalar of a GGUF metadata type; strings (8) and arrays (9) are read apart. */
const GGUF_SCALARS: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
/** Tensor types of GGUF that are plain floats: F32, F16, F64, BF16. */
const GGUF_WIDTHS: Readonly<Record<number, Width>> = { 0: 4, 1: 2, 28: 8, 30: 2 };
const GGUF_COUNT_MAX = 1e6;

/** Reads GGUF numbers in turn; leaving the bytes throws RangeError, which ends the attempt. */
class GgufReader {
  at = 8;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = viewOf(bytes);
  }

  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  u64(): number {
    this.at += 8;
    return Number(this.view.getBigUint64(this.at - 8, true));
  }

  text(): string {
    const length = this.u64();
    if (length > this.bytes.length - this.at) throw new RangeError('a text leaves the file');
    this.at += length;
    return Buffer.from(this.bytes.subarray(this.at - length, this.at)).toString('latin1');
  }

  /** Steps over a value; gives it when it is a u32. */
  value(type: number): number | undefined {
    const bytes = GGUF_SCALARS[type];
    if (bytes !== undefined) {
      const value = type === 4 ? this.view.getUint32(this.at, true) : undefined;
      this.at += bytes;
      return value;
    }
    if (type === 8) this.text();
    else if (type === 9) this.list();
    else throw new RangeError('an unknown type');
    return undefined;
  }

  private list(): void {
    const type = this.u32();
    const count = this.u64();
    const bytes = GGUF_SCALARS[type];
    if (count > this.bytes.length - this.at) throw new RangeError('a list leaves the file');
    if (bytes !== undefined) this.at += bytes * count;
    else if (type === 8) for (let i = 0; i < count; i += 1) this.text();
    else throw new RangeError('lists of lists are not read');
  }
}

function readGguf(bytes: Uint8Array): TensorArray[] | undefined {
  if (bytes.length < 24 || Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== 'GGUF') return undefined;
  const reader = new GgufReader(bytes);
  const tensors = reader.u64();
  const facts = reader.u64();
  if (tensors > GGUF_COUNT_MAX || facts > GGUF_COUNT_MAX) return undefined;
  let alignment = 32;
  for (let i = 0; i < facts; i += 1) {
    const key = reader.text();
    const value = reader.value(reader.u32());
    if (key === 'general.alignment' && value !== undefined && value > 0) alignment = value;
  }
  const found: { name: string; elements: number; type: number; offset: number }[] = [];
  for (let i = 0; i < tensors; i += 1) {
    const name = reader.text();
    let elements = 1;
    for (let dimensions = reader.u32(); dimensions > 0; dimensions -= 1) elements *= reader.u64();
    found.push({ name, elements, type: reader.u32(), offset: reader.u64() });
  }
  const data = Math.ceil(reader.at / alignment) * alignment;
  return found.flatMap(({ name, elements, type, offset }) => {
    const width = GGUF_WIDTHS[type];
    return width === undefined ? [] : [{ name, begin: data + offset, bytes: elements * width, width }];
  });
}

/** Arrays that the header of a file tells of, ascending and apart; undefined when it is no such file. */
export function readTensorArrays(bytes: Uint8Array): TensorArray[] | undefined {
  let arrays: TensorArray[] | undefined;
  try {
    arrays = readSafetensors(bytes) ?? readNpy(bytes) ?? readGguf(bytes);
  } catch {
    // A header that lies or is cut off: the bytes are coded as something else.
    return undefined;
  }
  if (arrays === undefined) return undefined;
  let end = 0;
  return arrays
    .filter(({ begin, bytes: length }) => Number.isSafeInteger(begin) && Number.isSafeInteger(length) && length > 0)
    .sort((a, b) => a.begin - b.begin)
    .filter(({ begin, bytes: length }) => {
      const fits = begin >= end && begin + length <= bytes.length;
      if (fits) end = begin + length;
      return fits;
    });
}

/** Regions of the target with the arrays of the same name and width in the source. */
export function matchArrays(source: readonly TensorArray[], target: readonly TensorArray[]): TensorRegion[] {
  const before = new Map(source.map((array) => [array.name, array]));
  return target.map(({ name, begin, bytes, width }) => {
    const old = before.get(name);
    // An array that grew did so at its end, as a rule; each piece of it falls back to no source where that is shorter.
    const same = old !== undefined && old.width === width;
    return same ? { begin, bytes, width, source: old.begin } : { begin, bytes, width };
  });
}

/** One region over everything: for bytes that hold elements of this width without saying so. */
export function wholeRegion(sourceBytes: number, targetBytes: number, width: Width): TensorRegion[] {
  if (targetBytes < width) return [];
  return [{ begin: 0, bytes: targetBytes, width, ...(sourceBytes === 0 ? {} : { source: 0 }) }];
}

/** Where the target holds floats, and how that is known. */
export interface TensorLayout {
  readonly origin: 'header' | 'samples' | 'told';
  readonly regions: readonly TensorRegion[];
}

/** The layout that the target's header tells of; undefined when arrays make up less than half of it. */
export function layoutOfHeaders(source: Uint8Array, target: Uint8Array): TensorLayout | undefined {
  const arrays = readTensorArrays(target);
  if (arrays === undefined) return undefined;
  const covered = arrays.reduce((sum, { bytes }) => sum + bytes, 0);
  if (2 * covered < target.length) return undefined;
  return { origin: 'header', regions: matchArrays(readTensorArrays(source) ?? [], arrays) };
}
