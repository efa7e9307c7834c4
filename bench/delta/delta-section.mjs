// The section of docs/performance.md about deltas, made from bench/results/deltas.json, and its place in the document.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { comparedRows } from '../engines/engine-section.mjs';
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { reasonsOf } from './delta-reasons.mjs';
import { judgeDeltas } from './delta-targets.mjs';

const MARKS = { start: '<!-- deltas: made by bench/delta/compare.mjs -->', end: '<!-- end of deltas -->' };
const HEAD = [
  'tool',
  'delta',
  'of target',
  'diff',
  'its call',
  'CPU',
  'patch',
  'its call',
  'CPU',
  'memory: diff',
  'patch',
  'round trip',
];
const METHOD = `Each trial runs each tool in a process of its own, one after the other, the order turning from trial to trial; figures are
medians, and what takes longer than 3 s is measured once. Dirty pages are written out before each diff; the files are in the
page cache. *diff* and *patch* are the wall time of the whole process, its start and its reading and writing of files included;
*its call* is what the library's call takes in a process that runs, of ours alone: BLAKE3 of source and target included, start of
Node and file access not. CPU is user and system time and memory the peak of the process, as GNU time has them. The result of
every patch is compared by SHA-256. zstd runs with \`--patch-from --long=31\`, xdelta3 with \`-B 2000000000\`, rdiff with its defaults,
its signature counted in. \`bsdiff-node\` and \`fossil-delta\` are the npm packages for deltas of any bytes both ways that were found
to build; each runs in a process of Node. \`diffkeeper\` is \`diff\` and \`patch\` of the library with the named \`effort\` and the engine that \`auto\` took.`;

/**
 * @typedef {object} Tool
 * @property {string} [skipped]
 * @property {number} deltaBytes
 * @property {string} [engine]
 * @property {{ wallMs: number, cpuMs: number, rssBytes: number, callMs?: number, callCpuMs?: number }} diff
 * @property {{ wallMs: number, cpuMs: number, rssBytes: number, callMs?: number, callCpuMs?: number }} patch
 * @property {boolean} verified
 *
 * @typedef {object} PairResult
 * @property {string} name
 * @property {string} what
 * @property {string} change
 * @property {string} [failed]
 * @property {number} sourceBytes
 * @property {number} targetBytes
 * @property {Record<string, Tool>} tools
 * @property {string} [commit] that the figures are of, where pairs were taken at different ones
 *
 * @typedef {object} DeltaResult
 * @property {boolean} quick
 * @property {number} trials
 * @property {string} date
 * @property {string} command
 * @property {Record<string, string>} machine
 * @property {Record<string, string>} versions
 * @property {readonly PairResult[]} pairs
 */

/** @param {PairResult} pair */
function pairTable(pair) {
  if (pair.failed !== undefined) return `### ${pair.name}: ${pair.what}\n\nNot made: ${pair.failed}\n`;
  const rows = Object.entries(pair.tools).map(([name, tool]) => {
    if (tool.skipped !== undefined) return [name, tool.skipped, ...Array(HEAD.length - 2).fill('–')];
    const shown = tool.engine === undefined ? name : `${name} (${tool.engine})`;
    if (!tool.verified) return [shown, '**wrong result**', ...Array(HEAD.length - 2).fill('–')];
    const share = `${((100 * tool.deltaBytes) / pair.targetBytes).toPrecision(3)} %`;
    const side = (/** @type {Tool['diff']} */ { wallMs, callMs, cpuMs }) => [
      showMs(wallMs),
      showMs(callMs ?? Number.NaN),
      showMs(cpuMs),
    ];
    const memory = [tool.diff.rssBytes, tool.patch.rssBytes].map(showBytes);
    return [shown, String(tool.deltaBytes), share, ...side(tool.diff), ...side(tool.patch), ...memory, 'verified'];
  });
  const commit = pair.commit === undefined ? '' : `; commit ${pair.commit}`;
  const sizes = `${showBytes(pair.sourceBytes)} to ${showBytes(pair.targetBytes)}, ${pair.change}${commit}`;
  return `### ${pair.name}: ${pair.what}\n\n${sizes}.\n\n${table(HEAD, rows)}`;
}

/** A result that another program left in the folder. @param {string} folder @param {string} name */
function leftBeside(folder, name) {
  const file = join(folder, name);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/**
 * @param {DeltaResult} result
 * @param {string} folder of the results: what `large-files.mjs` and `run-engines.mjs` measured is judged, too
 * @param {string} [before] the document, whose table of the engines counts where there are no results of them
 */
export function deltaSection(result, folder, before = '') {
  const warning = result.quick
    ? '**Taken at less than full size, to see that everything works. Do not quote these figures.**\n\n'
    : '';
  const made = `Made by \`${result.command}\` (\`npm run bench:delta\`) on ${result.date.slice(0, 10)}, at most ${result.trials} trials.`;
  const beside = {
    large: leftBeside(folder, 'large-pair.json'),
    engines: comparedRows(leftBeside(folder, 'engines.json') ?? before),
  };
  const judged = judgeDeltas(result.pairs, beside);
  const rows = judged.map(({ target, measured, verdict }) => [
    target,
    measured,
    verdict === 'met' ? 'met' : `**${verdict}**`,
  ]);
  const reasons = reasonsOf(judged);
  const facts = [...Object.entries(result.machine), ...Object.entries(result.versions)];
  return [
    MARKS.start,
    `## Deltas of two files\n\n${warning}${made}\n`,
    table(['target', 'measured', 'verdict'], rows, 3),
    ...(reasons.length === 0
      ? []
      : [`### Missed: by how much, why, and what would close it\n\n${reasons.join('\n')}\n`]),
    ...result.pairs.map(pairTable),
    `### How the deltas were measured\n\n${METHOD}\n`,
    `${facts.map(([name, value]) => `- ${name}: ${value}`).join('\n')}\n`,
    MARKS.end,
  ].join('\n');
}

/**
 * The section as a document has it, marks included; empty where it has none.
 * @param {string} text
 */
export function keptSection(text) {
  const start = text.indexOf(MARKS.start);
  const end = text.indexOf(MARKS.end);
  return start < 0 || end < start ? '' : text.slice(start, end + MARKS.end.length);
}

/**
 * Writes the section into the document, in its old place, or at the end.
 * @param {string} file
 * @param {DeltaResult} result
 * @param {string} folder of the results
 */
export function replaceDeltaSection(file, result, folder) {
  const text = readFileSync(file, 'utf8');
  const old = keptSection(text);
  const section = deltaSection(result, folder, text);
  writeFileSync(file, old === '' ? `${text.trimEnd()}\n\n${section}\n` : text.replace(old, () => section));
}
