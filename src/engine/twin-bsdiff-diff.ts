/**
 * Writes BSDIFF40 files: the matching of bsdiff (Percival 2003) over a suffix
 * array, as `native/bsdiff/bsdiff_match.cc` explains it.
 */
import { BSDIFF_HEADER_BYTES, BSDIFF_MAGIC, BSDIFF_TRIPLE_BYTES } from './twin-bsdiff-patch.js';
import { encodeBzip2 } from './twin-bzip2-encode.js';
import { sortSuffixes } from './twin-suffix-array.js';

/** A match must have this many equal bytes more than the present diagonal. */
const ADVANTAGE = 8;
/** A run of equal bytes on the present diagonal that is taken without asking for a better one. */
const RUN_TAKEN = 32;

interface Match {
  readonly position: number;
  readonly length: number;
}

interface Copy {
  readonly target: number;
  readonly source: number;
  readonly length: number;
}

function equalBytes(a: Uint8Array, i: number, b: Uint8Array, k: number): number {
  const most = Math.min(a.length - i, b.length - k);
  let length = 0;
  while (length < most && a[i + length] === b[k + length]) length += 1;
  return length;
}

/** The longest piece of the source that equals the target from `at` on. */
function longestMatch(source: Uint8Array, suffixes: Int32Array, target: Uint8Array, at: number): Match {
  let [low, high] = [0, suffixes.length];
  let best: Match = { position: 0, length: 0 };
  while (low < high) {
    const middle = (low + high) >>> 1;
    const position = suffixes[middle] as number;
    const length = equalBytes(source, position, target, at);
    if (length > best.length) best = { position, length };
    if (at + length === target.length) break;
    const less = position + length === source.length || source[position + length]! < target[at + length]!;
    if (less) low = middle + 1;
    else high = middle;
  }
  return best;
}

/** Best number of bytes to take, where each counts one up when `same` and else one down. */
function bestLength(most: number, same: (i: number) => boolean): number {
  let [value, best, length] = [0, 0, 0];
  for (let i = 0; i < most; i += 1) {
    value += same(i) ? 1 : -1;
    if (value <= best) continue;
    best = value;
    length = i + 1;
  }
  return length;
}

class Walk {
  readonly copies: Copy[] = [];
  /** Where the open copy begins; its diagonal is the present one. */
  private target0 = 0;
  private source0 = 0;

  constructor(
    private readonly source: Uint8Array,
    private readonly target: Uint8Array,
  ) {}

  run(): readonly Copy[] {
    const suffixes = sortSuffixes(this.source);
    let scan = 0;
    for (;;) {
      const next = this.findNext(scan, suffixes);
      if (next === undefined) break;
      this.close(next.scan, next.match);
      scan = next.scan + next.match.length;
    }
    this.close(this.target.length, { position: 0, length: 0 });
    return this.copies;
  }

  private sameAt(at: number): boolean {
    return this.source[at - this.target0 + this.source0] === this.target[at];
  }

  /** The next place where another diagonal is better. */
  private findNext(from: number, suffixes: Int32Array): { readonly scan: number; readonly match: Match } | undefined {
    const { source, target } = this;
    let [at, counted, score] = [from, from, 0];
    while (at < target.length) {
      const position = at - this.target0 + this.source0;
      const run = position < source.length ? equalBytes(source, position, target, at) : 0;
      const match = run >= RUN_TAKEN ? { position, length: run } : longestMatch(source, suffixes, target, at);
      if (run < RUN_TAKEN) for (; counted < at + match.length; counted += 1) score += this.sameAt(counted) ? 1 : 0;
      if (run >= RUN_TAKEN || (match.length > 0 && match.length === score)) {
        at += match.length;
        counted = at;
        score = 0;
        continue;
      }
      if (match.length > score + ADVANTAGE) return { scan: at, match };
      if (counted > at) score -= this.sameAt(at) ? 1 : 0;
      else counted = at + 1;
      at += 1;
    }
    return undefined;
  }

  /** Ends the open copy and opens the one of the match. */
  private close(scan: number, match: Match): void {
    const { source, target, target0, source0 } = this;
    const most = Math.min(scan - target0, source.length - source0);
    let forwards = bestLength(most, (i) => source[source0 + i] === target[target0 + i]);
    const back = match.length > 0 ? Math.min(scan - target0, match.position) : 0;
    let backwards = bestLength(back, (i) => source[match.position - 1 - i] === target[scan - 1 - i]);
    const overlap = target0 + forwards - (scan - backwards);
    if (overlap > 0) {
      const kept = this.bestSeam(target0 + forwards - overlap, overlap, match.position - scan);
      forwards -= overlap - kept;
      backwards -= kept;
    }
    if (forwards > 0) this.copies.push({ target: target0, source: source0, length: forwards });
    this.target0 = scan - backwards;
    this.source0 = match.position - backwards;
  }

  /** Where two copies overlap from `begin` on: how many bytes the open one keeps. */
  private bestSeam(begin: number, overlap: number, diagonal: number): number {
    const open = this.source0 - this.target0;
    let [value, best, kept] = [0, 0, 0];
    for (let i = 0; i < overlap; i += 1) {
      const byte = this.target[begin + i];
      if (this.source[begin + i + open] === byte) value += 1;
      if (this.source[begin + i + diagonal] === byte) value -= 1;
      if (value <= best) continue;
      best = value;
      kept = i + 1;
    }
    return kept;
  }
}

function putNumber(out: Buffer, value: number, at: number): void {
  const magnitude = Math.abs(value);
  out.writeUIntLE(magnitude % 2 ** 48, at, 6);
  out.writeUInt16LE(Math.floor(magnitude / 2 ** 48) | (value < 0 ? 0x8000 : 0), at + 6);
}

/** BSDIFF40 file that turns `source` into `target`. */
export function bsdiffDiffNow(source: Uint8Array, target: Uint8Array): Buffer {
  const copies = new Walk(source, target).run();
  const triples: Buffer[] = [];
  const extra: Uint8Array[] = [];
  const differences = Buffer.alloc(copies.reduce((sum, { length }) => sum + length, 0));
  let [at, position, made] = [0, 0, 0];
  for (let i = 0; i <= copies.length; i += 1) {
    const length = i === 0 ? 0 : copies[i - 1]!.length;
    const next = copies[i] ?? { target: target.length, source: position + length };
    for (let k = 0; k < length; k += 1) differences[made + k] = target[at + k]! - source[position + k]!;
    made += length;
    extra.push(target.subarray(at + length, next.target));
    const seek = next.source - position - length;
    const copy = next.target - at - length;
    if (length > 0 || copy > 0 || seek !== 0) {
      const triple = Buffer.alloc(BSDIFF_TRIPLE_BYTES);
      [length, copy, seek].forEach((value, k) => {
        putNumber(triple, value, 8 * k);
      });
      triples.push(triple);
    }
    at = next.target;
    position = next.source;
  }
  const streams = [Buffer.concat(triples), differences, Buffer.concat(extra)].map(encodeBzip2);
  const header = Buffer.alloc(BSDIFF_HEADER_BYTES);
  header.write(BSDIFF_MAGIC, 'latin1');
  putNumber(header, streams[0]!.length, 8);
  putNumber(header, streams[1]!.length, 16);
  putNumber(header, target.length, 24);
  return Buffer.concat([header, ...streams]);
}
