/** Decoder of the `tensor` engine in the twin. Trusts nothing in the payload. Normative text: `docs/format-tensor.md`. */
import { DiffKeeperError } from '../core/core.js';
import { ByteReader } from './twin-align-format.js';
import { mergePlanes } from './twin-tensor-planes.js';
import { decompressNow } from './twin-zstd.js';

export const TENSOR_FORM = 1;
/** Kinds of segments: bytes, a copy, or the width of elements; a diagonal follows with `FROM_SOURCE`. */
export const KIND_BYTES = 0;
export const KIND_COPY = 1;
export const FROM_SOURCE = 16;
/** Longest segment that is no copy, bytes. */
export const SEGMENT_BYTES_MAX = 16 << 20;
/** The prefix of bytes reaches this much further than they do. */
export const PREFIX_MARGIN = 4096;

const NO_BYTES = new Uint8Array(0);

function damaged(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `tensor payload: ${what}`);
}

/** Whether elements may be this wide. */
export function isWidth(width: number): width is 2 | 4 | 8 {
  return width === 2 || width === 4 || width === 8;
}

interface Head {
  readonly length: number;
  readonly width: number;
  /** Place in the source; undefined without one. */
  readonly source: number | undefined;
  readonly diagonal: number;
}

function takeHead(reader: ByteReader, at: number, diagonal: number, sourceBytes: number, targetBytes: number): Head {
  const length = reader.varint();
  const kind = reader.take(1)[0] as number;
  if (length < 1 || length > targetBytes - at) throw damaged('a segment leaves the target');
  const width = kind & ~FROM_SOURCE;
  const fromSource = (kind & FROM_SOURCE) !== 0;
  const known = width === KIND_COPY ? fromSource : width === KIND_BYTES || isWidth(width);
  if (!known) throw damaged('the kind of a segment is unknown');
  if (width !== KIND_COPY && length > SEGMENT_BYTES_MAX) throw damaged('a segment is too long');
  if (isWidth(width) && length % width !== 0) throw damaged('a segment ends inside an element');
  if (!fromSource) return { length, width, source: undefined, diagonal };
  const folded = reader.varint();
  const moved = diagonal + (folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2);
  const source = at + moved;
  if (source < 0 || source > sourceBytes) throw damaged('a segment leaves the source');
  if (width !== KIND_BYTES && length > sourceBytes - source) throw damaged('a segment leaves the source');
  return { length, width, source, diagonal: moved };
}

function takePlane(reader: ByteReader, length: number, prefix: Uint8Array): Uint8Array {
  const stored = reader.varint();
  if (stored === 0) return reader.take(length);
  return decompressNow(reader.take(stored), { decodedBytes: length, context: prefix });
}

function takeBody(reader: ByteReader, head: Head, source: Uint8Array, out: Buffer): void {
  const { length, width } = head;
  const from = head.source === undefined ? undefined : source.subarray(head.source);
  if (width === KIND_COPY && from !== undefined) {
    out.set(from.subarray(0, length));
  } else if (isWidth(width)) {
    const planes = Array.from({ length: width }, () => takePlane(reader, length / width, NO_BYTES));
    mergePlanes(width, planes, from, out);
  } else {
    out.set(takePlane(reader, length, from?.subarray(0, length + PREFIX_MARGIN) ?? NO_BYTES));
  }
}

/** The target that the payload makes of `source`. Throws DK_CORRUPT_DELTA. After `warmZstd`. */
export function tensorPatchNow(source: Uint8Array, payload: Uint8Array, targetBytes: number): Buffer {
  const reader = new ByteReader(payload, damaged);
  if (reader.take(1)[0] !== TENSOR_FORM) throw damaged('its form is unknown');
  const target = Buffer.allocUnsafe(targetBytes);
  let at = 0;
  let diagonal = 0;
  while (at < targetBytes) {
    const head = takeHead(reader, at, diagonal, source.length, targetBytes);
    diagonal = head.diagonal;
    takeBody(reader, head, source, target.subarray(at, at + head.length));
    at += head.length;
  }
  if (reader.left > 0) throw damaged('bytes are left over');
  return target;
}
