/** From many wishes for pieces of a source to few ranges within a budget, as `native/window/range_choice.cc`. */

/** A piece of the source, which may begin or end outside it, and how many target bytes speak for it. */
export interface Wish {
  readonly begin: number;
  readonly end: number;
  readonly weight: number;
}

/** Ranges with less between them are read as one. */
const JOIN_BYTES = 16 << 10;

interface Weighed {
  begin: number;
  end: number;
  weight: number;
}

function join(wishes: readonly Wish[], sourceBytes: number): Weighed[] {
  const clipped = wishes.map(({ begin, end, weight }) => ({
    begin: Math.max(begin, 0),
    end: Math.min(end, sourceBytes),
    weight,
  }));
  clipped.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const joined: Weighed[] = [];
  for (const wish of clipped) {
    if (wish.begin >= wish.end) continue;
    const last = joined.at(-1);
    if (last !== undefined && wish.begin <= last.end + JOIN_BYTES) {
      last.end = Math.max(last.end, wish.end);
      last.weight += wish.weight;
    } else {
      joined.push({ ...wish });
    }
  }
  return joined;
}

/** Pairs (offset, length), ascending and apart; what exceeds the budget is given up from the least dense range on. */
export function chooseRanges(wishes: readonly Wish[], sourceBytes: number, budget: number): Float64Array {
  const joined = join(wishes, sourceBytes);
  const total = joined.reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (total > budget) {
    joined.sort((a, b) => b.weight * (a.end - a.begin) - a.weight * (b.end - b.begin) || a.begin - b.begin);
    let left = budget;
    for (const range of joined) {
      range.end = Math.min(range.end, range.begin + left);
      left -= range.end - range.begin;
    }
    joined.sort((a, b) => a.begin - b.begin);
  }
  const kept = joined.filter(({ begin, end }) => begin < end);
  return Float64Array.from(kept.flatMap(({ begin, end }) => [begin, end - begin]));
}
