/** Rows of a side by side view of two texts. */
import { compareLists, type Marked, markWords } from './text-diff.js';

const CONTEXT = 3;
const ROWS_MAX = 4000;
/** Longer lines are cut for the page; they still differ by all of their text. */
const LINE_MAX = 2000;

/**
 * `=` equal, `~` changed, `-` left only, `+` right only: line numbers from 1, and pieces as `markWords` gives them.
 * `@`: so many equal lines are left out.
 */
export type TextRow =
  | readonly ['=' | '~' | '-' | '+', number | null, number | null, Marked | null, Marked | null]
  | readonly ['@', number];

export interface TextRows {
  readonly rows: readonly TextRow[];
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  /** There are more rows than these. */
  readonly cut: boolean;
}

function linesOf(text: string): string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  // A missing line feed at the end is a difference that must be seen.
  if (lines.at(-1) === '') lines.pop();
  else lines.push(`${lines.pop()}\u2404`);
  return lines;
}

function cutLine(line: string): string {
  return line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)}\u2026` : line;
}

/** @param context equal lines around a change; Infinity: all of them */
export function textRows(leftText: string, rightText: string, context = CONTEXT): TextRows {
  const [left, right] = [linesOf(leftText), linesOf(rightText)];
  const rows: TextRow[] = [];
  const counts = { added: 0, removed: 0, changed: 0 };
  const runs = compareLists(left, right);
  for (const [index, run] of runs.entries()) {
    if (rows.length > ROWS_MAX) break;
    const [lefts, rights] = [run.leftEnd - run.left, run.rightEnd - run.right];
    if (run.equal) {
      const front = index === 0 ? 0 : context;
      const back = index === runs.length - 1 ? 0 : context;
      const hidden = Number.isFinite(context) ? lefts - front - back : 0;
      for (let at = 0; at < lefts; at += 1) {
        if (hidden > 1 && at === front) {
          rows.push(['@', hidden]);
          at += hidden;
          if (at >= lefts) break;
        }
        const line = [cutLine(left[run.left + at] ?? '')];
        rows.push(['=', run.left + at + 1, run.right + at + 1, line, line]);
      }
      continue;
    }
    const paired = Math.min(lefts, rights);
    counts.changed += paired;
    counts.removed += lefts - paired;
    counts.added += rights - paired;
    for (let at = 0; at < Math.max(lefts, rights); at += 1) {
      const [one, other] = [left[run.left + at], right[run.right + at]].map((line) => line && cutLine(line));
      const [leftNumber, rightNumber] = [run.left + at + 1, run.right + at + 1];
      if (at >= lefts) rows.push(['+', null, rightNumber, null, [other ?? '']]);
      else if (at >= rights) rows.push(['-', leftNumber, null, [one ?? ''], null]);
      else {
        const marked = markWords(one ?? '', other ?? '');
        rows.push(['~', leftNumber, rightNumber, marked.left, marked.right]);
      }
    }
  }
  return { rows: rows.slice(0, ROWS_MAX), ...counts, cut: rows.length > ROWS_MAX };
}
