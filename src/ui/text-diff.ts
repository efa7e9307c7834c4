/**
 * What differs between two texts, by lines, and within lines by words. Lines that both have once are fixed first
 * (patience), what lies between them is compared with Myers' greedy algorithm up to a number of edits; beyond that the
 * stretch is told as replaced, so that no input takes long.
 */

/** Edits of one stretch that are searched for; the search holds memory in proportion to its square. */
const EDITS_MAX = 600;
/** Words of one line that are compared; longer lines are told as changed whole. */
const WORDS_MAX = 800;

/** A run of items: equal in both, or replaced (either side may be empty). */
export interface Run {
  readonly equal: boolean;
  readonly left: number;
  readonly leftEnd: number;
  readonly right: number;
  readonly rightEnd: number;
}

interface Span {
  left: number;
  leftEnd: number;
  right: number;
  rightEnd: number;
}

type Pair = readonly [number, number];

/** Equal pairs of positions, ascending on both sides. */
function matches(left: readonly string[], right: readonly string[], whole: Span): Pair[] {
  const found: Pair[] = [];
  // What is to be done, last first; a pair is one that is settled.
  const work: (Span | Pair)[] = [whole];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    if (!('left' in item)) {
      found.push(item);
      continue;
    }
    const span = { ...item };
    while (span.left < span.leftEnd && span.right < span.rightEnd && left[span.left] === right[span.right]) {
      found.push([span.left++, span.right++]);
    }
    const tail: Pair[] = [];
    while (
      span.left < span.leftEnd &&
      span.right < span.rightEnd &&
      left[span.leftEnd - 1] === right[span.rightEnd - 1]
    ) {
      tail.push([--span.leftEnd, --span.rightEnd]);
    }
    for (const pair of tail) work.push(pair);
    if (span.left === span.leftEnd || span.right === span.rightEnd) continue;
    const anchors = uniqueAnchors(left, right, span);
    if (anchors.length === 0) {
      for (const pair of myers(left, right, span).reverse()) work.push(pair);
      continue;
    }
    work.push(...between(span, anchors).reverse());
  }
  return found;
}

/** The spans around the anchors, and the anchors themselves, in order. */
function between(span: Span, anchors: readonly Pair[]): (Span | Pair)[] {
  const parts: (Span | Pair)[] = [];
  let [from, over] = [span.left, span.right];
  for (const anchor of anchors) {
    parts.push({ left: from, leftEnd: anchor[0], right: over, rightEnd: anchor[1] }, anchor);
    [from, over] = [anchor[0] + 1, anchor[1] + 1];
  }
  parts.push({ left: from, leftEnd: span.leftEnd, right: over, rightEnd: span.rightEnd });
  return parts;
}

/** Items that both sides have exactly once, as the longest list that ascends on both. */
function uniqueAnchors(left: readonly string[], right: readonly string[], span: Span): Pair[] {
  const places = new Map<string, { count: number; left: number; right: number }>();
  for (let at = span.left; at < span.leftEnd; at += 1) {
    const known = places.get(left[at] ?? '');
    if (known) known.count += 1;
    else places.set(left[at] ?? '', { count: 1, left: at, right: -1 });
  }
  for (let at = span.right; at < span.rightEnd; at += 1) {
    const known = places.get(right[at] ?? '');
    if (!known) continue;
    known.count += known.right < 0 ? 0 : 1;
    known.right = at;
  }
  const pairs = [...places.values()].filter((place) => place.count === 1 && place.right >= 0);
  // Longest ascending list by piles; the map kept the order of the left side.
  const tops: { readonly pair: Pair; readonly under: Top | null }[] = [];
  type Top = (typeof tops)[number];
  for (const { left: one, right: other } of pairs) {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((tops[middle] as Top).pair[1] < other) low = middle + 1;
      else high = middle;
    }
    tops[low] = { pair: [one, other], under: low > 0 ? (tops[low - 1] as Top) : null };
  }
  const anchors: Pair[] = [];
  for (let top: Top | null = tops.at(-1) ?? null; top !== null; top = top.under) anchors.push(top.pair);
  return anchors.reverse();
}

