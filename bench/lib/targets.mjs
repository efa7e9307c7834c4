/** What this project promised itself, and what the figures say about it. */
import { ratio, showBytes, showMs, showTimes } from './figures.mjs';
import { summarise, verifiedRow } from './summary.mjs';

/**
 * @typedef {import('./bench-types.js').ScenarioResult} ScenarioResult
 * @typedef {import('./bench-types.js').ToolName} ToolName
 * @typedef {import('./summary.mjs').Row} Row
 * @typedef {ReadonlyMap<string, ScenarioResult>} Results
 *
 * @typedef {object} Verdict
 * @property {string} target
 * @property {string} where
 * @property {string} measured
 * @property {string} verdict
 */

const PEERS = /** @type {const} */ (['restic', 'borg']);
const MEGABYTE = 1_000_000;

/**
 * @param {number} value
 * @param {number} bound
 */
function atLeast(value, bound) {
  if (!Number.isFinite(value)) return 'not measured';
  return value >= bound ? 'met' : `missed: ${showTimes(value)} of ${showTimes(bound)}`;
}

/**
 * @param {number} value
 * @param {number} bound
 * @param {(value: number) => string} show
 */
function atMost(value, bound, show) {
  if (!Number.isFinite(value)) return 'not measured';
  return value <= bound ? 'met' : `missed by ${show(value - bound)}`;
}

/**
 * One verdict for each peer: how many times as much it takes as we do.
 * @param {Results} results
 * @param {{ scenario: string, target: string, bound: number, figure: (row: Row) => number, show: (value: number) => string }} facts
 * @returns {Verdict[]}
 */
function against(results, { scenario, target, bound, figure, show }) {
  const result = results.get(scenario);
  if (result === undefined) return [{ target, where: scenario, measured: '', verdict: 'not measured' }];
  const rows = summarise(result);
  const ours = verifiedRow(rows, 'diffkeeper');
  return PEERS.map((peer) => {
    const theirs = verifiedRow(rows, peer);
    const where = `${scenario}, ${peer}`;
    if (ours === undefined || theirs === undefined) return { target, where, measured: '', verdict: 'not measured' };
    const times = ratio(figure(theirs), figure(ours));
    const measured = `${show(figure(ours))} to ${show(figure(theirs))}: ${showTimes(times)}`;
    return { target, where, measured, verdict: atLeast(times, bound) };
  });
}

/**
 * @param {Results} results
 * @param {{ scenario: string, target: string, bound: (result: ScenarioResult) => number, figure: (row: Row) => number, show: (value: number) => string }} facts
 * @returns {Verdict}
 */
function within(results, { scenario, target, bound, figure, show }) {
  const result = results.get(scenario);
  const ours = result && verifiedRow(summarise(result), 'diffkeeper');
  if (result === undefined || ours === undefined)
    return { target, where: scenario, measured: '', verdict: 'not measured' };
  const value = figure(ours);
  return { target, where: scenario, measured: show(value), verdict: atMost(value, bound(result), show) };
}

/**
 * @param {Results} results
 * @returns {Verdict[]}
 */
export function judge(results) {
  const sized = ['small-files', 'sqlite', 'big-file'];
  const memory = (/** @type {Row} */ { first, later, recover }) =>
    Math.max(first.rssBytes, later.rssBytes, recover.rssBytes);
  const later = (/** @type {string} */ scenario) =>
    against(results, {
      scenario,
      target: 'later capture at least 5 times faster',
      bound: 5,
      figure: (row) => row.later.wallMs,
      show: showMs,
    });
  const added = (/** @type {string} */ scenario, /** @type {number} */ bound) =>
    against(results, {
      scenario,
      target: `bytes added (median) at least ${bound} times fewer`,
      bound,
      figure: (row) => row.later.bytesMedian,
      show: showBytes,
    });
  const recover = (/** @type {string} */ scenario) =>
    against(results, {
      scenario,
      target: 'full recover faster',
      bound: 1,
      figure: (row) => row.recover.wallMs,
      show: showMs,
    });
  const count = (/** @type {number} */ value) => `${value} calls`;
  return [
    ...[...sized, 'noop'].flatMap(later),
    ...added('small-files', 10),
    ...added('sqlite', 50),
    ...sized.flatMap(recover),
    within(results, {
      scenario: 'noop',
      target: 'unchanged directory, warm: at most 100 ms',
      bound: () => 100,
      figure: (row) => row.warmSession.wallMs,
      show: showMs,
    }),
    within(results, {
      scenario: 'durable',
      target: '10 KB durable: at most 20 ms, waiting for quiet apart',
      bound: () => 20,
      figure: (row) => row.durable.workMs,
      show: showMs,
    }),
    within(results, {
      scenario: 'durable',
      target: '10 KB durable: at most 4 sync calls',
      bound: () => 4,
      figure: (row) => row.durable.syncCalls,
      show: count,
    }),
    ...sized.map((scenario) =>
      within(results, {
        scenario,
        target: 'peak memory at most 256 MB and 1 % of the largest file',
        bound: ({ state }) => 256 * MEGABYTE + state.largestBytes / 100,
        figure: memory,
        show: showBytes,
      }),
    ),
  ];
}
