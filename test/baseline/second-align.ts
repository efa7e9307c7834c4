/** `docs/format-align.md`, by the second reader of messages. */
import { unpack } from '../format/second-zstd.js';
import { Cursor } from './second-cursor.js';

const NO_BYTES = Buffer.alloc(0);
/** Frames come without their magic number. */
const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex');
const FLAG = { joined: 1, context: 2, runs: 4 } as const;

const frameOf = (stored: Buffer, prefix: Buffer): Buffer => unpack(Buffer.concat([ZSTD_MAGIC, stored]), prefix);

export function alignTarget(source: Buffer, payload: Buffer, targetBytes: number): Buffer {
  const cursor = new Cursor(payload);
  const form = cursor.u8();
  if (form === 1) return frameOf(cursor.rest(), source);
  if (form !== 2) throw new Error(`form ${form}`);
  const windows: Buffer[] = [];
  for (let at = 0; at < targetBytes; ) {
    const window = windowOf(cursor, source, at);
    windows.push(window);
    at += window.length;
  }
  cursor.end();
  return Buffer.concat(windows);
}

function streamOf(cursor: Cursor, prefixOf: (length: number) => Buffer = () => NO_BYTES): Buffer {
  const length = cursor.varint();
  if (length === 0) return NO_BYTES;
  const stored = cursor.varint();
  const bytes = stored === 0 ? cursor.take(length) : frameOf(cursor.take(stored), prefixOf(length));
  if (bytes.length !== length) throw new Error('a stream has another length');
  return bytes;
}

interface Copy {
  readonly literals: number;
  readonly length: number;
  /** Place in the source. */
  readonly place: number;
  readonly runs: number;
}

interface Numbers {
  readonly copies: readonly Copy[];
  readonly tokens: Cursor;
  readonly extras: Cursor;
}

/** @param at where the window begins in the target */
function numbersOf(cursor: Cursor, count: number, flags: number, at: number): Numbers {
  const joined = flags & FLAG.joined ? new Cursor(streamOf(cursor)) : undefined;
  const withRuns = (flags & FLAG.runs) !== 0;
  const column = <T>(read: (from: Cursor) => T): T[] => {
    const from = joined ?? new Cursor(streamOf(cursor));
    const values = Array.from({ length: count }, () => read(from));
    if (joined === undefined) from.end();
    return values;
  };
  const literals = column((from) => from.varint());
  const lengths = column((from) => from.varint() + 1);
  const diagonals = column((from) => from.zigzag());
  const runs = withRuns ? column((from) => from.varint()) : literals.map(() => 0);
  const runCount = runs.reduce((sum, one) => sum + one, 0);
  const tokens = new Cursor(withRuns ? (joined?.take(runCount) ?? streamOf(cursor)) : NO_BYTES);
  const extras = new Cursor(withRuns ? (joined?.rest() ?? streamOf(cursor)) : NO_BYTES);
  if (joined && !withRuns) joined.end();
  let diagonal = 0;
  let position = at;
  const copies = literals.map((before, index): Copy => {
    const length = lengths[index] as number;
    diagonal += diagonals[index] as number;
    position += before;
    const place = position + diagonal;
    position += length;
    return { literals: before, length, place, runs: runs[index] as number };
  });
  return { copies, tokens, extras };
}

function windowOf(cursor: Cursor, source: Buffer, at: number): Buffer {
  const length = cursor.varint();
  const flags = cursor.u8();
  if (flags > 7 || length < 1) throw new Error('a window that nobody wrote');
  const count = cursor.varint();
  const none: Numbers = { copies: [], tokens: new Cursor(NO_BYTES), extras: new Cursor(NO_BYTES) };
  const numbers = count > 0 ? numbersOf(cursor, count, flags, at) : none;
  const differences = [0, 1, 2].map(() => new Cursor(flags & FLAG.runs ? streamOf(cursor) : NO_BYTES));
  const copied = numbers.copies.reduce((sum, one) => sum + one.length, 0);
  const context = (literals: number): Buffer =>
    flags & FLAG.context ? contextOf(numbers.copies, source, literals) : NO_BYTES;
  const literals = new Cursor(streamOf(cursor, context));
  if (literals.left !== length - copied) throw new Error('literals do not fill the window');
  const parts: Buffer[] = [];
  for (const copy of numbers.copies) {
    parts.push(literals.take(copy.literals));
    if (copy.place < 0 || copy.place + copy.length > source.length) throw new Error('a copy leaves the source');
    const bytes = Buffer.from(source.subarray(copy.place, copy.place + copy.length));
    addRuns(bytes, copy.runs, numbers, differences);
    parts.push(bytes);
  }
  parts.push(literals.rest());
  for (const one of [numbers.tokens, numbers.extras, ...differences]) one.end();
  return Buffer.concat(parts);
}

function addRuns(bytes: Buffer, runs: number, { tokens, extras }: Numbers, differences: readonly Cursor[]): void {
  let at = 0;
  for (let run = 0; run < runs; run += 1) {
    const token = tokens.u8();
    const distance = token % 64 === 63 ? 63 + extras.varint() : token % 64;
    const length = 1 + (token >> 6 === 3 ? 3 + extras.varint() : token >> 6);
    at += distance;
    if (at + length > bytes.length) throw new Error('a run leaves its copy');
    let carry = 0;
    for (let i = 0; i < length; i += 1) {
      const sum = bytes.readUInt8(at + i) + (differences[Math.min(i, 2)] as Cursor).u8() + carry;
      bytes.writeUInt8(sum % 256, at + i);
      carry = sum >> 8;
    }
    at += length;
  }
}

/** What the literals of a window resemble. */
function contextOf(copies: readonly Copy[], source: Buffer, literals: number): Buffer {
  const parts: Buffer[] = [];
  let last: { readonly from: number; readonly to: number } | undefined;
  const inside = (place: number): number => Math.min(Math.max(place, 0), source.length);
  const add = (begin: number, end: number): void => {
    let from = inside(begin);
    const to = inside(end);
    if (last && from >= last.from && from < last.to) from = last.to;
    if (from >= to) return;
    parts.push(source.subarray(from, to));
    last = { from, to };
  };
  const trailing = literals - copies.reduce((sum, one) => sum + one.literals, 0);
  for (let index = 0; index <= copies.length; index += 1) {
    const gap = Math.min(copies[index]?.literals ?? trailing, 2 ** 20);
    if (gap === 0) continue;
    const front = copies[index - 1];
    const before = front && front.place + front.length;
    const after = copies[index]?.place;
    if (before !== undefined && after !== undefined && before <= after && after - before <= 2 * gap + 256) {
      add(before - 32, after + 32);
      continue;
    }
    if (before !== undefined) {
      const end = Math.min(before + gap + 64, source.length);
      add(after === undefined ? Math.min(before - 32, end - 2 * gap - 256) : before - 32, end);
    }
    if (after !== undefined) add(after - gap - 64, after + 32);
  }
  return Buffer.concat(parts).subarray(0, Math.min(4 * literals + 65536, 2 ** 25));
}
