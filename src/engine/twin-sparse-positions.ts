/** Lists of runs as bits, for the `sparse` engine of the twin. Grammar: `docs/format-sparse.md`. */
import { DiffKeeperError } from '../core/core.js';
import { GrowingBytes } from './twin-growing-bytes.js';

/** Per run: bytes since the end of the run before, and its length. */
export type Runs = readonly (readonly [skip: number, length: number])[];

const CONSTANT = 0;
const POINTS = 1;
const RUNS = 2;
const BLOCK_RUNS = 1024;
const CONSTANT_MIN = 64;
const ESCAPE_ONES = 24;
const ESCAPE_BITS = 32;
const RICE_MAX = 31;

export function damagedSparse(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `sparse payload: ${what}`);
}

export function putVarint(out: GrowingBytes, value: number): void {
  let rest = value;
  while (rest > 127) {
    out.byte((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.byte(rest);
}

/** Fewer than 8 bits wait between calls, so that sums stay far below 2^53. */
class BitWriter {
  private bits = 0;
  private filled = 0;

  constructor(private readonly out: GrowingBytes) {}

  put(value: number, count: number): void {
    this.bits += value * 2 ** this.filled;
    this.filled += count;
    while (this.filled >= 8) {
      this.out.byte(this.bits % 256);
      this.bits = Math.floor(this.bits / 256);
      this.filled -= 8;
    }
  }

  rice(value: number, k: number): void {
    const ones = Math.floor(value / 2 ** k);
    if (ones >= ESCAPE_ONES) {
      this.put(2 ** ESCAPE_ONES - 1, ESCAPE_ONES);
      this.put(value, ESCAPE_BITS);
      return;
    }
    this.put(2 ** ones - 1, ones + 1);
    this.put(value % 2 ** k, k);
  }

  flush(): void {
    if (this.filled > 0) this.out.byte(this.bits);
  }
}

function riceBits(value: number, k: number): number {
  const ones = Math.floor(value / 2 ** k);
  return ones >= ESCAPE_ONES ? ESCAPE_ONES + ESCAPE_BITS : ones + 1 + k;
}

/** The cheapest parameter near the logarithm of the mean. */
function bestRice(
  sum: number,
  count: number,
  cost: (k: number) => number,
): { readonly k: number; readonly bits: number } {
  let guess = 0;
  while (guess < RICE_MAX && Math.floor(sum / 2 ** (guess + 1)) >= count) guess += 1;
  let best = { k: 0, bits: Number.POSITIVE_INFINITY };
  for (let k = Math.max(0, guess - 1); k <= Math.min(guess + 1, RICE_MAX); k += 1) {
    const bits = cost(k);
    if (bits < best.bits) best = { k, bits };
  }
  return best;
}

const same = (a: Runs[number], b: Runs[number]): boolean => a[0] === b[0] && a[1] === b[1];
const at = (runs: Runs, index: number): Runs[number] => runs[index] as Runs[number];

function equalRuns(runs: Runs, from: number): number {
  let equal = 1;
  while (from + equal < runs.length && same(at(runs, from + equal), at(runs, from))) equal += 1;
  return equal;
}

/** Runs of the next block that is not constant: it ends where a long constant stretch begins. */
function mixedRuns(runs: Runs, from: number): number {
  const left = runs.length - from;
  const most = Math.min(left, BLOCK_RUNS);
  let equal = 1;
  for (let i = 1; i < Math.min(left, most + CONSTANT_MIN); i += 1) {
    equal = same(at(runs, from + i), at(runs, from + i - 1)) ? equal + 1 : 1;
    if (equal === CONSTANT_MIN) return Math.max(1, Math.min(most, i + 1 - CONSTANT_MIN));
  }
  return most;
}

function writeMixed(runs: Runs, out: GrowingBytes): void {
  const sumOf = (value: (run: Runs[number]) => number): number => runs.reduce((sum, run) => sum + value(run), 0);
  const skips = sumOf(([skip]) => skip);
  const extras = sumOf(([, length]) => length - 1);
  const skipCost = (k: number): number => sumOf(([skip]) => riceBits(skip, k));
  const skip = bestRice(skips, runs.length, skipCost);
  const length = bestRice(extras, runs.length, (k) => sumOf(([, bytes]) => riceBits(bytes - 1, k)));
  const point = bestRice(skips, runs.length + extras, (k) => skipCost(k) + extras * (k + 1));
  const points = point.bits <= skip.bits + length.bits;
  out.byte(points ? POINTS : RUNS);
  putVarint(out, points ? runs.length + extras : runs.length);
  out.byte(points ? point.k : skip.k);
  if (!points) out.byte(length.k);
  const bits = new BitWriter(out);
  for (const [gap, bytes] of runs) {
    bits.rice(gap, points ? point.k : skip.k);
    if (!points) bits.rice(bytes - 1, length.k);
    else for (let more = 1; more < bytes; more += 1) bits.rice(0, point.k);
  }
  bits.flush();
}

/** The coded positions of all runs. */
export function writePositions(runs: Runs): Buffer {
  const out = new GrowingBytes();
  for (let from = 0; from < runs.length; ) {
    const equal = equalRuns(runs, from);
    if (equal >= CONSTANT_MIN || equal === runs.length - from) {
      out.byte(CONSTANT);
      for (const value of [equal, ...at(runs, from)]) putVarint(out, value);
      from += equal;
      continue;
    }
    const mixed = mixedRuns(runs, from);
    writeMixed(runs.slice(from, from + mixed), out);
    from += mixed;
  }
  return out.done();
}

/** Bytes and bits from a payload, never past its end. */
export class SparseReader {
  at = 0;
  private bit = 0;

  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw damagedSparse('cut off');
    this.at += 1;
    return value;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 42; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (byte === 0 && scale > 1) throw damagedSparse('a number is not in its shortest form');
        return value;
      }
    }
    throw damagedSparse('a number is too large');
  }

  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw damagedSparse('cut off');
      value += ((byte >> this.bit) & 1) * 2 ** i;
      this.bit = (this.bit + 1) % 8;
      if (this.bit === 0) this.at += 1;
    }
    return value;
  }

  rice(k: number): number {
    let ones = 0;
    while (this.bits(1) === 1) {
      ones += 1;
      if (ones === ESCAPE_ONES) return this.bits(ESCAPE_BITS);
    }
    return ones * 2 ** k + this.bits(k);
  }

  /** To the next byte; what is skipped must be zero. */
  align(): void {
    if (this.bit === 0) return;
    if ((this.bytes[this.at] as number) >> this.bit !== 0) throw damagedSparse('padding is not zero');
    this.bit = 0;
    this.at += 1;
  }

  parameter(): number {
    const k = this.byte();
    if (k > RICE_MAX) throw damagedSparse('a parameter is out of range');
    return k;
  }
}

/** Calls `take` for every run as skip and length until `changed` bytes are covered. The caller checks the bounds. */
export function readPositions(bytes: Uint8Array, changed: number, take: (skip: number, length: number) => void): void {
  const reader = new SparseReader(bytes);
  let left = changed;
  const item = (skip: number, length: number): void => {
    if (length < 1 || length > left) throw damagedSparse('the runs do not add up');
    left -= length;
    take(skip, length);
  };
  while (left > 0) {
    const mode = reader.byte();
    const count = reader.varint();
    if (mode > RUNS || count < 1 || count > left) throw damagedSparse('a block makes no sense');
    if (mode === CONSTANT) {
      const skip = reader.varint();
      const length = reader.varint();
      for (let i = 0; i < count; i += 1) item(skip, length);
      continue;
    }
    const skipK = reader.parameter();
    const lengthK = mode === RUNS ? reader.parameter() : 0;
    for (let i = 0; i < count; i += 1) item(reader.rice(skipK), mode === RUNS ? reader.rice(lengthK) + 1 : 1);
    reader.align();
  }
  if (reader.left !== 0) throw damagedSparse('bytes follow the positions');
}
