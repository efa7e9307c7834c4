/** From the samples of a scenario to one row for each tool. */
import { mean, median, spread, upperMedian } from './statistics.mjs';

/**
 * @typedef {import('./bench-types.js').ScenarioResult} ScenarioResult
 * @typedef {import('./bench-types.js').Sample} Sample
 * @typedef {import('./bench-types.js').ToolName} ToolName
 *
 * @typedef {object} Timing over all trials, in milliseconds; NaN without samples
 * @property {number} wallMs median
 * @property {number} lowMs
 * @property {number} highMs
 * @property {number} cpuMs median
 * @property {number} rssBytes largest
 * @property {number} count
 */

/**
 * @param {readonly Sample[]} samples
 * @returns {Timing}
 */
function timing(samples) {
  const walls = samples.map(({ wallMs }) => wallMs);
  const { low, high } = spread(walls);
  return {
    wallMs: median(walls),
    lowMs: low,
    highMs: high,
    cpuMs: median(samples.map(({ cpuMs }) => cpuMs)),
    rssBytes: spread(samples.map(({ rssBytes }) => rssBytes)).high,
    count: samples.length,
  };
}

/**
 * @param {ScenarioResult} result
 * @param {ToolName} tool
 */
function rowOf(result, tool) {
  const own = result.samples.filter((sample) => sample.tool === tool);
  const of = (/** @type {Sample['step']} */ step) => own.filter((sample) => sample.step === step);
  const later = of('later');
  const durable = of('durable');
  const added = (/** @type {readonly Sample[]} */ samples) => samples.map(({ addedBytes = Number.NaN }) => addedBytes);
  const trials = Math.max(1, new Set(own.map(({ trial }) => trial)).size);
  return {
    tool,
    outcome: result.tools[tool],
    first: { ...timing(of('first')), bytes: median(added(of('first'))) },
    later: {
      ...timing(later),
      bytesMedian: upperMedian(added(later)),
      bytesMean: mean(added(later)),
      diskMedian: upperMedian(later.map(({ addedDiskBytes = Number.NaN }) => addedDiskBytes)),
    },
    recover: timing(of('recover')),
    /** The store after the last version. */
    storeBytes: added([...of('first'), ...later]).reduce((sum, bytes) => sum + bytes, 0) / trials,
    warmSession: timing(of('warm-session')),
    warmCapture: timing(of('warm-capture')),
    asked: timing(of('asked')),
    durable: {
      ...timing(durable),
      waitMs: median(durable.map(({ waitMs = 0 }) => waitMs)),
      workMs: median(durable.map(({ wallMs, waitMs = 0 }) => wallMs - waitMs)),
      syncCalls: median(result.tools[tool]?.syncCalls ?? []),
    },
  };
}

/** @typedef {ReturnType<typeof rowOf>} Row */

/**
 * One row for each tool that was asked for, in the order of the result.
 * @param {ScenarioResult} result
 * @returns {Row[]}
 */
export function summarise(result) {
  return /** @type {ToolName[]} */ (Object.keys(result.tools)).map((tool) => rowOf(result, tool));
}

/**
 * A tool's row when its figures count: what it brought back was verified.
 * @param {readonly Row[]} rows
 * @param {ToolName} tool
 */
export function verifiedRow(rows, tool) {
  const row = rows.find((one) => one.tool === tool);
  return row?.outcome?.status === 'verified' && row.outcome.verifiedTrees > 0 ? row : undefined;
}
