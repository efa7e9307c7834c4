/**
 * One table beside all peers, by scenario, put together from the results of the programs that measured them. Rows of a program
 * whose results are not here (they are no part of the repository) stay as the document has them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { showBytes, showMs, table } from './figures.mjs';
import { summarise, verifiedRow } from './summary.mjs';

/** @typedef {import('./targets.mjs').Results} Results */

const NONE = '–';
const HEAD = ['scenario', 'DiffKeeper', 'restic', 'borg', 'rsync', 'zstd', 'xdelta3', 'bsdiff', 'command'];
const COMMANDS = { main: '`npm run bench`', deltas: '`npm run bench:delta`', transport: '`npm run bench:transport`' };
const TITLE = '## Beside its peers, by scenario';
const INTRODUCTION = `What each tool does of the job; "–" where it does not do it, was not run, or what it brought back was not right. Deltas are those of
the quickest settings: \`fast\`, \`zstd -3 --patch-from\`, \`xdelta3 -1\`, bsdiff (it has one); under rsync stands rdiff, its algorithm for files.
Times are those of whole processes, the start of ours (Node) included; details, other settings and versions are in the sections below.`;

/** @param {Partial<Record<string, string>>} cells by name of the column @returns {string[]} */
const row = (cells) => HEAD.map((name) => cells[name] ?? NONE);

/** Of what is there, the parts that are, in one cell. @param {readonly string[]} parts */
const joined = (...parts) => {
  const known = parts.filter((part) => part !== NONE);
  return known.length === 0 ? NONE : known.join(', ');
};

/** @param {Results} results */
function mainRows(results) {
  const columns = /** @type {const} */ ({ DiffKeeper: 'diffkeeper', restic: 'restic', borg: 'borg' });
  return [...results.values()].flatMap((result) => {
    const summary = summarise(result);
    const line = (
      /** @type {string} */ scenario,
      /** @type {(row: import('./summary.mjs').Row) => string} */ figure,
    ) => {
      const cells = Object.entries(columns).map(([column, tool]) => {
        const found = verifiedRow(summary, tool);
        return [column, found === undefined ? NONE : figure(found)];
      });
      return row({ scenario, ...Object.fromEntries(cells), command: COMMANDS.main });
    };
    if (result.scenario === 'durable')
      return [line(`${result.title}, until it is durable`, ({ durable }) => showMs(durable.wallMs))];
    return [
      line(`${result.title}: first capture`, ({ first }) => joined(showMs(first.wallMs), showBytes(first.bytes))),
      line(`${result.title}: later capture`, ({ later }) => joined(showMs(later.wallMs), showBytes(later.bytesMedian))),
      line(`${result.title}: full recover`, ({ recover }) => showMs(recover.wallMs)),
    ];
  });
}

/** @param {import('../delta/delta-section.mjs').DeltaResult} result */
function deltaRows({ pairs }) {
  const columns = {
    DiffKeeper: 'diffkeeper fast',
    rsync: 'rdiff',
    zstd: 'zstd -3',
    xdelta3: 'xdelta3 -1',
    bsdiff: 'bsdiff',
  };
  return pairs
    .filter(({ failed }) => failed === undefined)
    .map(({ name, what, targetBytes, tools }) => {
      const cells = Object.entries(columns).map(([column, tool]) => {
        const found = tools[tool];
        if (!found?.verified) return [column, NONE];
        return [column, joined(showMs(found.diff.wallMs), showBytes(found.deltaBytes))];
      });
      const scenario = `Delta of ${showBytes(targetBytes)}, ${name}: ${what}`;
      return row({ scenario, ...Object.fromEntries(cells), command: COMMANDS.deltas });
    });
}

/** @param {import('./measured-parts.mjs').PartResults} result */
function transportRows({ parts }) {
  const jobs = [
    { part: 'files', scenario: 'A file of SIZE to another process', ours: 'diffkeeper send', rsync: 'rsync -W' },
    {
      part: 'changed',
      scenario: 'A state of SIZE, 1 % of the pages changed',
      ours: 'diffkeeper, state delta',
      rsync: 'rsync --inplace',
    },
  ];
  return jobs.flatMap(({ part, scenario, ours, rsync }) => {
    const found = parts[part];
    if (found === undefined) return [];
    const cell = (/** @type {string} */ name) => {
      const one = found.rows[name];
      return one === undefined ? NONE : joined(showMs(one.seconds * 1000), showBytes(one.sentBytes));
    };
    const named = scenario.replace('SIZE', showBytes(found.bytes));
    return [row({ scenario: named, DiffKeeper: cell(ours), rsync: cell(rsync), command: COMMANDS.transport })];
  });
}

/**
 * Rows of one program as the document has them.
 * @param {string} before
 * @param {string} command
 */
function keptRows(before, command) {
  const section = before.split(TITLE)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.endsWith(` | ${command} |`))
    .map((line) => line.slice(2, -2).split(' | '));
}

/**
 * @param {Results} results of the main job
 * @param {string} folder where the results of the other programs are, if they are
 * @param {string} before the document as it is
 */
export function peersTable(results, folder, before) {
  const from = (/** @type {'deltas' | 'transport'} */ name, /** @type {(result: any) => string[][]} */ rowsOf) => {
    const file = join(folder, `${name}.json`);
    return existsSync(file) ? rowsOf(JSON.parse(readFileSync(file, 'utf8'))) : keptRows(before, COMMANDS[name]);
  };
  const main = results.size > 0 ? mainRows(results) : keptRows(before, COMMANDS.main);
  const rows = [...main, ...from('deltas', deltaRows), ...from('transport', transportRows)];
  return `${TITLE}\n\n${INTRODUCTION}\n\n${table(HEAD, rows)}`;
}

/**
 * The document with this table in place of the one it has. Throws when it has none.
 * @param {string} text
 * @param {string} peers
 */
export function withPeersTable(text, peers) {
  const start = text.indexOf(TITLE);
  const end = text.indexOf('\n## ', start);
  if (start < 0 || end < 0) throw new Error(`the document has no "${TITLE}"`);
  return `${text.slice(0, start)}${peers.trimEnd()}\n${text.slice(end)}`;
}
