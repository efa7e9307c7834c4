/**
 * Suffix arrays in linear time for the twin: SA-IS (Nong, Zhang, Chan 2009), as
 * `native/bsdiff/suffix_array.cc` explains it, without what makes that one fast.
 * Signs mark, during the two scans, entries that the other scan uses.
 */

type Text = Uint8Array | Int32Array;

function bucketsOf(text: Text, alphabet: number, ends: boolean): Int32Array {
  const buckets = new Int32Array(alphabet);
  for (let i = 0; i < text.length; i += 1) buckets[text[i] as number]! += 1;
  let sum = 0;
  for (let c = 0; c < alphabet; c += 1) {
    const count = buckets[c] as number;
    sum += count;
    buckets[c] = ends ? sum : sum - count;
  }
  return buckets;
}

/** LMS positions: S suffixes after an L one, ascending. */
function lmsPositions(text: Text): Int32Array {
  const found: number[] = [];
  let nextIsS = false;
  for (let i = text.length - 2; i >= 0; i -= 1) {
    const [here, next] = [text[i] as number, text[i + 1] as number];
    const isS: boolean = here < next || (here === next && nextIsS);
    if (!isS && nextIsS) found.push(i + 1);
    nextIsS = isS;
  }
  return Int32Array.from(found.reverse());
}

/** Sorts all suffixes, given LMS suffixes in sorted order (or, for their substrings, in any). */
function induce(text: Text, alphabet: number, lms: Int32Array, suffixes: Int32Array): void {
  suffixes.fill(0);
  let buckets = bucketsOf(text, alphabet, true);
  for (let i = lms.length - 1; i >= 0; i -= 1) {
    const position = lms[i] as number;
    const slot = (buckets[text[position] as number] as number) - 1;
    buckets[text[position] as number] = slot;
    suffixes[slot] = position;
  }
  buckets = bucketsOf(text, alphabet, false);
  const placeL = (position: number): void => {
    const c = text[position] as number;
    const slot = buckets[c] as number;
    buckets[c] = slot + 1;
    suffixes[slot] = position > 0 && (text[position - 1] as number) < c ? -position : position;
  };
  placeL(text.length - 1);
  for (let i = 0; i < text.length; i += 1) {
    const entry = suffixes[i] as number;
    if (entry > 0) placeL(entry - 1);
  }
  buckets = bucketsOf(text, alphabet, true);
  for (let i = text.length - 1; i >= 0; i -= 1) {
    const entry = suffixes[i] as number;
    if (entry >= 0) continue;
    const position = -entry - 1;
    const c = text[position] as number;
    const slot = (buckets[c] as number) - 1;
    buckets[c] = slot;
    suffixes[slot] = position > 0 && (text[position - 1] as number) <= c ? -position : position;
    suffixes[i] = -entry;
  }
}

/** Ranks of the substrings between LMS positions, in text order, and how many differ. */
function rankSubstrings(text: Text, lms: Int32Array, suffixes: Int32Array): { ranks: Int32Array; names: number } {
  const indexOf = new Int32Array(text.length).fill(-1);
  for (let i = 0; i < lms.length; i += 1) indexOf[lms[i] as number] = i;
  const ranks = new Int32Array(lms.length);
  const equal = (a: number, b: number): boolean => {
    // The last substring ends with the end of the text, which equals nothing.
    if (a + 1 === lms.length || b + 1 === lms.length) return false;
    const [from, other] = [lms[a] as number, lms[b] as number];
    const length = (lms[a + 1] as number) - from;
    if (length !== (lms[b + 1] as number) - other) return false;
    for (let k = 0; k <= length; k += 1) if (text[from + k] !== text[other + k]) return false;
    return true;
  };
  let names = 0;
  let before = -1;
  for (let i = 0; i < text.length; i += 1) {
    const index = indexOf[suffixes[i] as number] as number;
    if (index < 0) continue;
    if (before < 0 || !equal(index, before)) names += 1;
    ranks[index] = names - 1;
    before = index;
  }
  return { ranks, names };
}

function sortText(text: Text, alphabet: number): Int32Array {
  const suffixes = new Int32Array(text.length);
  if (text.length === 0) return suffixes;
  const lms = lmsPositions(text);
  induce(text, alphabet, lms, suffixes);
  if (lms.length > 1) {
    const { ranks, names } = rankSubstrings(text, lms, suffixes);
    const order = names < lms.length ? sortText(ranks, names) : new Int32Array(lms.length);
    if (names === lms.length) for (let i = 0; i < ranks.length; i += 1) order[ranks[i] as number] = i;
    induce(
      text,
      alphabet,
      order.map((index) => lms[index] as number),
      suffixes,
    );
  }
  return suffixes;
}

/** Starts of all suffixes in lexicographic order; one that is a prefix of another comes first. */
export function sortSuffixes(text: Uint8Array): Int32Array {
  return sortText(text, 256);
}
