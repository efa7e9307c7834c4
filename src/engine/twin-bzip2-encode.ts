/**
 * bzip2 for the twin, the way there: runs, block sorting through a suffix array,
 * move-to-front, and Huffman codes from up to six tables, one per 50 symbols.
 */
import { bzip2Crc } from './twin-bzip2-decode.js';
import { sortSuffixes } from './twin-suffix-array.js';

const LEVEL = 9;
/** Run-coded bytes of a block: a little below what a decoder has room for. */
const BLOCK_BYTES = LEVEL * 100_000 - 100;
const GROUP_SYMBOLS = 50;
const CODE_BITS_MAX = 17;
const ROUNDS = 4;

class BitWriter {
  private readonly bytes: number[] = [];
  private held = 0;
  private count = 0;

  /** Appends the lowest `bits` bits, at most 24. */
  put(value: number, bits: number): void {
    this.held = (this.held << bits) | (value & (2 ** bits - 1));
    this.count += bits;
    while (this.count >= 8) {
      this.count -= 8;
      this.bytes.push((this.held >>> this.count) & 255);
    }
  }

  put32(value: number): void {
    this.put(value >>> 16, 16);
    this.put(value & 0xffff, 16);
  }

  finish(): Buffer {
    if (this.count > 0) this.put(0, 8 - this.count);
    return Buffer.from(this.bytes);
  }
}

/** Run-codes bytes from `start` until a block is full; tells where it stopped. */
function takeBlock(bytes: Uint8Array, start: number): { readonly block: Uint8Array; readonly end: number } {
  const block = new Uint8Array(BLOCK_BYTES);
  let filled = 0;
  let at = start;
  while (at < bytes.length && filled + 5 <= BLOCK_BYTES) {
    const byte = bytes[at] as number;
    let end = at + 1;
    while (end < bytes.length && end - at < 255 && bytes[end] === byte) end += 1;
    const length = end - at;
    const shown = Math.min(length, 4);
    block.fill(byte, filled, filled + shown);
    filled += shown;
    if (shown === 4) {
      block[filled] = length - 4;
      filled += 1;
    }
    at = end;
  }
  return { block: block.subarray(0, filled), end: at };
}

/** Last column of the sorted rotations, and the row of the block itself. */
function sortBlock(block: Uint8Array): { readonly column: Uint8Array; readonly origin: number } {
  const length = block.length;
  const twice = new Uint8Array(2 * length);
  twice.set(block, 0);
  twice.set(block, length);
  const column = new Uint8Array(length);
  let origin = 0;
  let row = 0;
  // Suffixes of the doubled block that begin in its first half are its rotations.
  for (const start of sortSuffixes(twice)) {
    if (start >= length) continue;
    if (start === 0) origin = row;
    column[row] = block[(start + length - 1) % length] as number;
    row += 1;
  }
  return { column, origin };
}

/** Move-to-front with zero runs: symbols 0 and 1 write run lengths, the last symbol is the end. */
function toSymbols(column: Uint8Array, used: readonly number[]): Uint16Array {
  const order = [...used];
  const symbols = new Uint16Array(column.length + 2);
  let filled = 0;
  let run = 0;
  const flush = (): void => {
    for (; run > 0; run = (run - 1) >> 1) {
      symbols[filled] = run & 1 ? 0 : 1;
      filled += 1;
      if (run <= 2) break;
    }
    run = 0;
  };
  for (const byte of column) {
    if (byte === order[0]) {
      run += 1;
      continue;
    }
    flush();
    const rank = order.indexOf(byte);
    order.splice(rank, 1);
    order.unshift(byte);
    symbols[filled] = rank + 1;
    filled += 1;
  }
  flush();
  symbols[filled] = used.length + 1;
  return symbols.subarray(0, filled + 1);
}

/** Code lengths of a Huffman code, none beyond what a decoder takes. Every symbol gets one. */
function codeLengths(counts: ArrayLike<number>): Uint8Array {
  let weights = Array.from(counts, (count) => Math.max(1, count));
  for (;;) {
    const order = [...weights.keys()].sort((a, b) => weights[a]! - weights[b]!);
    const leaves = order.map((symbol) => ({ weight: weights[symbol]!, symbols: [symbol] }));
    const joined: typeof leaves = [];
    const lengths = new Uint8Array(weights.length);
    const lightest = () =>
      joined.length === 0 || (leaves.length > 0 && leaves[0]!.weight <= joined[0]!.weight)
        ? leaves.shift()!
        : joined.shift()!;
    while (leaves.length + joined.length > 1) {
      const [a, b] = [lightest(), lightest()];
      const symbols = [...a.symbols, ...b.symbols];
      for (const symbol of symbols) lengths[symbol]! += 1;
      joined.push({ weight: a.weight + b.weight, symbols });
    }
    if (Math.max(...lengths) <= CODE_BITS_MAX) return lengths;
    weights = weights.map((weight) => (weight >> 1) + 1);
  }
}

function groupCount(symbols: number): number {
  if (symbols < 200) return 2;
  if (symbols < 600) return 3;
  if (symbols < 1200) return 4;
  return symbols < 2400 ? 5 : 6;
}

