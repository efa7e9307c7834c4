/** Looking things up in ascending order. */

/** Index of the first item whose number is at least `value`; the length when there is none. */
export function lowerBound<T>(ascending: ArrayLike<T>, value: number, numberOf: (item: T) => number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numberOf(ascending[middle] as T) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
