/** What some trials of one workload come to. */
import { median, quartiles } from '../lib/statistics.mjs';

/** @typedef {import('./workload-trial.mjs').Turn} Turn */
/** @typedef {{ readonly median: number, readonly low: number, readonly high: number, readonly turns: number }} Factor quartiles */

/**
 * How many times as long as ours the older path takes: the middle of the ratios of all neighbouring blocks, and the quartiles.
 * @param {readonly Turn[]} turns
 * @returns {Factor | undefined}
 */
export function factorOf(turns) {
  const ratios = turns.flatMap(({ own, older }) => (older === undefined ? [] : [older.cpuMs / own.cpuMs]));
  if (ratios.length === 0) return undefined;
  return { median: median(ratios), ...quartiles(ratios), turns: ratios.length };
}

/**
 * Medians of one side over all blocks of all trials.
 * @param {readonly Turn[]} turns
 * @param {'own' | 'older'} side
 */
function timesOf(turns, side) {
  const blocks = turns.flatMap((turn) => turn[side] ?? []);
  return { wallMs: median(blocks.map(({ wallMs }) => wallMs)), cpuMs: median(blocks.map(({ cpuMs }) => cpuMs)) };
}

/**
 * @param {readonly any[]} trials what `workload` gave, at least one
 */
export function pooled(trials) {
  const [first] = trials;
  const encode = trials.flatMap(({ turns }) => turns.encode);
  const decode = trials.flatMap(({ turns }) => turns.decode);
  const rewritten = trials.flatMap(({ rewritten: { turns } }) => turns);
  const isKnown = first.olderOwn.bytes !== undefined;
  return {
    own: { ...first.own, encode: timesOf(encode, 'own'), decode: timesOf(decode, 'own') },
    bound: first.bound,
    older: { bytes: first.rewritten.bytes, ...timesOf(rewritten, 'older') },
    olderOwn: isKnown
      ? { ...first.olderOwn, encode: timesOf(encode, 'older'), decode: timesOf(decode, 'older') }
      : first.olderOwn,
    factors: { encode: factorOf(encode), decode: factorOf(decode), rewritten: factorOf(rewritten) },
    trials: trials.length,
    xbzrle: first.xbzrle,
    zstd: first.zstd,
  };
}

/**
 * Of one row of the results. Older results have the two times alone.
 * @param {any} row
 * @param {'encode' | 'decode'} way
 * @returns {Pick<Factor, 'median'> & Partial<Factor> | undefined}
 */
export function olderFactor({ own, olderOwn, factors }, way) {
  if (olderOwn?.bytes === undefined) return undefined;
  return factors?.[way] ?? { median: olderOwn[way].cpuMs / own[way].cpuMs };
}

/**
 * As `olderFactor`, of what was written again with C zstd, which only codes.
 * @param {any} row
 * @returns {Pick<Factor, 'median'> & Partial<Factor>}
 */
export const rewrittenFactor = ({ own, older, factors }) =>
  factors?.rewritten ?? { median: older.cpuMs / own.encode.cpuMs };

/** Quartiles, as far as they are known. @param {Partial<Factor>} factor @returns {string[]} */
export const spreadWords = ({ low, high }) =>
  low === undefined || high === undefined ? [] : [`${low.toFixed(1)} to ${high.toFixed(1)}`];
