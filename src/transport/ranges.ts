/** Sets of stretches of bytes. */

/** From `start` up to, not including, `end`. */
export type Range = readonly [start: number, end: number];

/** Stretches that came so far: ascending, apart, joined where they touch. */
export class RangeSet {
  #ranges: [number, number][] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** Index of the first stretch that ends behind `position`. */
  #find(position: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle] as [number, number])[1] > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** `all`, `none` or `some` of the stretch is here. */
  covers(start: number, end: number): 'all' | 'none' | 'some' {
    const found = this.#ranges[this.#find(start)];
    if (found === undefined || found[0] >= end) return 'none';
    return found[0] <= start && found[1] >= end ? 'all' : 'some';
  }

  /** Adds a stretch of which nothing is here yet. */
  add(start: number, end: number): void {
    const at = this.#find(start);
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    this.#bytes += end - start;
    const joinsBefore = before !== undefined && before[1] === start;
    const joinsAfter = after !== undefined && after[0] === end;
    if (joinsBefore && joinsAfter) {
      before[1] = after[1];
      this.#ranges.splice(at, 1);
    } else if (joinsBefore) before[1] = end;
    else if (joinsAfter) after[0] = start;
    else this.#ranges.splice(at, 0, [start, end]);
  }
}

/** What is not in `have` (ascending, apart) of the bytes from 0 to `size`. */
export function missingRanges(have: readonly Range[], size: number): Range[] {
  const missing: Range[] = [];
  let at = 0;
  for (const [start, end] of have) {
    if (start > at) missing.push([at, start]);
    at = end;
  }
  if (at < size) missing.push([at, size]);
  return missing;
}

/**
 * The whole units inside stretches given as `[offset, length]`, as `[start, end]`; a stretch may end with the bytes
 * instead of a unit. Throws RangeError when they are not ascending, overlap or leave the bytes.
 */
export function wholeUnits(stretches: readonly (readonly [number, number])[], size: number, unit: number): Range[] {
  const joined: [number, number][] = [];
  let at = 0;
  for (const [offset, length] of stretches) {
    const good = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0;
    if (!good || offset < at || offset + length > size)
      throw new RangeError('have: not ascending stretches of the blob');
    at = offset + length;
    const last = joined.at(-1);
    if (last !== undefined && last[1] === offset) last[1] = at;
    else joined.push([offset, at]);
  }
  return joined
    .map(([start, end]): Range => [Math.ceil(start / unit) * unit, end === size ? size : Math.floor(end / unit) * unit])
    .filter(([start, end]) => end > start);
}
