/**
 * bzip2 for the twin, the way back: one stream, block by block, so that nobody
 * gets more memory out of it than asked for. Randomised blocks, which no bzip2
 * has written since 1999, count as damage.
 */
import { DiffKeeperError } from '../core/core.js';

const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
const GROUP_SYMBOLS = 50;
const GROUPS_MAX = 6;
const CODE_BITS_MAX = 20;
/** Bytes handed on at a time. */
const PIECE_BYTES = 1 << 16;

/** Made when it is first needed: a program that has just started has the addon. */
let crcTable: Uint32Array | undefined;

function makeCrcTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte << 24;
    for (let bit = 0; bit < 8; bit += 1) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1;
    return value;
  });
}

/** CRC-32 as bzip2 counts it (highest bit first), continued from `crc`; starts with -1 and ends inverted. */
export function bzip2Crc(crc: number, bytes: Uint8Array): number {
  crcTable ??= makeCrcTable();
  let value = crc;
  for (let i = 0; i < bytes.length; i += 1) {
    value = (value << 8) ^ (crcTable[((value >>> 24) ^ (bytes[i] as number)) & 255] as number);
  }
  return value;
}

function damaged(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `bzip2 stream: ${what}`);
}

class BitReader {
  private at = 0;
  private held = 0;
  private count = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** The next `bits` bits, at most 24. */
  take(bits: number): number {
    while (this.count < bits) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw damaged('cut off');
      this.at += 1;
      this.held = ((this.held << 8) | byte) & 0xffffffff;
      this.count += 8;
    }
    this.count -= bits;
    return (this.held >>> this.count) & ((1 << bits) - 1);
  }

  take32(): number {
    const high = this.take(16);
    return ((high << 16) | this.take(16)) >>> 0;
  }

  /** Whether only the padding of the last byte is left. */
  get done(): boolean {
    return this.at === this.bytes.length && this.count < 8;
  }
}

/** A canonical code: symbols by length, and for each length the first code beyond it. */
interface CodeTable {
  readonly limit: Int32Array;
  readonly base: Int32Array;
  readonly symbols: Uint16Array;
}

function makeTable(lengths: Uint8Array): CodeTable {
  const symbols = Uint16Array.from([...lengths.keys()].sort((a, b) => lengths[a]! - lengths[b]! || a - b));
  const limit = new Int32Array(CODE_BITS_MAX + 2).fill(-1);
  const base = new Int32Array(CODE_BITS_MAX + 2);
  let code = 0;
  let index = 0;
  for (let bits = 1; bits <= CODE_BITS_MAX; bits += 1) {
    base[bits] = index - code;
    const count = lengths.reduce((sum, length) => sum + (length === bits ? 1 : 0), 0);
    code += count;
    index += count;
    limit[bits] = code - 1;
    code *= 2;
  }
  return { limit, base, symbols };
}

function readSymbol(reader: BitReader, table: CodeTable): number {
  let code = 0;
  for (let bits = 1; bits <= CODE_BITS_MAX; bits += 1) {
    code = code * 2 + reader.take(1);
    if (code <= (table.limit[bits] as number)) {
      const symbol = table.symbols[code + (table.base[bits] as number)];
      if (symbol === undefined) break;
      return symbol;
    }
  }
  throw damaged('a code that does not exist');
}

function readUsedBytes(reader: BitReader): Uint8Array {
  const rows = reader.take(16);
  const used: number[] = [];
  for (let row = 0; row < 16; row += 1) {
    if ((rows & (0x8000 >> row)) === 0) continue;
    const columns = reader.take(16);
    for (let column = 0; column < 16; column += 1) if (columns & (0x8000 >> column)) used.push(row * 16 + column);
  }
  if (used.length === 0) throw damaged('no symbols');
  return Uint8Array.from(used);
}

function readSelectors(reader: BitReader, groups: number): Uint8Array {
  const count = reader.take(15);
  if (count < 1) throw damaged('no selectors');
  const order = Array.from({ length: groups }, (_, i) => i);
  return Uint8Array.from({ length: count }, () => {
    let rank = 0;
    while (reader.take(1) === 1) {
      rank += 1;
      if (rank >= groups) throw damaged('a selector out of range');
    }
    const [group = 0] = order.splice(rank, 1);
    order.unshift(group);
    return group;
  });
}

function readTable(reader: BitReader, alphabet: number): CodeTable {
  let length = reader.take(5);
  const lengths = Uint8Array.from({ length: alphabet }, () => {
    for (;;) {
      if (length < 1 || length > CODE_BITS_MAX) throw damaged('a code length out of range');
      if (reader.take(1) === 0) return length;
      length += reader.take(1) === 0 ? 1 : -1;
    }
  });
  return makeTable(lengths);
}

