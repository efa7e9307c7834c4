import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareLists, markWords } from '../../src/ui/text-diff.js';
import { textRows } from '../../src/ui/text-rows.js';

describe('comparing lists', () => {
  const items = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'only', 'once', 'x'), { maxLength: 40 });

  it('covers both sides, and what it calls equal is equal', () => {
    fc.assert(
      fc.property(items, items, (left, right) => {
        const runs = compareLists(left, right);
        let [l, r] = [0, 0];
        for (const run of runs) {
          expect([run.left, run.right]).toEqual([l, r]);
          if (run.equal) expect(left.slice(run.left, run.leftEnd)).toEqual(right.slice(run.right, run.rightEnd));
          [l, r] = [run.leftEnd, run.rightEnd];
        }
        expect([l, r]).toEqual([left.length, right.length]);
      }),
      { seed: 11, numRuns: 400 },
    );
  });

  it('finds the shortest script where no line is unique', () => {
    const equal = (runs: ReturnType<typeof compareLists>): number =>
      runs.reduce((sum, run) => sum + (run.equal ? run.leftEnd - run.left : 0), 0);
    const [left, right] = ['abcabba', 'cbabac'].map((text) => [...text, ...text]) as [string[], string[]];
    // The longest common subsequence, by the plain table.
    const table = left.map(() => right.map(() => 0));
    for (const [i, one] of left.entries()) {
      for (const [j, other] of right.entries()) {
        const row = table[i] as number[];
        row[j] = one === other ? 1 + (table[i - 1]?.[j - 1] ?? 0) : Math.max(table[i - 1]?.[j] ?? 0, row[j - 1] ?? 0);
      }
    }
    expect(equal(compareLists(left, right))).toBe(table.at(-1)?.at(-1));
  });

  it('takes no longer for texts that have nothing in common', () => {
    const [left, right] = ['l', 'r'].map((side) => Array.from({ length: 60_000 }, (_, at) => `${side}${at % 900}`));
    const startMs = performance.now();
    const runs = compareLists(left as string[], right as string[]);
    expect(runs).toHaveLength(1);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });
});

describe('words', () => {
  it('marks what differs', () => {
    expect(markWords('"ttl": "10m" }', '"ttl": "2m" }')).toEqual({
      left: ['"ttl": "', '10m', '" }'],
      right: ['"ttl": "', '2m', '" }'],
    });
  });

  it('takes lines with only signs in common as different', () => {
    expect(markWords('a, b', 'c, d')).toEqual({ left: ['', 'a, b'], right: ['', 'c, d'] });
    const long = 'word '.repeat(2000);
    expect(markWords(long, `${long}x`).left).toEqual(['', long]);
  });
});

describe('rows', () => {
  it('pairs changed lines, counts, and leaves out what is equal', () => {
    const lines = Array.from({ length: 40 }, (_, at) => `line ${at}\n`);
    const changed = [...lines];
    changed[20] = 'line twenty\n';
    changed.splice(30, 1);
    changed.push('end\n');
    const { rows, ...counts } = textRows(lines.join(''), changed.join(''));
    expect(counts).toEqual({ added: 1, removed: 1, changed: 1, cut: false });
    expect(rows.filter(([kind]) => kind !== '=')).toEqual([
      ['@', 17],
      ['~', 21, 21, ['line ', '20'], ['line ', 'twenty']],
      ['@', 3],
      ['-', 31, null, ['line 30'], null],
      ['@', 3],
      ['+', null, 40, null, ['end']],
    ]);
  });

  it('shows a missing line feed at the end, and empty texts', () => {
    expect(textRows('a\n', 'a').rows).toEqual([['~', 1, 1, ['a', ''], ['a', '\u2404']]]);
    expect(textRows('', '').rows).toEqual([]);
    expect(textRows('', 'a\n').rows).toEqual([['+', null, 1, null, ['a']]]);
  });

  it('is bounded', () => {
    const many = Array.from({ length: 9000 }, (_, at) => `${at}\n`).join('');
    const { rows, cut } = textRows('', many);
    expect([rows.length, cut]).toEqual([4000, true]);
    const [row] = textRows('', `${'x'.repeat(5000)}\n`).rows;
    expect(row?.[4]?.[0]).toHaveLength(2001);
  });
});