/** Shortest edit script of a span, as its equal pairs; none when it needs too many edits. */
function myers(left: readonly string[], right: readonly string[], span: Span): Pair[] {
  const [width, height] = [span.leftEnd - span.left, span.rightEnd - span.right];
  const most = Math.min(EDITS_MAX, width + height);
  const reach = new Int32Array(2 * most + 2);
  const trail: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits += 1) {
    trail.push(reach.slice());
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const down = diagonal === -edits || (diagonal !== edits && at(reach, diagonal - 1) < at(reach, diagonal + 1));
      let x = down ? at(reach, diagonal + 1) : at(reach, diagonal - 1) + 1;
      while (
        x < width &&
        x - diagonal < height &&
        x - diagonal >= 0 &&
        left[span.left + x] === right[span.right + x - diagonal]
      ) {
        x += 1;
      }
      reach[index(reach, diagonal)] = x;
      if (x >= width && x - diagonal >= height) return walkBack(trail, span, width, height);
    }
  }
  return [];
}

function index(reach: Int32Array, diagonal: number): number {
  return diagonal + (reach.length >> 1) - 1;
}
function at(reach: Int32Array, diagonal: number): number {
  return reach[index(reach, diagonal)] ?? 0;
}

function walkBack(trail: readonly Int32Array[], span: Span, width: number, height: number): Pair[] {
  const pairs: Pair[] = [];
  let [x, y] = [width, height];
  for (let edits = trail.length - 1; edits >= 0; edits -= 1) {
    const reach = trail[edits] as Int32Array;
    const diagonal = x - y;
    const down = diagonal === -edits || (diagonal !== edits && at(reach, diagonal - 1) < at(reach, diagonal + 1));
    const fromX = edits === 0 ? 0 : down ? at(reach, diagonal + 1) : at(reach, diagonal - 1);
    const fromY = edits === 0 ? 0 : fromX - (down ? diagonal + 1 : diagonal - 1);
    while (x > fromX && y > fromY) pairs.push([span.left + --x, span.right + --y]);
    [x, y] = [fromX, fromY];
  }
  return pairs.reverse();
}

/** Runs that cover both lists whole, in order; equal and replaced ones take turns. */
export function compareLists(left: readonly string[], right: readonly string[]): Run[] {
  const whole = { left: 0, leftEnd: left.length, right: 0, rightEnd: right.length };
  const runs: Run[] = [];
  let [l, r] = [0, 0];
  const add = (equal: boolean, leftEnd: number, rightEnd: number): void => {
    if (leftEnd > l || rightEnd > r) runs.push({ equal, left: l, leftEnd, right: r, rightEnd });
    [l, r] = [leftEnd, rightEnd];
  };
  const pairs = matches(left, right, whole);
  for (let from = 0; from < pairs.length; ) {
    const [one, other] = pairs[from] as Pair;
    let length = 1;
    while (pairs[from + length]?.[0] === one + length && pairs[from + length]?.[1] === other + length) length += 1;
    add(false, one, other);
    add(true, one + length, other + length);
    from += length;
  }
  add(false, left.length, right.length);
  return runs;
}

const WORDS = /[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu;

/** Pieces of a line, alternately as in the other one and different, the first as in the other. */
export type Marked = readonly string[];

/** The words of two lines that differ; a line that has nothing in common with the other is one different piece. */
export function markWords(left: string, right: string): { readonly left: Marked; readonly right: Marked } {
  const [one, other] = [left.match(WORDS) ?? [], right.match(WORDS) ?? []];
  if (one.length > WORDS_MAX || other.length > WORDS_MAX) return { left: ['', left], right: ['', right] };
  const runs = compareLists(one, other);
  // Blanks and commas in common say nothing: two lines that share only these are different lines.
  const shared = runs.some(
    (run) => run.equal && one.slice(run.left, run.leftEnd).some((word) => /[\p{L}\p{N}]/u.test(word)),
  );
  if (!shared) return { left: ['', left], right: ['', right] };
  const marked = { left: [] as string[], right: [] as string[] };
  if (runs[0]?.equal === false) {
    marked.left.push('');
    marked.right.push('');
  }
  for (const run of runs) {
    marked.left.push(one.slice(run.left, run.leftEnd).join(''));
    marked.right.push(other.slice(run.right, run.rightEnd).join(''));
  }
  return marked;
}