/** Undoes Huffman coding, zero runs and move-to-front: the last column of the sorted block. */
function readColumn(reader: BitReader, bytesMax: number): Uint8Array {
  const used = [...readUsedBytes(reader)];
  const groups = reader.take(3);
  if (groups < 2 || groups > GROUPS_MAX) throw damaged('a wrong number of tables');
  const selectors = readSelectors(reader, groups);
  const end = used.length + 1;
  const tables = Array.from({ length: groups }, () => readTable(reader, end + 1));
  const column = new Uint8Array(bytesMax);
  let length = 0;
  let run = 0;
  let weight = 1;
  for (let read = 0; ; read += 1) {
    const selector = selectors[Math.floor(read / GROUP_SYMBOLS)];
    if (selector === undefined) throw damaged('too few selectors');
    const symbol = readSymbol(reader, tables[selector] as CodeTable);
    if (symbol < 2) {
      run += weight << symbol;
      weight *= 2;
      if (run > bytesMax) throw damaged('a run too long');
      continue;
    }
    if (length + run > bytesMax) throw damaged('a block too long');
    column.fill(used[0] as number, length, length + run);
    length += run;
    run = 0;
    weight = 1;
    if (symbol === end) return column.subarray(0, length);
    if (length === bytesMax) throw damaged('a block too long');
    const [byte = 0] = used.splice(symbol - 1, 1);
    used.unshift(byte);
    column[length] = byte;
    length += 1;
  }
}

/** Undoes the sorting: for each place of the column, the place of the byte that follows, and that byte. */
function unsort(column: Uint8Array): Uint32Array {
  const next = new Int32Array(257);
  for (const byte of column) next[byte + 1]! += 1;
  for (let c = 0; c < 256; c += 1) next[c + 1]! += next[c] as number;
  const chain = new Uint32Array(column.length);
  for (let i = 0; i < column.length; i += 1) {
    const byte = column[i] as number;
    const slot = next[byte] as number;
    next[byte] = slot + 1;
    chain[slot] = i;
  }
  return chain;
}

/** One block in pieces; its checksum is right when this ends. */
function* readBlock(reader: BitReader, bytesMax: number, expected: number): Generator<Uint8Array> {
  if (reader.take(1) === 1) throw damaged('a randomised block');
  const origin = reader.take(24);
  const column = readColumn(reader, bytesMax);
  if (origin >= column.length) throw damaged('an origin outside the block');
  const chain = unsort(column);
  let crc = -1;
  let piece = Buffer.allocUnsafe(PIECE_BYTES);
  let filled = 0;
  let place = origin;
  let before = -1;
  let repeated = 0;
  for (let left = column.length; left > 0; left -= 1) {
    place = chain[place] as number;
    const byte = column[place] as number;
    let count = 1;
    if (repeated === 4) {
      // After four equal bytes comes how often more.
      count = byte;
      repeated = 0;
    } else {
      repeated = byte === before ? repeated + 1 : 1;
      before = byte;
    }
    if (filled + count > PIECE_BYTES) {
      const made = piece.subarray(0, filled);
      crc = bzip2Crc(crc, made);
      yield made;
      piece = Buffer.allocUnsafe(PIECE_BYTES);
      filled = 0;
    }
    piece.fill(before, filled, filled + count);
    filled += count;
    if (repeated === 0) before = -1;
  }
  const made = piece.subarray(0, filled);
  if (~bzip2Crc(crc, made) >>> 0 !== expected) throw damaged('a checksum does not match');
  yield made;
}

/** The decoded bytes of one stream, in pieces. Throws DK_CORRUPT_DELTA: damaged, cut off, or bytes follow. */
export function* decodeBzip2(bytes: Uint8Array): Generator<Uint8Array> {
  const reader = new BitReader(bytes);
  if (reader.take(24) !== 0x425a68) throw damaged('it does not start with BZh');
  const level = reader.take(8) - 0x30;
  if (level < 1 || level > 9) throw damaged('a wrong block size');
  let combined = 0;
  for (;;) {
    const magic = [reader.take(24), reader.take(24)];
    const crc = reader.take32();
    if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) {
      if (crc !== combined || !reader.done) throw damaged('a wrong end');
      return;
    }
    if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1]) throw damaged('no block where one must be');
    yield* readBlock(reader, level * 100_000, crc);
    combined = ((combined << 1) | (combined >>> 31)) ^ crc;
    combined >>>= 0;
  }
}
