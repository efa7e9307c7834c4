/** One window of a target held against the index, as `native/window/window_scan.cc`: what stands where in the source. */
import type { Wish } from './twin-range-choice.js';
import { FIRST, SAMPLE_BYTES, type SampleTable, SECOND, sampleHash } from './twin-sample-table.js';

const BLOCK_BYTES = 4096;
/** What stands between two finds, or beside one, resembles its neighbourhood in the source: this far. */
const GAP_BYTES_MAX = 1 << 20;
/** Bytes that may only resemble the target speak less for a range than equal ones. */
const GAP_SHARE = 16;

export interface ScannedWindow {
  readonly target: Uint8Array;
  readonly targetOffset: number;
  readonly inPlace: Uint8Array;
}

/** Target bytes [begin, end) of the window, found at a distance (source position - target position). */
interface Found {
  readonly begin: number;
  readonly end: number;
  readonly distance: number;
  /** Two samples or more: no chance hit. */
  readonly sure: boolean;
}

function power(base: number): number {
  let result = 1;
  for (let i = 0; i < SAMPLE_BYTES; i += 1) result = Math.imul(result, base);
  return result;
}
const FIRST_OUT = power(FIRST);
const SECOND_OUT = power(SECOND);

/** Distance of the sample at `at`, preferring that of the find before. */
function lookup(table: SampleTable, hashes: readonly [number, number], here: number, before: Found | undefined) {
  let chosen: number | undefined;
  table.each(hashes[0], hashes[1], (position) => {
    const distance = position - here;
    if (chosen === undefined || distance === before?.distance) chosen = distance;
  });
  return chosen;
}

function continues(table: SampleTable, window: ScannedWindow, at: number, distance: number): boolean {
  const { target, targetOffset } = window;
  let equal = false;
  table.each(sampleHash(target, at, FIRST), sampleHash(target, at, SECOND), (position) => {
    equal ||= position === targetOffset + at + distance;
  });
  return equal;
}

/** Looks at every place of [begin, end); a find is followed from sample to sample. */
function scanStretch(table: SampleTable, window: ScannedWindow, begin: number, end: number, found: Found[]): void {
  const { target: data, targetOffset } = window;
  const limit = Math.min(end + SAMPLE_BYTES, data.length);
  if (limit - begin < SAMPLE_BYTES) return;
  let first = sampleHash(data, begin, FIRST);
  let second = sampleHash(data, begin, SECOND);
  for (let at = begin; at < end; ) {
    const distance = lookup(table, [first, second], targetOffset + at, found.at(-1));
    if (distance !== undefined) {
      let last = at;
      while (last + table.step + SAMPLE_BYTES <= limit && continues(table, window, last + table.step, distance)) {
        last += table.step;
      }
      found.push({ begin: at, end: last + SAMPLE_BYTES, distance, sure: last > at });
      at = last + SAMPLE_BYTES;
      if (at + SAMPLE_BYTES > limit) return;
      first = sampleHash(data, at, FIRST);
      second = sampleHash(data, at, SECOND);
      continue;
    }
    if (at + SAMPLE_BYTES >= limit) return;
    const out = data[at] as number;
    const into = data[at + SAMPLE_BYTES] as number;
    first = (Math.imul(first, FIRST) + into - Math.imul(out, FIRST_OUT)) | 0;
    second = (Math.imul(second, SECOND) + into - Math.imul(out, SECOND_OUT)) | 0;
    at += 1;
  }
}

function findAll(table: SampleTable, window: ScannedWindow): Found[] {
  const target = Buffer.from(window.target.buffer, window.target.byteOffset, window.target.byteLength);
  const found: Found[] = [];
  const next = (at: number): number => Math.min(at + BLOCK_BYTES, target.length);
  const equalBlock = (begin: number): boolean =>
    next(begin) <= window.inPlace.length &&
    target.compare(window.inPlace, begin, next(begin), begin, next(begin)) === 0;
  for (let begin = 0; begin < target.length; ) {
    let end = begin;
    while (end < target.length && equalBlock(end)) end = next(end);
    if (end > begin) {
      found.push({ begin, end, distance: 0, sure: true });
    } else {
      while (end < target.length && !equalBlock(end)) end = next(end);
      scanStretch(table, window, begin, end, found);
    }
    begin = end;
  }
  return found;
}

interface Gap {
  readonly begin: number;
  readonly end: number;
  readonly before: Found | undefined;
  readonly after: Found | undefined;
}

function wishForGap(offset: number, { begin, end, before, after }: Gap, wishes: Wish[]): void {
  const wish = (from: number, to: number, distance: number): void => {
    const shift = offset + distance;
    wishes.push({ begin: from + shift, end: to + shift, weight: Math.floor((to - from) / GAP_SHARE) });
  };
  const reach = Math.min(end - begin, GAP_BYTES_MAX);
  if (before === undefined && after === undefined) wish(begin, end, 0);
  if (before !== undefined) wish(begin, begin + reach, before.distance);
  if (after !== undefined && (after.distance !== before?.distance || reach < end - begin)) {
    wish(end - reach, end, after.distance);
  }
}

/** Everything of the source that would help to code the window. */
export function wishesOf(table: SampleTable, window: ScannedWindow): Wish[] {
  const { target, targetOffset } = window;
  const wishes: Wish[] = [];
  let before: Found | undefined;
  let done = 0;
  for (const found of findAll(table, window)) {
    const source = targetOffset + found.begin + found.distance;
    const length = found.end - found.begin;
    // The match begins and ends somewhere between its samples and the next ones.
    const room = found.distance === 0 ? 0 : table.step;
    wishes.push({ begin: source - room, end: source + length + room, weight: length });
    if (!found.sure) continue;
    if (found.begin > done) wishForGap(targetOffset, { begin: done, end: found.begin, before, after: found }, wishes);
    done = Math.max(done, found.end);
    before = found;
  }
  if (done < target.length)
    wishForGap(targetOffset, { begin: done, end: target.length, before, after: undefined }, wishes);
  return wishes;
}
