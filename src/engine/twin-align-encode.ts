/**
 * Encoder of the `align` engine in the twin: simpler and slower than the native
 * one, same format. One pass: the current diagonal as far as it goes, then a hash
 * of 32-byte blocks of the source finds the next one.
 */
import type { Effort } from './engine.js';
import {
  ByteWriter,
  COLUMN,
  COLUMNS,
  ContextGatherer,
  DIFFERENCES,
  FLAG_CONTEXT,
  FLAG_JOINED,
  FLAG_RUNS,
  FORM_WHOLE,
  FORM_WINDOWS,
  makeFrame,
  numberBytesMax,
  putStream,
  TOKEN_GAP_MAX,
  TOKEN_LENGTH_MAX,
} from './twin-align-format.js';
import { type Copy, findCopies } from './twin-align-match.js';

const SMALL_BYTES = 64 << 10;
const SMALL_SOURCE_BYTES = 1 << 20;
const WINDOW_BYTES = 32 << 20;
const JOINED_BYTES = 4096;
/** From this many differing bytes in a row they are literals. */
const LITERAL_RUN = 4;
const PIECE_MIN = 20;
const EMPTY = new Uint8Array(0);
const LEVELS: Readonly<Record<Effort, number>> = { fast: 3, balanced: 9, max: 19 };

/** Collects the columns of one window. */
class WindowWriter {
  readonly numbers = Array.from({ length: COLUMNS }, () => new ByteWriter());
  readonly differences = Array.from({ length: DIFFERENCES }, () => new ByteWriter());
  readonly literals = new ByteWriter();
  copies = 0;
  private runs = 0;
  private readonly gaps: [length: number, before: number | undefined, after: number | undefined][] = [];
  private sourceEnd: number | undefined;
  private diagonal = 0;

  constructor(
    private readonly source: Uint8Array,
    private readonly target: Uint8Array,
    private at: number,
  ) {}

  private gap(until: number, after: number | undefined): void {
    if (until === this.at) return;
    this.gaps.push([until - this.at, this.sourceEnd, after]);
    this.literals.add(this.target.subarray(this.at, until));
  }

  /** Pairs (begin, end) of the differing bytes of a copy. */
  private findRuns(copy: Copy): number[] {
    const runs: number[] = [];
    for (let i = 0; i < copy.length; i += 1) {
      if (this.target[copy.target + i] === this.source[copy.source + i]) continue;
      if (runs.length > 0 && runs[runs.length - 1] === i) runs[runs.length - 1] = i + 1;
      else runs.push(i, i + 1);
    }
    return runs;
  }

  private run(copy: Copy, begin: number, end: number, previous: number): void {
    const [, , , , tokens, extras] = this.numbers as [
      ByteWriter,
      ByteWriter,
      ByteWriter,
      ByteWriter,
      ByteWriter,
      ByteWriter,
    ];
    const gap = begin - previous;
    const length = end - begin - 1;
    tokens.byte(Math.min(gap, TOKEN_GAP_MAX) | (Math.min(length, TOKEN_LENGTH_MAX) << 6));
    if (gap >= TOKEN_GAP_MAX) extras.varint(gap - TOKEN_GAP_MAX);
    if (length >= TOKEN_LENGTH_MAX) extras.varint(length - TOKEN_LENGTH_MAX);
    let borrow = 0;
    for (let i = begin; i < end; i += 1) {
      const difference = (this.target[copy.target + i] as number) - (this.source[copy.source + i] as number) - borrow;
      borrow = difference < 0 ? 1 : 0;
      this.differences[Math.min(i - begin, DIFFERENCES - 1)]?.byte(difference & 255);
    }
  }

