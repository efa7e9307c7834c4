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
 * @property {string} [why] what keeps it from being met, or would, in general; no figures
 */

const PEERS = /** @type {const} */ (['restic', 'borg']);
const MEGABYTE = 1_000_000;

/** Why a target is hard, by its beginning and its scenario. Figures belong to the run, so there are none here. */
const REASONS = /** @type {const} */ ([
  [
    'later',
    'small-files',
    'starting the program and listing the directory take as long as the changed files; neither is paid in run mode and under `watch`',
  ],
  [
    'later',
    'sqlite',
    'pages changed all over the file are coded against those they replace, for which nearly every blob of it is decoded; the others store the file again',
  ],
  ['later', 'big-file', 'the whole file is read to compare its pages; the others read it as well, and store it again'],
  ['later', 'noop', 'by the command line most of it is starting the program'],
  [
    'unchanged directory, `diffkeeper capture`',
    'noop',
    'most of it is starting the program; a sidecar is running already',
  ],
  ['full recover', 'small-files', 'nearly all of it is the kernel making files, for all tools alike'],
  ['full recover', 'noop', 'nearly all of it is the kernel making files, for all tools alike'],
  [
    'full recover',
    '',
    'every blob and every file is verified on the way out, and the disk may be busy with what the others wrote',
  ],
  [
    '10 KB durable: at most 20 ms, waiting for quiet included',
    'durable',
    'the watcher waits until a file was quiet for 50 ms, so that none is kept half written; who cannot wait asks for a checkpoint',
  ],
]);

/**
 * @param {string} target
 * @param {string} where
 */
function reasonFor(target, where) {
  return REASONS.find(([begins, scenario]) => target.startsWith(begins) && where.startsWith(scenario))?.[2];
}

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
  return [...besidePeers(results), ...bounds(results)].map((verdict) => {
    const why = verdict.verdict.startsWith('missed') ? reasonFor(verdict.target, verdict.where) : undefined;
    return why === undefined ? verdict : { ...verdict, why };
  });
}

const SIZED = /** @type {const} */ (['small-files', 'sqlite', 'big-file']);

/** @param {Row} row the largest of all its processes */
function peakBytes({ first, later, recover, durable }) {
  const peaks = [first, later, recover, durable].map(({ rssBytes }) => rssBytes).filter(Number.isFinite);
  return peaks.length === 0 ? Number.NaN : Math.max(...peaks);
}

/**
 * @param {Results} results
 * @returns {Verdict[]}
 */
function besidePeers(results) {
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
  return [
    ...[...SIZED, 'noop'].flatMap(later),
    ...against(results, {
      scenario: 'durable',
      target: '10 KB durable, waiting for quiet included: at least 5 times faster',
      bound: 5,
      figure: (row) => row.durable.wallMs,
      show: showMs,
    }),
    ...added('small-files', 10),
    ...added('sqlite', 50),
    ...[...SIZED, 'noop'].flatMap(recover),
  ];
}

/**
 * @param {Results} results
 * @returns {Verdict[]}
 */
function bounds(results) {
  const time = (
    /** @type {string} */ scenario,
    /** @type {string} */ target,
    /** @type {number} */ bound,
    /** @type {(row: Row) => number} */ figure,
  ) => within(results, { scenario, target, bound: () => bound, figure, show: showMs });
  return [
    time('noop', 'unchanged directory, warm: at most 100 ms', 100, (row) => row.warmSession.wallMs),
    time('noop', 'unchanged directory, warm: at most 25 ms (moonshot)', 25, (row) => row.warmSession.wallMs),
    time('noop', 'unchanged directory, `diffkeeper capture`: at most 100 ms', 100, (row) => row.later.wallMs),
    time('durable', '10 KB durable: at most 20 ms, asked for on the control socket', 20, (row) => row.asked.wallMs),
    time('durable', '10 KB durable: at most 20 ms, waiting for quiet apart', 20, (row) => row.durable.workMs),
    time('durable', '10 KB durable: at most 20 ms, waiting for quiet included', 20, (row) => row.durable.wallMs),
    within(results, {
      scenario: 'durable',
      target: '10 KB durable: at most 4 sync calls',
      bound: () => 4,
      figure: (row) => row.durable.syncCalls,
      show: (/** @type {number} */ value) => `${value} calls`,
    }),
    ...[...SIZED, 'noop', 'durable'].map((scenario) =>
      within(results, {
        scenario,
        target: 'peak memory at most 256 MB and 1 % of the largest file',
        bound: ({ state }) => 256 * MEGABYTE + state.largestBytes / 100,
        figure: peakBytes,
        show: showBytes,
      }),
    ),
  ];
}
