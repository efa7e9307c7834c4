/** The section of docs/performance.md about what the sidecar costs, between two marks. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';
import { bold, databaseCosts, databasePauses, percent, throughput, turnTable } from './database-tables.mjs';

/** @typedef {import('./database-tables.mjs').Spread} Spread */

/** What was aimed at: milliseconds at p99, milliseconds of the whole, a share. */
const WANTED = { pauseMs: 20, lagMs: 500, burstMs: 5000 };
const METHOD = `*Pause*: \`--consistency=freeze\` with a checkpoint each second, from the first process that is stopped to the last that goes on, while
50 MB of one file are rewritten each second. *Lag*: from just before a file is written (it holds the moment) to the acknowledgement of
its capture, file mode. *Burst*: until all of the files are durable. *pgbench*: alone and kept by turns, beside a database that has just been made and
beside one that is several times as large. Each turn begins with the same database and with a store that has it: both are made once, and copied back and written to the disk before each turn. (In
tables of before, the turns went on with one database, which grew threefold meanwhile.) The larger one is kept while it grows, so its store has a history. What is
lost is the median of what the rounds lost, each a kept turn beside the turn alone of the same round (quartiles in brackets): turns differ by 5 % by themselves. What
misses its aim is bold. CPU is that of the sidecar, 100 % is one thread; memory its peak, with the mapped files of the application and of the
program, which are the page cache's, and without them (looked at ten times a second).`;

/** @param {Record<string, any>} parts */
function spreads({ pause, lag, postgres }) {
  const rows = /** @type {[string, Spread | undefined, number | undefined][]} */ ([
    ['pause with 50 MB dirty', pause?.pauses, WANTED.pauseMs],
    ['of it until everybody stood still', pause?.stops, undefined],
    ...databasePauses(postgres),
    ['lag at 1,000 changes/s', lag?.lags, WANTED.lagMs],
  ]);
  const body = rows.flatMap(([name, spread, wanted]) => {
    if (spread === undefined) return [];
    const p99 = bold(showMs(spread.p99), wanted !== undefined && !(spread.p99 <= wanted));
    const aim = wanted === undefined ? '–' : `p99 below ${showMs(wanted)}`;
    return [[name, showMs(spread.p50), p99, showMs(spread.max), String(spread.count), aim]];
  });
  return body.length === 0 ? [] : [table(['', 'p50', 'p99', 'longest', 'how many', 'aim'], body)];
}

/** @param {Record<string, any>} parts */
function singles({ burst, postgres }) {
  const rows = [];
  if (burst) {
    const { count, files, writingMs, completeMs } = burst;
    const durable = bold(`${showMs(completeMs)} after the first`, !(completeMs <= WANTED.burstMs && files >= count));
    rows.push([
      `a burst of ${count} new files, written in ${showMs(writingMs)}: all durable`,
      durable,
      showMs(WANTED.burstMs),
    ]);
  }
  rows.push(...throughput(postgres));
  return rows.length === 0 ? [] : [table(['', 'measured', 'aim'], rows)];
}

/** @param {Record<string, any>} parts */
function costs(parts) {
  const { postgres, ...single } = parts;
  const all = [...Object.entries(single), ...databaseCosts(postgres)];
  const rows = all.map(([name, { cpuShare, peakBytes, ownPeakBytes }]) => [
    name,
    percent(cpuShare),
    showBytes(peakBytes),
    ownPeakBytes === undefined ? '–' : showBytes(ownPeakBytes),
  ]);
  return rows.length === 0 ? [] : [table(['what the sidecar took', 'CPU', 'peak memory', 'without files'], rows)];
}

/**
 * @param {string} file
 * @param {import('../lib/measured-parts.mjs').PartResults} result
 */
export function writeSidecar(file, result) {
  const { parts } = result;
  const text = [
    '## Sidecar',
    madeBy(result, 'npm run bench:sidecar'),
    METHOD,
    ...spreads(parts),
    ...singles(parts),
    ...costs(parts),
    ...turnTable(parts.postgres),
    ...notMeasured(result),
  ].join('\n\n');
  writeSection(file, { name: 'sidecar', program: 'bench/sidecar/run-sidecar.mjs', text });
}