  private piece(copy: Copy, begin: number, end: number, runs: readonly number[]): void {
    if (end - begin < PIECE_MIN) return;
    const target = copy.target + begin;
    const source = copy.source + begin;
    const turn = source - target - this.diagonal;
    this.numbers[COLUMN.literalLength]?.varint(target - this.at);
    this.numbers[COLUMN.copyLength]?.varint(end - begin - 1);
    this.numbers[COLUMN.diagonal]?.varint(turn >= 0 ? turn * 2 : -turn * 2 - 1);
    this.numbers[COLUMN.runCount]?.varint(runs.length / 2);
    this.gap(target, source);
    let previous = begin;
    for (let i = 0; i < runs.length; i += 2) {
      this.run(copy, runs[i] as number, runs[i + 1] as number, previous);
      previous = runs[i + 1] as number;
    }
    this.copies += 1;
    this.runs += runs.length / 2;
    this.at = copy.target + end;
    this.sourceEnd = copy.source + end;
    this.diagonal = source - target;
  }

  add(copy: Copy): void {
    const runs = this.findRuns(copy);
    let begin = 0;
    let first = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const [from, to] = [runs[i] as number, runs[i + 1] as number];
      if (to - from < LITERAL_RUN) continue;
      this.piece(copy, begin, from, runs.slice(first, i));
      begin = to;
      first = i + 2;
    }
    this.piece(copy, begin, copy.length, runs.slice(first));
  }

  numberBytes(): number {
    return this.numbers.reduce((sum, column) => sum + column.length, 0);
  }

  /** Ends the window and writes it. */
  finish(out: ByteWriter, length: number, end: number, level: number): void {
    this.gap(end, undefined);
    const gatherer = new ContextGatherer(this.source, this.literals.length);
    for (const gap of this.gaps) gatherer.add(...gap);
    const context = gatherer.bytes();
    const joined = this.numberBytes() <= JOINED_BYTES;
    const hasRuns = this.runs > 0;
    out.varint(length);
    out.byte((joined ? FLAG_JOINED : 0) | (context.length > 0 ? FLAG_CONTEXT : 0) | (hasRuns ? FLAG_RUNS : 0));
    out.varint(this.copies);
    const columns = this.numbers.slice(0, hasRuns ? COLUMNS : COLUMN.runCount).map((column) => column.done());
    if (this.copies > 0 && joined) putStream(out, Buffer.concat(columns), EMPTY, level);
    if (this.copies > 0 && !joined) for (const column of columns) putStream(out, column, EMPTY, level);
    if (hasRuns) for (const column of this.differences) putStream(out, column.done(), EMPTY, level);
    putStream(out, this.literals.done(), context, level);
  }
}

function cutCopy(copy: Copy, begin: number, end: number): Copy {
  const skip = Math.max(0, begin - copy.target);
  const stop = Math.min(copy.target + copy.length, end);
  return { target: copy.target + skip, source: copy.source + skip, length: stop - copy.target - skip };
}

/** Payload that turns `source` into `target`. After `warmZstd`. */
export function alignDiffNow(source: Uint8Array, target: Uint8Array, effort: Effort): Buffer {
  const out = new ByteWriter();
  if (target.length > 0 && target.length <= SMALL_BYTES && source.length <= SMALL_SOURCE_BYTES) {
    out.byte(FORM_WHOLE);
    out.add(makeFrame(target, source, effort === 'fast' ? 9 : 19));
    return out.done();
  }
  out.byte(FORM_WINDOWS);
  const copies = findCopies(source, target);
  for (let begin = 0; begin < target.length; begin += WINDOW_BYTES) {
    const end = Math.min(target.length, begin + WINDOW_BYTES);
    let window = new WindowWriter(source, target, begin);
    for (const copy of copies) {
      if (copy.target < end && copy.target + copy.length > begin) window.add(cutCopy(copy, begin, end));
    }
    if (window.numberBytes() > numberBytesMax(end - begin)) window = new WindowWriter(source, target, begin);
    window.finish(out, end - begin, end, LEVELS[effort]);
  }
  return out.done();
}
