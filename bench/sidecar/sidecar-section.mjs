/** The section of docs/performance.md about what the sidecar costs, between two marks. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';

/** What was aimed at: milliseconds at p99, milliseconds of the whole, a share. */
const WANTED = { pauseMs: 20, lagMs: 500, burstMs: 5000, lostShare: 0.05 };
const METHOD = `*Pause*: \`--consistency=freeze\` with a checkpoint each second, from the first process that is stopped to the last that goes on, while
50 MB of one file are rewritten each second. *Lag*: from just before a file is written (it holds the moment) to the acknowledgement of
its capture, file mode. *Burst*: until all of the files are durable. *pgbench*: alone and kept by turns, each first in one of three rounds, since the database grows. What
misses its aim is bold. CPU is that of the sidecar, 100 % is one thread; memory its peak, with the mapped files of the application and of the
program, which are the page cache's, and without them (looked at ten times a second).`;

/** @param {string} text @param {boolean} isMissed */
const bold = (text, isMissed) => (isMissed ? `**${text}**` : text);
const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(1)} %`;

/** @typedef {{ count: number, p50: number, p99: number, max: number }} Spread */

/** @param {Record<string, any>} parts */
function spreads({ pause, lag, postgres }) {
  const rows = /** @type {[string, Spread | undefined, number | undefined][]} */ ([
    ['pause with 50 MB dirty', pause?.pauses, WANTED.pauseMs],
    ['of it until everybody stood still', pause?.stops, undefined],
    ['pause of PostgreSQL under pgbench', postgres?.pauses, undefined],
    ['of it until everybody stood still', postgres?.stops, undefined],
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

const median = (/** @type {number[]} */ values) =>
  [...values].sort((one, other) => one - other)[values.length >> 1] ?? 0;

/**
 * What the database lost: with a checkpoint each second, and with a limit of what they cost; in whole turns, and without
 * their beginnings.
 * @param {{ seconds: number, beginningMs: number, overhead: number, turns: Record<string, Record<string, number[]>> }} transactions
 */
function throughput({ seconds, beginningMs, overhead, turns }) {
  const parts = /** @type {const} */ ([
    ['whole', `turns of ${seconds} s`],
    ['steady', `after the first ${beginningMs / 1000} s of them`],
  ]);
  const keepers = { kept: 'a checkpoint each second', limited: `\`--max-overhead=${overhead}%\`` };
  return Object.entries(keepers).flatMap(([keeper, how]) =>
    parts.map(([part, when]) => {
      const [alone, kept] = [median(turns.alone?.[part] ?? []), median(turns[keeper]?.[part] ?? [])];
      const lost = 1 - kept / alone;
      const apart = seconds / median(turns[keeper]?.checkpoints ?? []);
      const text = `${alone.toFixed(0)} alone, ${kept.toFixed(0)} kept: ${percent(lost)} lost`;
      const name = `pgbench, transactions/s, ${how} (${apart.toFixed(1)} s apart), ${when}, medians of ${turns[keeper]?.[part]?.length}`;
      return [name, bold(text, !(lost <= WANTED.lostShare)), `at most ${percent(WANTED.lostShare)} lost`];
    }),
  );
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
  if (postgres) rows.push(...throughput(postgres.transactions));
  return rows.length === 0 ? [] : [table(['', 'measured', 'aim'], rows)];
}

/** @param {Record<string, any>} parts */
function costs(parts) {
  const rows = Object.entries(parts).map(([name, { cpuShare, peakBytes, ownPeakBytes }]) => [
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
    ...notMeasured(result),
  ].join('\n\n');
  writeSection(file, { name: 'sidecar', program: 'bench/sidecar/run-sidecar.mjs', text });
}
