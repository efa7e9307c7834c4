/** Figures as the report shows them, and tables in Markdown. */

/** @param {number} value */
const digits = (value) =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);

/**
 * A time in milliseconds.
 * @param {number} ms
 */
export function showMs(ms) {
  if (!Number.isFinite(ms)) return '–';
  return Math.abs(ms) < 1000 ? `${digits(ms)} ms` : `${digits(ms / 1000)} s`;
}

/**
 * Decimal units, as disks are sold.
 * @param {number} bytes
 */
export function showBytes(bytes) {
  if (!Number.isFinite(bytes)) return '–';
  for (const [unit, size] of /** @type {const} */ ([
    ['GB', 1e9],
    ['MB', 1e6],
    ['KB', 1e3],
  ])) {
    if (Math.abs(bytes) >= size) return `${digits(bytes / size)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/**
 * How many times as much; nothing where there is nothing to divide by.
 * @param {number} theirs
 * @param {number} ours
 */
export const ratio = (theirs, ours) => (ours > 0 ? theirs / ours : Number.NaN);

/** @param {number} value */
export const showTimes = (value) => (Number.isFinite(value) ? `${digits(value)}×` : '–');

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 * @param {number} [words] columns from the left that hold words; the others hold figures
 */
export function table(head, rows, words = 1) {
  const lines = [head, head.map((_, column) => (column < words ? '---' : '---:')), ...rows];
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

/** As it stands in a drawing. @param {string} text */
export const svgText = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
