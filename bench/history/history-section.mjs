/** The section of docs/performance.md about long histories. */
import { showBytes, showMs, showTimes, table } from '../lib/figures.mjs';
import { judged, judgedBlock } from '../lib/judged.mjs';
import { writeSection } from '../lib/marked-section.mjs';

const PROGRAM = 'bench/history/run-history.mjs';
const LIMITS = { newest: 1.2, any: 2, storage: 1.1 };
const REASONS = {
  time: 'a few milliseconds, of which the machine takes or gives some from one minute to the next; what a past version takes more is decompressing what stands before it.',
  storage:
    'a version of a small file is a blob, a record of versions and a checkpoint, each with its digest, its check and where it belongs, some 500 bytes beside a delta of 90. ' +
    '`condense` (or `--condense` while a program is kept) compresses them together, which is the row below; not in an encrypted store, whose records have nothing in common.',
};
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
const bold = (times, limit) => (times <= limit ? showTimes(times) : `**${showTimes(times)}**`);

/** @param {readonly any[]} recovers */
const slowestOf = (recovers) => recovers.reduce((one, other) => (other.wallMs > one.wallMs ? other : one));

/** @param {any} row */
function cells({ length, snapshot, newest, others, packBytes, standalone, indexBytes, captureMs }) {
  const slowest = slowestOf([newest, ...others]);
  return [
    `${length}`,
    showMs(snapshot.wallMs),
    showMs(newest.wallMs),
    bold(newest.wallMs / snapshot.wallMs, LIMITS.newest),
    showTimes(newest.cpuMs / snapshot.cpuMs),
    showMs(slowest.wallMs),
    bold(slowest.wallMs / snapshot.wallMs, LIMITS.any),
    showTimes(slowest.cpuMs / snapshot.cpuMs),
    showBytes(packBytes),
    bold(packBytes / standalone, LIMITS.storage),
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
    bold(newest.wallMs / snapshot.wallMs, LIMITS.newest),
    showMs(slowest.wallMs),
    bold(slowest.wallMs / snapshot.wallMs, LIMITS.any),
    showTimes(slowest.cpuMs / snapshot.cpuMs),
    showBytes(packBytes),
    bold(packBytes / standalone, LIMITS.storage),
    showMs(ms),
  ];
}

/**
 * What is wanted, over all rows of both kinds.
 * @param {Record<string, readonly any[]>} series
 */
function judgeHistory(series) {
  const rows = Object.entries(series).flatMap(([name, all]) =>
    all.flatMap(({ length, snapshot, newest, others, packBytes, standalone, condensed }) => {
      const of = (/** @type {string} */ title, /** @type {any} */ store) => ({
        title,
        dense: store === condensed,
        newest: store.newest.wallMs / snapshot.wallMs,
        any: slowestOf([store.newest, ...store.others]).wallMs / snapshot.wallMs,
        storage: store.packBytes / standalone,
      });
      const plain = of(`${name} ${length}`, { newest, others, packBytes });
      return condensed ? [plain, of(`${name} ${length} condensed`, condensed)] : [plain];
    }),
  );
  const target = (
    /** @type {string} */ words,
    /** @type {'newest' | 'any' | 'storage'} */ what,
    /** @type {string} */ reason,
    some = rows,
  ) => {
    const text = (/** @type {typeof rows[number]} */ row) => `${row.title} ${showTimes(row[what])}`;
    const most = some.reduce((one, other) => (other[what] > one[what] ? other : one), some[0] ?? rows[0]);
    const missed = some.filter((row) => row[what] > LIMITS[what]);
    return judged(words, some.length > 0 && most ? [`at most ${text(most)}`] : [], missed.map(text), reason);
  };
  return [
    target(`newest version: at most ${LIMITS.newest} times a plain snapshot`, 'newest', REASONS.time),
    target(`any version: at most ${LIMITS.any} times a plain snapshot`, 'any', REASONS.time),
    target(
      `storage: at most ${LIMITS.storage} times the deltas, as captures leave it`,
      'storage',
      REASONS.storage,
      rows.filter(({ dense }) => !dense),
    ),
    target(
      `storage: at most ${LIMITS.storage} times the deltas, condensed`,
      'storage',
      REASONS.storage,
      rows.filter(({ dense }) => dense),
    ),
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
    judgedBlock(judgeHistory(series)),
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
