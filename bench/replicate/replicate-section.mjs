/** The section of docs/performance.md about what replication sends. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { judged, judgedBlock } from '../lib/judged.mjs';
import { writeSection } from '../lib/marked-section.mjs';

const PROGRAM = 'bench/replicate/run-replicate.mjs';
const UNCHANGED_BYTES = 1_000_000;
const UNCHANGED_TURNS = 2;

/** @param {string} title @param {any} step */
function row(title, step) {
  const { blobs, recordBytes, roundTrips, sentBytes, answeredBytes, wallMs, cpuMs, rssBytes, serverRssBytes } = step;
  const traffic = [`${roundTrips}`, showBytes(sentBytes), showBytes(answeredBytes)];
  const cost = [showMs(wallMs), showMs(cpuMs), showBytes(rssBytes), showBytes(serverRssBytes)];
  return [title, `${blobs}`, showBytes(recordBytes), ...traffic, ...cost];
}

/** @param {any} result */
function sectionText({ steps, count, changed, quick, date, machine }) {
  const { everything, unchanged, few } = steps;
  const bytes = unchanged.sentBytes + unchanged.answeredBytes;
  const fits = bytes < UNCHANGED_BYTES && unchanged.roundTrips <= UNCHANGED_TURNS;
  const shown = `${showBytes(bytes)}, ${unchanged.roundTrips} round trip${unchanged.roundTrips === 1 ? '' : 's'}`;
  const target = `an unchanged store: under ${showBytes(UNCHANGED_BYTES)} and ${UNCHANGED_TURNS} round trips`;
  const head = [
    'push of',
    'blobs',
    'records',
    'questions',
    'sent',
    'back',
    'time',
    'CPU',
    'memory, giver',
    'memory, taker',
  ];
  const rows = [row('everything', everything), row('nothing changed', unchanged), row(`${changed} files changed`, few)];
  return [
    '## Replication',
    `${quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:replicate\` on ${date}; ${machine.CPU}, ${machine.engine}, ` +
      `node ${machine.node}, commit ${machine.commit}. A store of ${count} files of 100 bytes, no two alike, to another process; each ` +
      'push is a process of its own, and all bytes between the two are counted, the greeting of the session included. In the end ' +
      'both had the same checkpoints. Memory is the peak of the process; the taker is one process for all three.',
    judgedBlock([judged(target, [shown], fits ? [] : [shown])]),
    table(head, rows).trimEnd(),
  ].join('\n\n');
}

/**
 * @param {string} file
 * @param {any} result
 */
export function writeReplication(file, result) {
  writeSection(file, { name: 'replication', program: PROGRAM, text: sectionText(result) });
}
