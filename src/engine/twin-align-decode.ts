/** Decoder of the `align` engine in the twin. Trusts nothing in the payload. */
import {
  ByteReader,
  COLUMN,
  COLUMNS,
  ContextGatherer,
  DIFFERENCES,
  damaged,
  FLAG_CONTEXT,
  FLAG_JOINED,
  FLAG_RUNS,
  FLAGS_KNOWN,
  FORM_WHOLE,
  FORM_WINDOWS,
  numberBytesMax,
  openFrame,
  TOKEN_GAP_MAX,
  TOKEN_LENGTH_MAX,
  takeStream,
  WHOLE_BYTES_MAX,
  WINDOW_BYTES_MAX,
} from './twin-align-format.js';

const NO_BYTES = new Uint8Array(0);

/** One copy with its literals in front: literal bytes, source position, length, difference runs. */
interface CopyNumbers {
  readonly literal: number;
  readonly source: number;
  readonly length: number;
  readonly runs: number;
}

interface Numbers {
  readonly copies: readonly CopyNumbers[];
  readonly tokens: ByteReader;
  readonly extras: ByteReader;
  readonly runs: number;
  /** Target bytes that no copy makes. */
  readonly literalBytes: number;
}

/** Readers of the columns; a joined stream is cut by counting. */
function splitColumns(joined: Uint8Array, copies: number, hasRuns: boolean): ByteReader[] {
  const reader = new ByteReader(joined);
  const columns: ByteReader[] = [];
  let runs = 0;
  for (let column = 0; column < (hasRuns ? COLUMN.runToken : COLUMN.runCount); column += 1) {
    if (copies > reader.left) throw damaged('fewer numbers than copies');
    const begin = reader.at;
    for (let i = 0; i < copies; i += 1) {
      const value = reader.varint();
      if (column === COLUMN.runCount) runs += value;
    }
    columns.push(new ByteReader(joined.subarray(begin, reader.at)));
  }
  const tokens = reader.take(runs);
  if (!hasRuns && reader.left > 0) throw damaged('numbers are left over');
  if (!hasRuns) columns.push(new ByteReader(NO_BYTES));
  columns.push(new ByteReader(tokens), new ByteReader(reader.take(reader.left)));
  return columns;
}

function takeColumns(reader: ByteReader, length: number, copies: number, flags: number): ByteReader[] {
  let room = numberBytesMax(length);
  const hasRuns = (flags & FLAG_RUNS) !== 0;
  if ((flags & FLAG_JOINED) !== 0) return splitColumns(takeStream(reader, room), copies, hasRuns);
  const columns: ByteReader[] = [];
  for (let column = 0; column < COLUMNS; column += 1) {
    const bytes = column < COLUMN.runCount || hasRuns ? takeStream(reader, room) : NO_BYTES;
    room -= bytes.length;
    columns.push(new ByteReader(bytes));
  }
  return columns;
}

/** Reads and checks all copies of a window that begins at `begin`. */
function readCopies(
  columns: readonly ByteReader[],
  window: { readonly begin: number; readonly length: number; readonly copies: number; readonly hasRuns: boolean },
  sourceBytes: number,
): Numbers {
  const [literals, lengths, diagonals, counts, tokens, extras] = columns as [
    ByteReader,
    ByteReader,
    ByteReader,
    ByteReader,
    ByteReader,
    ByteReader,
  ];
  const copies: CopyNumbers[] = [];
  let position = window.begin;
  let left = window.length;
  let diagonal = 0;
  let totalRuns = 0;
  let literalBytes = window.length;
  for (let i = 0; i < window.copies; i += 1) {
    const literal = literals.varint();
    const length = lengths.varint() + 1;
    const folded = diagonals.varint();
    const runs = window.hasRuns ? counts.varint() : 0;
    if (literal > left || length > left - literal || runs > length) throw damaged('a copy leaves its window');
    position += literal;
    diagonal += folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
    const source = position + diagonal;
    if (source < 0 || source > sourceBytes - length) throw damaged('a copy leaves the source');
    copies.push({ literal, source, length, runs });
    position += length;
    left -= literal + length;
    literalBytes -= length;
    totalRuns += runs;
  }
  if ([literals, lengths, diagonals, counts].some((column) => column.left > 0)) throw damaged('numbers are left over');
  return { copies, tokens, extras, runs: totalRuns, literalBytes };
}

function gatherContext(source: Uint8Array, numbers: Numbers, length: number): Uint8Array {
  const gatherer = new ContextGatherer(source, numbers.literalBytes);
  let before: number | undefined;
  let left = length;
  for (const copy of numbers.copies) {
    if (copy.literal > 0) gatherer.add(copy.literal, before, copy.source);
    before = copy.source + copy.length;
    left -= copy.literal + copy.length;
  }
  if (left > 0) gatherer.add(left, before, undefined);
  return gatherer.bytes();
}

