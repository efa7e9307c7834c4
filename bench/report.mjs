/**
 * Makes docs/performance.md, and the short table of the README, from the results of `node bench/run.mjs`; the table beside all
 * peers takes those of bench:delta and bench:transport as well. Sections of other programs stay as they are, and what `run.mjs` measured
 * does where its results are not here. From results of less than full size the README gets nothing.
 *
 *   node bench/report.mjs [--results bench/results] [--out docs/performance.md] [--no-readme]
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { deltaSection, keptSection, replaceDeltaSection } from './delta/delta-section.mjs';
import { sectionOf } from './lib/marked-section.mjs';
import { peersTable, withPeersTable } from './lib/peers-table.mjs';
import { isPartial, performanceDocument, SCENARIO_ORDER, shortTable } from './lib/report-text.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MARKS = { start: '<!-- numbers: made by bench/report.mjs -->', end: '<!-- end of numbers -->' };

const { values: options } = parseArgs({
  options: {
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    'no-readme': { type: 'boolean', default: false },
  },
});

/** @param {string} folder */
function readResults(folder) {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  /** @type {Map<string, import('./lib/bench-types.js').ScenarioResult>} */
  const results = new Map();
  for (const scenario of SCENARIO_ORDER) {
    if (!names.includes(`${scenario}.json`)) continue;
    const result = JSON.parse(readFileSync(join(folder, `${scenario}.json`), 'utf8'));
    if (result.schema !== 1) throw new Error(`${scenario}.json has schema ${result.schema}, expected 1`);
    results.set(scenario, result);
  }
  return results;
}

/** @param {string} block */
function writeReadme(block) {
  const file = join(ROOT, 'README.md');
  const text = readFileSync(file, 'utf8');
  const start = text.indexOf(MARKS.start);
  const end = text.indexOf(MARKS.end);
  if (start < 0 || end < start) throw new Error(`README.md lacks "${MARKS.start}" and "${MARKS.end}"`);
  writeFileSync(file, text.slice(0, start + MARKS.start.length) + block + text.slice(end));
}

/** Figures of `bench:delta`, if it was run here. */
function deltaResult() {
  const file = join(options.results, 'deltas.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** Of what was measured here, everything, beside sections that programs of their own make. @param {string} before */
function wholeDocument(before) {
  const kept = [...before.matchAll(/^<!-- (\S+): made by /gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'deltas')
    .map((name) => sectionOf(before, name));
  const measured = deltaResult();
  const deltas = measured ? deltaSection(measured, options.results, before) : keptSection(before);
  const main = performanceDocument(results, peersTable(results, options.results, before));
  return `${[main.trimEnd(), deltas, ...kept].filter((section) => section !== '').join('\n\n')}\n`;
}

const results = readResults(options.results);
const before = existsSync(options.out) ? readFileSync(options.out, 'utf8') : '';
if (results.size > 0) {
  writeFileSync(options.out, wholeDocument(before));
  if (isPartial(results)) console.error('less than full size: README.md stays as it is');
  else if (!options['no-readme']) writeReadme(shortTable(results));
} else {
  if (before === '') throw new Error(`no results in ${options.results}: run node bench/run.mjs first`);
  writeFileSync(options.out, withPeersTable(before, peersTable(results, options.results, before)));
  const deltas = deltaResult();
  if (deltas) replaceDeltaSection(options.out, deltas, options.results);
  console.error('the main job was not measured here: its sections stay as they are, README.md stays as it is');
}
