/** `docs/format-sparse.md` and `docs/format-tensor.md`, by the second reader of messages. */
import { unpack } from '../format/second-zstd.js';
import { Cursor } from './second-cursor.js';

const NO_BYTES = Buffer.alloc(0);

/** The source, cut or extended with zeros. */
export function stretched(source: Buffer, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  source.copy(bytes);
  return bytes;
}

/** Bits fill bytes from the lowest bit. */
class Bits {
  #bit = 0;
  constructor(readonly cursor: Cursor) {}
  #current = 0;

  bit(): number {
    if (this.#bit === 0) this.#current = this.cursor.u8();
    const bit = (this.#current >> this.#bit) & 1;
    this.#bit = (this.#bit + 1) % 8;
    return bit;
  }

  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i += 1) value += this.bit() * 2 ** i;
    return value;
  }

  rice(k: number): number {
    let ones = 0;
    while (ones < 24 && this.bit() === 1) ones += 1;
    return ones === 24 ? this.bits(32) : ones * 2 ** k + this.bits(k);
  }

  pad(): void {
    while (this.#bit !== 0) if (this.bit() !== 0) throw new Error('padding is not zero');
  }
}

interface Run {
  readonly skip: number;
  readonly length: number;
}

function blockOf(positions: Cursor): Run[] {
  const mode = positions.u8();
  const count = positions.varint();
  if (count < 1) throw new Error('a block of nothing');
  if (mode === 0) {
    const run = { skip: positions.varint(), length: positions.varint() };
    return Array.from({ length: count }, () => run);
  }
  if (mode > 2) throw new Error(`a block of mode ${mode}`);
  const k = positions.u8();
  const m = mode === 2 ? positions.u8() : 0;
  const bits = new Bits(positions);
  const runs = Array.from({ length: count }, () => ({
    skip: bits.rice(k),
    length: mode === 2 ? bits.rice(m) + 1 : 1,
  }));
  bits.pad();
  return runs;
}

export function sparseTarget(source: Buffer, payload: Buffer, targetBytes: number): Buffer {
  const target = stretched(source, targetBytes);
  const cursor = new Cursor(payload);
  const changed = cursor.varint();
  if (changed === 0) {
    cursor.end();
    return target;
  }
  const flags = cursor.u8();
  if (flags > 7) throw new Error(`flags ${flags}`);
  const stored = cursor.take(cursor.varint());
  const positions = new Cursor(flags & 4 ? unpack(stored, NO_BYTES) : stored);
  const values = new Cursor(flags & 2 ? unpack(cursor.rest(), NO_BYTES) : cursor.rest());
  let at = 0;
  for (let covered = 0; covered < changed; ) {
    const runs = flags & 4 ? [{ skip: positions.varint(), length: positions.varint() }] : blockOf(positions);
    for (const { skip, length } of runs) {
      at += skip;
      if (length < 1 || at + length > targetBytes) throw new Error('a run leaves the target');
      for (const value of values.take(length)) {
        target.writeUInt8(flags & 1 ? value : value ^ target.readUInt8(at), at);
        at += 1;
      }
      covered += length;
    }
  }
  positions.end();
  values.end();
  return target;
}

export function tensorTarget(source: Buffer, payload: Buffer, targetBytes: number): Buffer {
  const cursor = new Cursor(payload);
  if (cursor.u8() !== 1) throw new Error('an unknown form');
  const target = Buffer.alloc(targetBytes);
  let diagonal = 0;
  let at = 0;
  while (at < targetBytes) {
    const length = cursor.varint();
    const kind = cursor.u8();
    if (kind & 16) diagonal += cursor.zigzag();
    const place = kind & 16 ? at + diagonal : 0;
    if (length < 1 || length > targetBytes - at) throw new Error('a segment leaves the target');
    if (place < 0 || place > source.length) throw new Error('a segment leaves the source');
    if (kind === 17) source.subarray(place, place + length).copy(target, at);
    else if (kind === 0 || kind === 16) {
      const prefix = kind === 16 ? source.subarray(place, place + length + 4096) : NO_BYTES;
      planeOf(cursor, length, prefix).copy(target, at);
    } else elements(cursor, kind, { source: source.subarray(place, place + length), target, at, length });
    at += length;
  }
  cursor.end();
  return target;
}

function planeOf(cursor: Cursor, bytes: number, prefix: Buffer): Buffer {
  const stored = cursor.varint();
  const plane = stored === 0 ? cursor.take(bytes) : unpack(cursor.take(stored), prefix);
  if (plane.length !== bytes) throw new Error('a plane has another length');
  return plane;
}

function elements(
  cursor: Cursor,
  kind: number,
  where: { readonly source: Buffer; readonly target: Buffer; readonly at: number; readonly length: number },
): void {
  const width = kind & 15;
  if (![2, 4, 8, 18, 20, 24].includes(kind) || where.length % width !== 0) throw new Error(`a segment of kind ${kind}`);
  const count = where.length / width;
  const planes = Array.from({ length: width }, () => planeOf(cursor, count, NO_BYTES));
  const bits = BigInt(8 * width);
  const all = (1n << bits) - 1n;
  const top = 1n << (bits - 1n);
  for (let element = 0; element < count; element += 1) {
    let value = 0n;
    for (const [k, plane] of planes.entries()) value |= BigInt(plane.readUInt8(element)) << BigInt(8 * k);
    let made: bigint;
    if (kind & 16) {
      const s = littleEndian(where.source, element * width, width);
      const ordered = s & top ? ~s & all : s | top;
      const d = (value & 1n ? ~(value >> 1n) : value >> 1n) & all;
      const sum = (ordered + d) & all;
      made = sum & top ? sum & ~top : ~sum & all;
    } else made = (value >> 1n) | ((value & 1n) << (bits - 1n));
    for (let k = 0; k < width; k += 1) {
      where.target.writeUInt8(Number((made >> BigInt(8 * k)) & 255n), where.at + element * width + k);
    }
  }
}

function littleEndian(bytes: Buffer, at: number, width: number): bigint {
  let value = 0n;
  for (let k = width - 1; k >= 0; k -= 1) value = (value << 8n) | BigInt(bytes.readUInt8(at + k));
  return value;
}
