/**
 * Numbers into byte planes and back. With a source an element becomes the zigzag of the difference between the two as
 * ordered integers; without one it is rotated left by one bit. Numbers of 32 bits at most are plain numbers here.
 */

type Width = 2 | 4 | 8;

/** Arithmetic on elements of 16 or 32 bits, kept as unsigned numbers. */
interface Narrow {
  readonly sign: number;
  readonly all: number;
  readonly bits: number;
}
const NARROW: Readonly<Record<2 | 4, Narrow>> = {
  2: { sign: 0x8000, all: 0xffff, bits: 16 },
  4: { sign: 0x80000000, all: 0xffffffff, bits: 32 },
};

function ordered({ sign, all }: Narrow, value: number): number {
  return (value >= sign ? value ^ all : value ^ sign) >>> 0;
}

function unordered({ sign, all }: Narrow, value: number): number {
  return (value >= sign ? value ^ sign : value ^ all) >>> 0;
}

function encoded(kind: Narrow, target: number, source: number | undefined): number {
  const { sign, all, bits } = kind;
  if (source === undefined) return (((target << 1) & all) | (target >>> (bits - 1))) >>> 0;
  const difference = ((ordered(kind, target) - ordered(kind, source)) & all) >>> 0;
  const doubled = ((difference << 1) & all) >>> 0;
  return (difference >= sign ? doubled ^ all : doubled) >>> 0;
}

function decoded(kind: Narrow, value: number, source: number | undefined): number {
  const { all, bits } = kind;
  if (source === undefined) return ((value >>> 1) | ((value << (bits - 1)) & all)) >>> 0;
  const half = value >>> 1;
  const difference = value % 2 === 1 ? (half ^ all) >>> 0 : half;
  return unordered(kind, ((ordered(kind, source) + difference) & all) >>> 0);
}

const SIGN64 = 1n << 63n;
const ALL64 = (1n << 64n) - 1n;

function ordered64(value: bigint): bigint {
  return value >= SIGN64 ? value ^ ALL64 : value ^ SIGN64;
}

function encoded64(target: bigint, source: bigint | undefined): bigint {
  if (source === undefined) return ((target << 1n) & ALL64) | (target >> 63n);
  const difference = (ordered64(target) - ordered64(source)) & ALL64;
  const doubled = (difference << 1n) & ALL64;
  return difference >= SIGN64 ? doubled ^ ALL64 : doubled;
}

function decoded64(value: bigint, source: bigint | undefined): bigint {
  if (source === undefined) return (value >> 1n) | ((value & 1n) << 63n);
  const half = value >> 1n;
  const sum = (ordered64(source) + ((value & 1n) === 1n ? half ^ ALL64 : half)) & ALL64;
  return sum >= SIGN64 ? sum ^ SIGN64 : sum ^ ALL64;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function read(view: DataView, width: 2 | 4, at: number): number {
  return width === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
}

/** Planes of `target`, whose length is a multiple of the width; `source`, if any, is at least as long. */
export function splitPlanes(width: Width, target: Uint8Array, source: Uint8Array | undefined): Uint8Array[] {
  const count = target.length / width;
  const planes = Array.from({ length: width }, () => new Uint8Array(count));
  const to = viewOf(target);
  const from = source === undefined ? undefined : viewOf(source);
  if (width === 8) {
    const value = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < count; i += 1) {
      value.setBigUint64(0, encoded64(to.getBigUint64(8 * i, true), from?.getBigUint64(8 * i, true)), true);
      for (const [k, plane] of planes.entries()) plane[i] = value.getUint8(k);
    }
    return planes;
  }
  const kind = NARROW[width];
  for (let i = 0; i < count; i += 1) {
    const at = width * i;
    let value = encoded(kind, read(to, width, at), from === undefined ? undefined : read(from, width, at));
    for (let k = 0; k < width; k += 1) {
      (planes[k] as Uint8Array)[i] = value;
      value >>>= 8;
    }
  }
  return planes;
}

/** Undoes `splitPlanes`: fills `out`, whose length is that of a plane times the width. */
export function mergePlanes(
  width: Width,
  planes: readonly Uint8Array[],
  source: Uint8Array | undefined,
  out: Uint8Array,
): void {
  const count = out.length / width;
  const to = viewOf(out);
  const from = source === undefined ? undefined : viewOf(source);
  if (width === 8) {
    const value = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < count; i += 1) {
      for (const [k, plane] of planes.entries()) value.setUint8(k, plane[i] as number);
      to.setBigUint64(8 * i, decoded64(value.getBigUint64(0, true), from?.getBigUint64(8 * i, true)), true);
    }
    return;
  }
  const kind = NARROW[width];
  for (let i = 0; i < count; i += 1) {
    let value = 0;
    for (let k = width - 1; k >= 0; k -= 1) value = ((value << 8) | ((planes[k] as Uint8Array)[i] as number)) >>> 0;
    const bits = decoded(kind, value, from === undefined ? undefined : read(from, width, width * i));
    if (width === 2) to.setUint16(2 * i, bits, true);
    else to.setUint32(4 * i, bits, true);
  }
}
