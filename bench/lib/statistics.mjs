/** Median, mean, spread. Lists may come in any order; an empty list gives NaN. */

/** @param {readonly number[]} values */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** @param {readonly number[]} values */
export function mean(values) {
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** @param {readonly number[]} values */
export function spread(values) {
  if (values.length === 0) return { low: Number.NaN, high: Number.NaN };
  return { low: Math.min(...values), high: Math.max(...values) };
}
