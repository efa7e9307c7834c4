/**
 * Makes docs/performance.md, and the short table of the README, from the results of `node bench/run.mjs`; the table beside all
 * peers takes those of bench:delta and bench:transport as well. Sections of other programs stay as they are. From results of less
 * than full size the README gets nothing.
 *
 *   node bench/report.mjs [--results bench/results] [--out docs/performance.md] [--no-readme]
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { deltaSection, keptSection } from './delta/delta-section.mjs';
import { sectionOf } from './lib/marked-section.mjs';
import { peersTable } from './lib/peers-table.mjs';
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
  if (results.size === 0) throw new Error(`no results in ${folder}: run node bench/run.mjs first`);
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

/** The section about deltas: from its figures, or as the document has it when they were not taken here. */
function deltas() {
  const file = join(options.results, 'deltas.json');
  if (existsSync(file)) return deltaSection(JSON.parse(readFileSync(file, 'utf8')), options.results);
  return existsSync(options.out) ? keptSection(readFileSync(options.out, 'utf8')) : '';
}

const results = readResults(options.results);
// Sections that programs of their own make stay as they are.
const before = existsSync(options.out) ? readFileSync(options.out, 'utf8') : '';
const kept = [...before.matchAll(/^<!-- (\S+): made by /gm)]
  .map(([, name]) => name)
  .filter((name) => name !== 'deltas')
  .map((name) => sectionOf(before, name));
const peers = peersTable(results, options.results, before);
const sections = [performanceDocument(results, peers).trimEnd(), deltas(), ...kept].filter((section) => section !== '');
writeFileSync(options.out, `${sections.join('\n\n')}\n`);
if (isPartial(results)) console.error('less than full size: README.md stays as it is');
else if (!options['no-readme']) writeReadme(shortTable(results));
