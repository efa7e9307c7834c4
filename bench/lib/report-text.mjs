/** The report as a whole, and the short table for the README. */
import { showBytes, showMs, table } from './figures.mjs';
import { scenarioSection } from './report-tables.mjs';
import { summarise, verifiedRow } from './summary.mjs';
import { judge } from './targets.mjs';
import { TOOLS } from './tools.mjs';

/**
 * @typedef {import('./targets.mjs').Results} Results
 * @typedef {import('./bench-types.js').ScenarioResult} ScenarioResult
 */

/** Scenarios in the order of the report. */
export const SCENARIO_ORDER = Object.freeze(['small-files', 'sqlite', 'big-file', 'noop', 'durable']);

const METHOD = `Every trial runs each tool in a process of its own: first capture, one capture for each later version, full recover of the
newest version into a fresh directory. Each version is made once, from a seed, and captured by every tool before the next
one is made; the order of the tools turns with version and trial. Wall time includes starting the program. CPU is user and
system time, and peak memory that of the largest process, as GNU time reports them. Bytes are the growth of the store: sum
of file lengths; *on disk* is the space allotted for them. Their median (of an even number the larger of the two in the middle)
is what a capture adds as a rule; the mean is the net
growth from the first version to the last, divided by the captures: it holds what databases of stores tidy up or have not
tidied up yet, which with few versions can be far more than what was added. Times are medians over all trials and versions.

- Page caches are not dropped: the state was just written or read. Before each timed step all dirty pages are written out, so
  that no tool pays for another's writes.
- Every full recover, and that of one older version, is compared with a list of path, type, mode, size and SHA-256 of
  what was captured, in the same run. A tool that fails this is marked, its figures are struck, and it enters no ratio.
- DiffKeeper, restic and borg make what they take durable before they end. git and gzip do not.
- The stores of restic, borg and git are made before the clock starts; DiffKeeper's is made within its first capture.
`;

/** @param {readonly ScenarioResult[]} list */
function machineSection(list) {
  const lines = new Map();
  for (const { machine, tools } of list) {
    for (const [name, value] of Object.entries(machine))
      lines.set(name, [...new Set([...(lines.get(name) ?? []), value])]);
    for (const [name, outcome] of Object.entries(tools)) lines.set(name, [outcome.version ?? 'not installed']);
  }
  const facts = [...lines].map(([name, values]) => `- ${name}: ${values.join('; ')}`);
  const roles = TOOLS.map(({ name, role }) => `- **${name}**: ${role}`);
  return `## Machine and tools\n\n${facts.join('\n')}\n\nHow each is used:\n\n${roles.join('\n')}\n`;
}

/** @param {Results} results */
function targetSection(results) {
  const rows = judge(results).map(({ target, where, measured, verdict, why }) => [
    target,
    where,
    measured,
    verdict === 'met' ? 'met' : `**${verdict}**${why === undefined ? '' : `: ${why}`}`,
  ]);
  const more = 'What would close those that are missed: [notes](performance-notes.md).\n';
  return `## Targets\n\n${table(['target', 'where', 'measured', 'verdict'], rows, 4)}\n${more}`;
}

/** What a quick run does without, and which scenarios are not there at all. @param {Results} results */
function quickNotes(results) {
  const absent = SCENARIO_ORDER.filter((name) => !results.has(name));
  const peers = TOOLS.filter(({ name }) => [...results.values()].every(({ tools }) => !(name in tools)));
  return [
    'Left out of this quick run: nineteen twentieths of the bytes and files, all versions behind the third, all trials but one, ' +
      'and seven of ten durable changes of a tool.',
    ...(peers.length === 0 ? [] : [`Tools left out: ${peers.map(({ name }) => name).join(', ')}.`]),
    ...(absent.length === 0 ? [] : [`Not run at all: ${absent.join(', ')}.`]),
    '`npm run bench` takes all of it; the engines stand in engines.md.\n\n',
  ].join(' ');
}

/** Some figures are of less than full size: no figures to quote. @param {Results} results */
export const isPartial = (results) => [...results.values()].some(({ scale }) => scale < 1);

/**
 * @param {Results} results
 * @param {string} peers the table beside all peers
 * @returns {string}
 */
export function performanceDocument(results, peers) {
  const list = [...results.values()];
  const warning = isPartial(results)
    ? '**Taken at less than full size, to see that everything works. Do not quote these figures.**\n\n'
    : '';
  const left = list.some(({ quick }) => quick) ? quickNotes(results) : '';
  return [
    `# Performance\n\n${warning}${left}Made by \`node bench/report.mjs\` from the results of \`node bench/run.mjs\`; \`npm run bench\` does both. No figure is\ncopied by hand.\n`,
    targetSection(results),
    peers,
    ...list.map(scenarioSection),
    `## Method\n\n${METHOD}`,
    machineSection(list),
  ].join('\n');
}

/**
 * @param {Results} results
 * @returns {string}
 */
export function shortTable(results) {
  const peers = /** @type {const} */ (['diffkeeper', 'restic', 'borg']);
  const rows = [];
  for (const result of results.values()) {
    if (result.scenario === 'durable' || result.scenario === 'noop') continue;
    const summary = summarise(result);
    const cells = (/** @type {(row: import('./summary.mjs').Row) => string} */ figure) =>
      peers.map((peer) => {
        const row = verifiedRow(summary, peer);
        return row === undefined ? '–' : figure(row);
      });
    rows.push([`**${result.title}**: ${result.laterName}`, ...cells((row) => showMs(row.later.wallMs))]);
    rows.push(['bytes added by it', ...cells((row) => showBytes(row.later.bytesMedian))]);
    rows.push([`full recover of ${showBytes(result.state.bytes)}`, ...cells((row) => showMs(row.recover.wallMs))]);
  }
  return `\n\n${table(['', 'DiffKeeper', 'restic', 'borg'], rows)}\nAll tables, the targets met and missed, machine and method: [performance](docs/performance.md); why some are missed: [notes](docs/performance-notes.md).\n\n`;
}
