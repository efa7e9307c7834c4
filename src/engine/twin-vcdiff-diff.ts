/**
 * Writes VCDIFF files (docs/format-vcdiff.md), plainly: copies from the source
 * that go on where the last one ended, or begin at an indexed block. Uses the
 * address modes SELF, HERE and NEAR, and no joined codes.
 */
import { GrowingBytes } from './twin-growing-bytes.js';
import {
  AddressCache,
  adler32,
  FIRST_NEAR_MODE,
  FIRST_SAME_MODE,
  VCDIFF_MAGIC,
  VCDIFF_WINDOW,
} from './twin-vcdiff-format.js';

const WINDOW_BYTES = 8 << 20;
const BLOCK_BYTES = 16;
/** On the last diagonal shorter copies pay, too. */
const DIAGONAL_MIN = 6;
const ADD_SIZE_MAX = 17;
const COPY_SIZE_MIN = 4;
const COPY_SIZE_MAX = 18;

interface Copy {
  readonly target: number;
  readonly source: number;
  readonly length: number;
}

/** Growing bytes with the numbers of VCDIFF. */
class Output extends GrowingBytes {
  number(value: number): void {
    let bytes = 1;
    while (value >= 128 ** bytes) bytes += 1;
    for (let left = bytes - 1; left >= 0; left -= 1) {
      this.byte((Math.floor(value / 128 ** left) % 128) | (left > 0 ? 128 : 0));
    }
  }
}

/** First position of every different block of the source, found by a hash of its bytes. */
class BlockIndex {
  private readonly slots: Int32Array;
  private readonly mask: number;

  constructor(source: Uint8Array) {
    let size = 1024;
    while (size < source.length / BLOCK_BYTES) size *= 2;
    this.slots = new Int32Array(size * 2);
    this.mask = size * 2 - 1;
    const last = Math.floor(source.length / BLOCK_BYTES) - 1;
    for (let block = last; block >= 0; block -= 1) this.slots[this.slot(source, block * BLOCK_BYTES)] = block + 1;
  }

  private slot(bytes: Uint8Array, at: number): number {
    let hash = 0;
    for (let i = 0; i < BLOCK_BYTES; i += 1) hash = Math.imul(hash ^ (bytes[at + i] as number), 0x9e3779b1);
    return (hash ^ (hash >>> 15)) & this.mask;
  }

  find(target: Uint8Array, at: number): number | undefined {
    const block = this.slots[this.slot(target, at)] as number;
    return block === 0 ? undefined : (block - 1) * BLOCK_BYTES;
  }
}

function equalForwards(source: Uint8Array, from: number, target: Uint8Array, at: number, end: number): number {
  let length = 0;
  while (at + length < end && from + length < source.length && source[from + length] === target[at + length])
    length += 1;
  return length;
}

function findCopies(source: Uint8Array, index: BlockIndex, target: Uint8Array, begin: number, end: number): Copy[] {
  const copies: Copy[] = [];
  let diagonal = 0;
  let free = begin;
  for (let at = begin; at < end; ) {
    let from = at + diagonal;
    let length = from >= 0 ? equalForwards(source, from, target, at, end) : 0;
    if (length < BLOCK_BYTES && at + BLOCK_BYTES <= end) {
      const found = index.find(target, at);
      const elsewhere = found === undefined ? 0 : equalForwards(source, found, target, at, end);
      if (found !== undefined && elsewhere >= BLOCK_BYTES && elsewhere > length) {
        from = found;
        length = elsewhere;
      }
    }
    if (length < DIAGONAL_MIN) {
      at += 1;
      continue;
    }
    let back = 0;
    while (at - back > free && from - back > 0 && source[from - back - 1] === target[at - back - 1]) back += 1;
    copies.push({ target: at - back, source: from - back, length: length + back });
    diagonal = from - at;
    at += length;
    free = at;
  }
  return copies;
}

/** Appends the shortest form of an address and returns its mode. */
function putAddress(out: Output, cache: AddressCache, address: number, here: number): number {
  let [mode, value] = here - address < address ? [1, here - address] : [0, address];
  for (let near = FIRST_NEAR_MODE; near < FIRST_SAME_MODE; near += 1) {
    const distance = address - cache.nearOf(near);
    if (distance >= 0 && distance < value) [mode, value] = [near, distance];
  }
  out.number(value);
  cache.update(address);
  return mode;
}

interface Sections {
  readonly data: Output;
  readonly instructions: Output;
  readonly addresses: Output;
}

function putLiteral({ data, instructions }: Sections, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  data.add(bytes);
  const own = bytes.length <= ADD_SIZE_MAX;
  instructions.byte(own ? 1 + bytes.length : 1);
  if (!own) instructions.number(bytes.length);
}

function putCopy({ instructions }: Sections, mode: number, length: number): void {
  const own = length >= COPY_SIZE_MIN && length <= COPY_SIZE_MAX;
  instructions.byte(19 + 16 * mode + (own ? length - COPY_SIZE_MIN + 1 : 0));
  if (!own) instructions.number(length);
}

function putWindow(out: Output, target: Uint8Array, begin: number, end: number, copies: readonly Copy[], sum: boolean) {
  const first = copies.reduce((least, copy) => Math.min(least, copy.source), Number.POSITIVE_INFINITY);
  const segmentBytes = copies.reduce((most, copy) => Math.max(most, copy.source + copy.length - first), 0);
  const sections: Sections = { data: new Output(), instructions: new Output(), addresses: new Output() };
  const cache = new AddressCache();
  let at = begin;
  for (const copy of copies) {
    putLiteral(sections, target.subarray(at, copy.target));
    const here = segmentBytes + copy.target - begin;
    putCopy(sections, putAddress(sections.addresses, cache, copy.source - first, here), copy.length);
    at = copy.target + copy.length;
  }
  putLiteral(sections, target.subarray(at, end));
  const body = new Output();
  body.number(end - begin);
  body.byte(0);
  const parts = [sections.data, sections.instructions, sections.addresses];
  for (const part of parts) body.number(part.length);
  if (sum) {
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(adler32(target.subarray(begin, end)));
    body.add(checksum);
  }
  for (const part of parts) body.add(part.done());
  out.byte((segmentBytes > 0 ? VCDIFF_WINDOW.source : 0) | (sum ? VCDIFF_WINDOW.checksum : 0));
  if (segmentBytes > 0) {
    out.number(segmentBytes);
    out.number(first);
  }
  out.number(body.length);
  out.add(body.done());
}

/** VCDIFF file that turns `source` into `target`. @param checksum Adler-32 of every window, as xdelta3 has it */
export function vcdiffDiffNow(source: Uint8Array, target: Uint8Array, checksum: boolean): Buffer {
  const out = new Output();
  out.add(Uint8Array.from([...VCDIFF_MAGIC, 0]));
  const index = new BlockIndex(source);
  for (let begin = 0; begin === 0 || begin < target.length; begin += WINDOW_BYTES) {
    const end = Math.min(begin + WINDOW_BYTES, target.length);
    putWindow(out, target, begin, end, findCopies(source, index, target, begin, end), checksum);
  }
  return out.done();
}
