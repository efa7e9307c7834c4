/** Sorting rows of a table of which there may be millions, while everything else has its turns. */
import { setImmediate as turn } from 'node:timers/promises';

/** What is sorted or merged between two turns: some milliseconds. */
export const ROWS_AT_ONCE = 16 << 10;

/** Sorts in place, by merging sorted runs. What is sorted already is looked at once. */
export async function sortRows(rows: Uint32Array, compare: (one: number, other: number) => number): Promise<void> {
  const inOrder = (end: number): boolean => compare(rows[end - 1] as number, rows[end] as number) <= 0;
  for (let begin = 0; begin < rows.length; begin += ROWS_AT_ONCE) {
    if (begin > 0) await turn();
    const run = rows.subarray(begin, begin + ROWS_AT_ONCE);
    for (let at = begin + 1; at < begin + run.length; at += 1) {
      if (inOrder(at)) continue;
      run.sort(compare);
      break;
    }
  }
  const scratch = new Uint32Array(rows.length > ROWS_AT_ONCE ? rows.length : 0);
  for (let length = ROWS_AT_ONCE; length < rows.length; length *= 2) {
    for (let begin = 0; begin + length < rows.length; begin += 2 * length) {
      const end = Math.min(begin + 2 * length, rows.length);
      if (!inOrder(begin + length)) await merge(rows, scratch, { begin, middle: begin + length, end }, compare);
    }
  }
}

/** Two sorted runs, one behind the other, become one. */
async function merge(
  rows: Uint32Array,
  scratch: Uint32Array,
  { begin, middle, end }: { readonly begin: number; readonly middle: number; readonly end: number },
  compare: (one: number, other: number) => number,
): Promise<void> {
  scratch.set(rows.subarray(begin, middle), begin);
  let [left, right] = [begin, middle];
  for (let at = begin; left < middle; at += 1) {
    if (at % ROWS_AT_ONCE === 0) await turn();
    const [one, other] = [scratch[left] as number, rows[right] as number];
    if (right === end || compare(one, other) <= 0) {
      rows[at] = one;
      left += 1;
    } else {
      rows[at] = other;
      right += 1;
    }
  }
}