/** Adds a byte and the carry out of the sum before it; returns the sum. */
function addByte(bytes: Uint8Array, at: number, difference: number, before: number): number {
  const sum = (bytes[at] as number) + difference + (before >> 8);
  bytes[at] = sum;
  return sum;
}

/** Adds the differences of one copy to its bytes. */
function applyRuns(numbers: Numbers, differences: readonly ByteReader[], runs: number, bytes: Uint8Array): void {
  const [first, second, others] = differences as [ByteReader, ByteReader, ByteReader];
  let at = 0;
  for (let i = 0; i < runs; i += 1) {
    const token = numbers.tokens.take(1)[0] as number;
    let gap = token & TOKEN_GAP_MAX;
    let length = token >> 6;
    if (gap === TOKEN_GAP_MAX) gap += numbers.extras.varint();
    if (length === TOKEN_LENGTH_MAX) length += numbers.extras.varint();
    length += 1;
    if (gap > bytes.length - at || length > bytes.length - at - gap) throw damaged('a run leaves its copy');
    at += gap;
    let sum = addByte(bytes, at, first.take(1)[0] as number, 0);
    if (length > 1) sum = addByte(bytes, at + 1, second.take(1)[0] as number, sum);
    const rest = length > 2 ? others.take(length - 2) : NO_BYTES;
    for (let k = 0; k < rest.length; k += 1) sum = addByte(bytes, at + 2 + k, rest[k] as number, sum);
    at += length;
  }
}

/** Decodes the next window into `target` at `begin`; returns where it ends. */
function takeWindow(reader: ByteReader, source: Uint8Array, target: Buffer, begin: number): number {
  const length = reader.varint();
  if (length < 1 || length > WINDOW_BYTES_MAX || length > target.length - begin) throw damaged('a window is too long');
  const flags = reader.take(1)[0] as number;
  if ((flags & ~FLAGS_KNOWN) !== 0) throw damaged('an unknown flag is set');
  const copies = reader.varint();
  if (copies > length) throw damaged('more copies than bytes');
  const hasRuns = (flags & FLAG_RUNS) !== 0;
  const none = Array.from({ length: COLUMNS }, () => new ByteReader(NO_BYTES));
  const columns = copies > 0 ? takeColumns(reader, length, copies, flags) : none;
  const numbers = readCopies(columns, { begin, length, copies, hasRuns }, source.length);
  if (hasRuns && numbers.runs === 0) throw damaged('runs are announced and missing');
  const differences: ByteReader[] = [];
  let room = length - numbers.literalBytes;
  for (let i = 0; i < DIFFERENCES; i += 1) {
    const bytes = hasRuns ? takeStream(reader, room) : NO_BYTES;
    room -= bytes.length;
    differences.push(new ByteReader(bytes));
  }
  const context = (flags & FLAG_CONTEXT) !== 0 ? gatherContext(source, numbers, length) : NO_BYTES;
  const literals = new ByteReader(takeStream(reader, numbers.literalBytes, context));
  let at = begin;
  for (const copy of numbers.copies) {
    target.set(literals.take(copy.literal), at);
    at += copy.literal;
    const bytes = target.subarray(at, at + copy.length);
    bytes.set(source.subarray(copy.source, copy.source + copy.length));
    if (copy.runs > 0) applyRuns(numbers, differences, copy.runs, bytes);
    at += copy.length;
  }
  if (literals.left !== begin + length - at) throw damaged('the literals do not add up');
  if ([...differences, numbers.tokens, numbers.extras].some((column) => column.left > 0)) {
    throw damaged('differences are left over');
  }
  target.set(literals.take(literals.left), at);
  return begin + length;
}

/** The target that the payload makes of `source`. Throws DK_CORRUPT_DELTA. After `warmZstd`. */
export function alignPatchNow(source: Uint8Array, payload: Uint8Array, targetBytes: number): Buffer {
  const form = payload[0];
  if (form === FORM_WHOLE) {
    if (source.length > WHOLE_BYTES_MAX || targetBytes > WHOLE_BYTES_MAX) throw damaged('too long for its form');
    return openFrame(payload.subarray(1), source, targetBytes);
  }
  if (form !== FORM_WINDOWS) throw damaged('its form is unknown');
  const reader = new ByteReader(payload.subarray(1));
  const target = Buffer.allocUnsafe(targetBytes);
  let at = 0;
  while (at < targetBytes) at = takeWindow(reader, source, target, at);
  if (reader.left > 0) throw damaged('bytes are left over');
  return target;
}
