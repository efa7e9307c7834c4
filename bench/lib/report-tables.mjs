/** The tables of one scenario. A tool that failed is shown with its figures struck, and why. */
import { ratio, showBytes, showMs, showTimes, table } from './figures.mjs';
import { summarise, verifiedRow } from './summary.mjs';

/**
 * @typedef {import('./bench-types.js').ScenarioResult} ScenarioResult
 * @typedef {import('./summary.mjs').Row} Row
 * @typedef {import('./summary.mjs').Timing} Timing
 */

/** @param {Timing} timing */
const ranged = ({ wallMs, lowMs, highMs, count }) =>
  count > 1 ? `${showMs(wallMs)} (${showMs(lowMs)} – ${showMs(highMs)})` : showMs(wallMs);

/**
 * Figures of a row, or what stands in their place.
 * @param {Row} row
 * @param {readonly string[]} figures
 */
function cells({ tool, outcome }, figures) {
  if (outcome?.status === 'verified') return [tool, ...figures];
  if (outcome?.status === 'failed')
    return [`${tool} (**failed**)`, ...figures.map((text) => (text === '–' ? text : `~~${text}~~`))];
  return [`${tool} (${outcome?.reason ?? 'missing'})`, ...figures.map(() => '–')];
}

/** @param {readonly Row[]} rows */
function captureTable(rows) {
  const head = [
    'tool',
    'first capture',
    'CPU',
    'store',
    'later capture (min – max)',
    'CPU',
    'bytes added: median',
    'mean',
    'on disk (median)',
  ];
  return table(
    head,
    rows.map((row) => {
      const { first, later } = row;
      const added = [showBytes(later.bytesMedian), showBytes(later.bytesMean), showBytes(later.diskMedian)];
      return cells(row, [
        showMs(first.wallMs),
        showMs(first.cpuMs),
        showBytes(first.bytes),
        ranged(later),
        showMs(later.cpuMs),
        ...added,
      ]);
    }),
  );
}

/** @param {readonly Row[]} rows */
function recoverTable(rows) {
  return table(
    ['tool', 'full recover (min – max)', 'CPU', 'peak memory: capture', 'recover', 'store after the last version'],
    rows.map((row) => {
      const { first, later, recover } = row;
      const memory = [showBytes(Math.max(first.rssBytes, later.rssBytes)), showBytes(recover.rssBytes)];
      return cells(row, [ranged(recover), showMs(recover.cpuMs), ...memory, showBytes(row.storeBytes)]);
    }),
  );
}

/** @param {readonly Row[]} rows */
function ratioTable(rows) {
  const ours = verifiedRow(rows, 'diffkeeper');
  const others = rows.filter(({ tool }) => tool !== 'diffkeeper' && verifiedRow(rows, tool));
  if (ours === undefined || others.length === 0) return '';
  return table(
    ['times as much as DiffKeeper', 'first capture', 'later capture', 'bytes added: median', 'mean', 'full recover'],
    others.map(({ tool, first, later, recover }) => [
      tool,
      showTimes(ratio(first.wallMs, ours.first.wallMs)),
      showTimes(ratio(later.wallMs, ours.later.wallMs)),
      showTimes(ratio(later.bytesMedian, ours.later.bytesMedian)),
      showTimes(ratio(later.bytesMean, ours.later.bytesMean)),
      showTimes(ratio(recover.wallMs, ours.recover.wallMs)),
    ]),
  );
}

/** @param {readonly Row[]} rows */
function durableTable(rows) {
  return table(
    ['tool', 'from close to durable (min – max)', 'of it waiting', 'of it work', 'CPU', 'sync calls', 'peak memory'],
    rows.map((row) => {
      const { durable } = row;
      const calls = Number.isFinite(durable.syncCalls) ? String(durable.syncCalls) : '–';
      const cpu = row.tool === 'diffkeeper' ? '–' : showMs(durable.cpuMs);
      return cells(row, [
        ranged(durable),
        showMs(durable.waitMs),
        showMs(durable.workMs),
        cpu,
        calls,
        showBytes(durable.rssBytes),
      ]);
    }),
  );
}

/** @param {readonly Row[]} rows */
function warmTable(rows) {
  const ours = verifiedRow(rows, 'diffkeeper');
  if (ours === undefined || ours.warmSession.count === 0) return '';
  return table(
    ['inside one process, store open', 'time (min – max)'],
    [
      ['`session.capture()`, again and again', ranged(ours.warmSession)],
      ['`capture(store, directory)`, again and again', ranged(ours.warmCapture)],
    ],
  );
}

/** @param {readonly Row[]} rows */
function askedTable(rows) {
  const ours = verifiedRow(rows, 'diffkeeper');
  if (ours === undefined || ours.asked.count === 0) return '';
  return table(
    ['under `diffkeeper -- command`', 'from close to durable (min – max)'],
    [['`POST /checkpoint` on the control socket right after the write', ranged(ours.asked)]],
  );
}

/** @param {readonly Row[]} rows */
function failures(rows) {
  const lines = rows
    .filter(({ outcome }) => outcome?.status === 'failed')
    .map(({ tool, outcome }) => `- ${tool} failed: ${outcome?.reason}`);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/**
 * @param {ScenarioResult} result
 * @returns {string}
 */
export function scenarioSection(result) {
  const rows = summarise(result);
  const { files, bytes, largestBytes } = result.state;
  const facts = `${result.description} At the end ${files} files, ${showBytes(bytes)}, the largest ${showBytes(largestBytes)}. Trials: ${result.trials}.`;
  const later = `Later capture: ${result.laterName}.`;
  const proved = rows.map(({ tool, outcome }) => `${tool} ${outcome?.verifiedTrees ?? 0}`).join(', ');
  const tables =
    result.scenario === 'durable'
      ? [durableTable(rows), askedTable(rows)]
      : [captureTable(rows), recoverTable(rows), ratioTable(rows), warmTable(rows)];
  const parts = [
    `## ${result.title}\n`,
    `${facts} ${later}\n`,
    ...tables,
    failures(rows),
    `Restored trees compared and equal: ${proved}.\n`,
  ];
  return [...parts, `\`${result.command}\`, ${result.date.slice(0, 10)}\n`].filter((part) => part !== '').join('\n');
}