/** Splits the alphabet into as many ranges of about equal use as there are tables. */
function firstTables(symbols: Uint16Array, alphabet: number, groups: number): Uint8Array[] {
  const counts = new Uint32Array(alphabet);
  for (const symbol of symbols) counts[symbol]! += 1;
  let seen = 0;
  const part = Uint8Array.from(counts, (count) => {
    const group = Math.min(groups - 1, Math.floor((seen * groups) / symbols.length));
    seen += count;
    return group;
  });
  return Array.from({ length: groups }, (_, group) => part.map((owner) => (owner === group ? 1 : 15)));
}

interface Coding {
  readonly tables: readonly Uint8Array[];
  readonly selectors: Uint8Array;
}

/** Tables and the choice among them, bettered in turn. */
function chooseTables(symbols: Uint16Array, alphabet: number): Coding {
  const groups = groupCount(symbols.length);
  const selectors = new Uint8Array(Math.ceil(symbols.length / GROUP_SYMBOLS));
  let tables = firstTables(symbols, alphabet, groups);
  for (let round = 0; round < ROUNDS; round += 1) {
    const counts = tables.map(() => new Uint32Array(alphabet));
    for (let i = 0; i < selectors.length; i += 1) {
      const part = symbols.subarray(i * GROUP_SYMBOLS, (i + 1) * GROUP_SYMBOLS);
      const costs = tables.map((table) => part.reduce((cost, symbol) => cost + (table[symbol] as number), 0));
      const best = costs.indexOf(Math.min(...costs));
      selectors[i] = best;
      for (const symbol of part) counts[best]![symbol]! += 1;
    }
    tables = counts.map(codeLengths);
  }
  return { tables, selectors };
}

/** Canonical codes of the lengths. */
function codesOf(lengths: Uint8Array): Uint32Array {
  const codes = new Uint32Array(lengths.length);
  let code = 0;
  for (let bits = 1; bits <= CODE_BITS_MAX; bits += 1) {
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      if (lengths[symbol] !== bits) continue;
      codes[symbol] = code;
      code += 1;
    }
    code *= 2;
  }
  return codes;
}

function putUsed(writer: BitWriter, used: readonly number[]): void {
  const rows = Array.from({ length: 16 }, (_, row) => used.filter((byte) => byte >> 4 === row));
  for (const row of rows) writer.put(row.length > 0 ? 1 : 0, 1);
  for (const row of rows) {
    if (row.length === 0) continue;
    for (let column = 0; column < 16; column += 1) writer.put(row.some((byte) => (byte & 15) === column) ? 1 : 0, 1);
  }
}

function putSelectors(writer: BitWriter, { tables, selectors }: Coding): void {
  writer.put(tables.length, 3);
  writer.put(selectors.length, 15);
  const order = [...tables.keys()];
  for (const selector of selectors) {
    const rank = order.indexOf(selector);
    for (let i = 0; i < rank; i += 1) writer.put(1, 1);
    writer.put(0, 1);
    order.splice(rank, 1);
    order.unshift(selector);
  }
}

function putTable(writer: BitWriter, lengths: Uint8Array): void {
  let current = lengths[0] as number;
  writer.put(current, 5);
  for (const length of lengths) {
    for (; current < length; current += 1) writer.put(2, 2);
    for (; current > length; current -= 1) writer.put(3, 2);
    writer.put(0, 1);
  }
}

function putBlock(writer: BitWriter, block: Uint8Array, crc: number): void {
  const { column, origin } = sortBlock(block);
  const present = new Uint8Array(256);
  for (const byte of block) present[byte] = 1;
  const used = [...present.keys()].filter((byte) => present[byte] === 1);
  const symbols = toSymbols(column, used);
  const coding = chooseTables(symbols, used.length + 2);
  writer.put(0x314159, 24);
  writer.put(0x265359, 24);
  writer.put32(crc);
  writer.put(0, 1);
  writer.put(origin, 24);
  putUsed(writer, used);
  putSelectors(writer, coding);
  for (const table of coding.tables) putTable(writer, table);
  const codes = coding.tables.map(codesOf);
  for (let i = 0; i < symbols.length; i += 1) {
    const group = coding.selectors[Math.floor(i / GROUP_SYMBOLS)] as number;
    const symbol = symbols[i] as number;
    writer.put(codes[group]![symbol] as number, coding.tables[group]![symbol] as number);
  }
}

/** One bzip2 stream of the bytes. */
export function encodeBzip2(bytes: Uint8Array): Buffer {
  const writer = new BitWriter();
  writer.put(0x425a68, 24);
  writer.put(0x30 + LEVEL, 8);
  let combined = 0;
  for (let at = 0; at < bytes.length; ) {
    const { block, end } = takeBlock(bytes, at);
    const crc = ~bzip2Crc(-1, bytes.subarray(at, end)) >>> 0;
    putBlock(writer, block, crc);
    combined = (((combined << 1) | (combined >>> 31)) ^ crc) >>> 0;
    at = end;
  }
  writer.put(0x177245, 24);
  writer.put(0x385090, 24);
  writer.put32(combined);
  return writer.finish();
}
