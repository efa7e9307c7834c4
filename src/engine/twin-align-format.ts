/**
 * What encoder and decoder of the `align` engine share in the twin. Normative
 * text: `docs/format-align.md`.
 */
import { DiffKeeperError } from '../core/core.js';
import { GrowingBytes } from './twin-growing-bytes.js';
import { compressNow, decompressNow } from './twin-zstd.js';

export const FORM_WHOLE = 1;
export const FORM_WINDOWS = 2;
/** Source and target of the whole form, and the target of one window, bytes each. */
export const WHOLE_BYTES_MAX = 64 << 20;
export const WINDOW_BYTES_MAX = 64 << 20;

export const FLAG_JOINED = 1;
export const FLAG_CONTEXT = 2;
export const FLAG_RUNS = 4;
export const FLAGS_KNOWN = 7;

/** Columns of numbers in stored order. */
export const COLUMN = { literalLength: 0, copyLength: 1, diagonal: 2, runCount: 3, runToken: 4, runExtra: 5 } as const;
export const COLUMNS = 6;
/** Columns of the bytes of difference runs: the first of each run, the second, all others. */
export const DIFFERENCES = 3;

export const TOKEN_GAP_MAX = 63;
export const TOKEN_LENGTH_MAX = 3;

const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const MARGIN = 32;
const GAP_MAX = 1 << 20;
const CONTEXT_BYTES_MAX = 32 << 20;
/** A varint of 8 bytes carries 56 bits; none may pass 2^53 - 1. */
const VARINT_BYTES_MAX = 8;
const EMPTY = Buffer.alloc(0);

export function damaged(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `align payload: ${what}`);
}

/** Most bytes that all number columns of a window take together. */
export function numberBytesMax(targetBytes: number): number {
  return 2 * targetBytes + 64;
}

/** Reads varints and bytes from a position; never leaves its bytes. */
export class ByteReader {
  at = 0;

  /** @param refused makes the error for bytes that end early or hold a wrong number */
  constructor(
    readonly bytes: Uint8Array,
    private readonly refused: (what: string) => DiffKeeperError = damaged,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let index = 0; index < VARINT_BYTES_MAX; index += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw this.refused('a number is cut off');
      this.at += 1;
      value += (byte & 127) * scale;
      scale *= 128;
      if (byte < 128) {
        if (byte === 0 && index > 0) throw this.refused('a number is not in its shortest form');
        if (!Number.isSafeInteger(value)) throw this.refused('a number is too large');
        return value;
      }
    }
    throw this.refused('a number is too large');
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw this.refused('cut off');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/** Growing bytes with the numbers of `align`. */
export class ByteWriter extends GrowingBytes {
  varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.byte((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }
}

/** Gathers the source bytes around the gaps between copies: the prefix of the literals. */
export class ContextGatherer {
  private readonly parts: Uint8Array[] = [];
  private left: number;
  private lastBegin = 0;
  private lastEnd = 0;

  /** @param literalBytes of the whole window */
  constructor(
    private readonly source: Uint8Array,
    literalBytes: number,
  ) {
    this.left = Math.min(4 * literalBytes + (64 << 10), CONTEXT_BYTES_MAX);
  }

  private append(begin: number, end: number): void {
    const to = Math.min(end, this.source.length);
    const from = begin >= this.lastBegin && begin < this.lastEnd ? this.lastEnd : begin;
    if (from >= to) return;
    this.lastBegin = from;
    this.lastEnd = to;
    const taken = Math.min(to - from, this.left);
    this.left -= taken;
    if (taken > 0) this.parts.push(this.source.subarray(from, from + taken));
  }

  /** A gap of `length` > 0 literals between the source positions behind the copy before and of the copy after. */
  add(length: number, before: number | undefined, after: number | undefined): void {
    const gap = Math.min(length, GAP_MAX);
    if (before !== undefined && after !== undefined && before <= after && after - before <= 2 * gap + 256) {
      this.append(Math.max(0, before - MARGIN), after + MARGIN);
      return;
    }
    if (before !== undefined) {
      const end = Math.min(before + gap + 2 * MARGIN, this.source.length);
      const begin = Math.max(0, before - MARGIN);
      this.append(after === undefined ? Math.min(begin, Math.max(0, end - 2 * gap - 256)) : begin, end);
    }
    if (after !== undefined) this.append(Math.max(0, after - gap - 2 * MARGIN), after + MARGIN);
  }

  bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** A zstd frame without its magic number. */
export function makeFrame(data: Uint8Array, context: Uint8Array, level: number): Buffer {
  return compressNow(data, { level, context }).subarray(MAGIC.length);
}

/** Decodes such a frame to exactly `length` bytes. */
export function openFrame(frame: Uint8Array, context: Uint8Array, length: number): Buffer {
  return decompressNow(Buffer.concat([MAGIC, frame]), { decodedBytes: length, context });
}

/** Appends a stream: length, stored length (0: as it is), bytes. */
export function putStream(out: ByteWriter, data: Uint8Array, context: Uint8Array, level: number): void {
  out.varint(data.length);
  if (data.length === 0) return;
  const frame = makeFrame(data, context, level);
  const stored = frame.length >= data.length;
  out.varint(stored ? 0 : frame.length);
  out.add(stored ? data : frame);
}

/** Reads a stream of at most `lengthMax` bytes. */
export function takeStream(reader: ByteReader, lengthMax: number, context: Uint8Array = EMPTY): Uint8Array {
  const length = reader.varint();
  if (length > lengthMax) throw damaged('a stream is too long');
  if (length === 0) return EMPTY;
  const stored = reader.varint();
  return stored === 0 ? reader.take(length) : openFrame(reader.take(stored), context, length);
}
