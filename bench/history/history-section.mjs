/** The section of docs/performance.md about long histories. */
import { showBytes, showMs, showTimes, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';

const PROGRAM = 'bench/history/run-history.mjs';
const LIMITS = { newest: 1.2, any: 2, storage: 1.1 };
const HEAD = [
  'versions',
  'plain snapshot',
  'newest',
  '',
  'CPU',
  'slowest of all',
  '',
  'CPU',
  'stored',
  'against deltas',
  'index per version',
  'capture',
];

/** @param {number} times @param {number} limit */
const judged = (times, limit) => (times <= limit ? showTimes(times) : `**${showTimes(times)}**`);

/** @param {readonly any[]} recovers */
const slowestOf = (recovers) => recovers.reduce((one, other) => (other.wallMs > one.wallMs ? other : one));

/** @param {any} row */
function cells({ length, snapshot, newest, others, packBytes, standalone, indexBytes, captureMs }) {
  const slowest = slowestOf([newest, ...others]);
  return [
    `${length}`,
    showMs(snapshot.wallMs),
    showMs(newest.wallMs),
    judged(newest.wallMs / snapshot.wallMs, LIMITS.newest),
    showTimes(newest.cpuMs / snapshot.cpuMs),
    showMs(slowest.wallMs),
    judged(slowest.wallMs / snapshot.wallMs, LIMITS.any),
    showTimes(slowest.cpuMs / snapshot.cpuMs),
    showBytes(packBytes),
    judged(packBytes / standalone, LIMITS.storage),
    showBytes(indexBytes),
    showMs(captureMs),
  ];
}

const CONDENSED_HEAD = [
  'versions',
  'newest',
  '',
  'slowest of all',
  '',
  'CPU',
  'stored',
  'against deltas',
  'condensing',
];

/** @param {any} row */
function condensedCells({ length, snapshot, standalone, condensed }) {
  const { newest, others, packBytes, ms } = condensed;
  const slowest = slowestOf([newest, ...others]);
  return [
    `${length}`,
    showMs(newest.wallMs),
    judged(newest.wallMs / snapshot.wallMs, LIMITS.newest),
    showMs(slowest.wallMs),
    judged(slowest.wallMs / snapshot.wallMs, LIMITS.any),
    showTimes(slowest.cpuMs / snapshot.cpuMs),
    showBytes(packBytes),
    judged(packBytes / standalone, LIMITS.storage),
    showMs(ms),
  ];
}

/** @param {Record<string, readonly any[]>} series */
const trialsOf = (series) =>
  Object.entries(series)
    .map(([name, rows]) => `${rows[0].trials} of ${name}`)
    .join(', ');

/** @param {any} result */
function sectionText(result) {
  const { series, quick, date, machine, megabytes } = result;
  const titles = {
    pages: `A file of ${megabytes} MiB of random bytes; each version replaces 1 % of its 4 KiB pages, at random`,
    config: 'A configuration of 200 lines, about 10 KB; each version changes two lines',
  };
  const blocks = [
    '## Long histories',
    `${quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:history\` on ${date}; ${machine.CPU}, ${machine.engine}, ` +
      `node ${machine.node}, commit ${machine.commit}. Medians of trials (${trialsOf(series)}), each a process of its own with a ` +
      'fresh target; those of a row by turns, all of them once before one is taken again. The store is in the page cache, what came back was compared.',
    '*plain snapshot*: recover of the same state from a store that has nothing else; *slowest of all*: the slowest of versions spread ' +
      'over the history; *against deltas*: all packs against the first version and one delta file per later version (by `diff`, ' +
      `sampled); *index*: LevelDB's bytes on disk; *condensing*: the whole of the command, once. Limits: newest ${LIMITS.newest}×, any ${LIMITS.any}×, storage ${LIMITS.storage}×; what ` +
      'misses them is bold.',
  ];
  for (const [name, rows] of Object.entries(series)) {
    const title = titles[/** @type {keyof typeof titles} */ (name)];
    blocks.push(`**${title}**`, table(HEAD, /** @type {any[]} */ (rows).map(cells)).trimEnd());
    const dense = /** @type {any[]} */ (rows).filter(({ condensed }) => condensed);
    if (dense.length === 0) continue;
    blocks.push('The same stores after `condense` (a copy of each; the limits are the same):');
    blocks.push(table(CONDENSED_HEAD, dense.map(condensedCells)).trimEnd());
  }
  return blocks.join('\n\n');
}

/**
 * @param {string} file
 * @param {object} result
 */
export function writeHistory(file, result) {
  writeSection(file, { name: 'history', program: PROGRAM, text: sectionText(result) });
}
