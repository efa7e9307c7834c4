/** Median, quartiles, mean, spread. Lists may come in any order; an empty list gives NaN. */

/** @param {readonly number[]} values */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/**
 * As `median`, of an even number the larger of the two in the middle: where single values may be negative because
 * something was tidied up, halves of them are no size that anything had.
 * @param {readonly number[]} values
 */
export function upperMedian(values) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/**
 * The values a quarter and three quarters of the way from the lowest to the highest, between two of them in proportion.
 * @param {readonly number[]} values
 */
export function quartiles(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const at = (/** @type {number} */ share) => {
    const place = share * (sorted.length - 1);
    const low = sorted[Math.floor(place)] ?? Number.NaN;
    const high = sorted[Math.ceil(place)] ?? Number.NaN;
    return low + (place - Math.floor(place)) * (high - low);
  };
  return { low: at(0.25), high: at(0.75) };
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
