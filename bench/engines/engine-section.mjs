/** The section of docs/performance.md about native and TypeScript engine, and its chart. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { showTimes, svgText, table } from '../lib/figures.mjs';
import { sectionOf, writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';

/** @typedef {import('../lib/measured-parts.mjs').PartResults} PartResults */

const HEAD = ['', 'input', 'native', 'TypeScript', 'native is faster', 'bytes: native / TypeScript'];
const COMMAND = 'npm run bench:engines';

/** All rows, in the order of the report. @param {PartResults} result @returns {any[]} */
const rowsOf = ({ parts }) => Object.values(parts).flatMap(({ rows }) => rows);

/** @param {number} bytes @param {number} ms */
const megabytes = (bytes, ms) => bytes / ms / 1000;

/** @param {number} value */
function rate(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} GB/s`;
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} MB/s`;
}

/** @param {any} row */
function cells({ name, size, bytes, native, typescript }) {
  const ours = megabytes(bytes, native.ms);
  const twin = typescript ? megabytes(bytes, typescript.ms) : undefined;
  const sizes = [native.size, typescript?.size].filter((one) => one !== undefined);
  return [
    name,
    size,
    rate(ours),
    twin === undefined ? 'over 20 s' : rate(twin),
    twin === undefined ? '' : showTimes(ours / twin),
    sizes.length === 0 ? '' : sizes.map((one) => one.toLocaleString('en-US')).join(' / '),
  ];
}

/** The size that is drawn; a quick run has one only. @param {PartResults} result @returns {string} */
const drawnSize = (result) => (result.quick ? rowsOf(result)[0]?.size : '4 MB');

/**
 * Of each row, whether both engines were measured: from results, or from a document that has the table.
 * @param {PartResults | string} from
 * @returns {{ name: string, both: boolean }[]}
 */
export function comparedRows(from) {
  if (typeof from !== 'string')
    return rowsOf(from).map(({ name, typescript }) => ({ name, both: typescript !== undefined }));
  const isRate = (/** @type {string} */ cell) => / [MG]B\/s$/.test(cell);
  return sectionOf(from, 'engines')
    .split('\n')
    .map((line) => line.slice(2).split(' | '))
    .filter(([, , native = '']) => isRate(native))
    .map(([name = '', , , typescript = '']) => ({ name, both: isRate(typescript) }));
}

/** One row for each engine or hash and size. @param {PartResults} result */
export const engineTable = (result) => table(HEAD, rowsOf(result).map(cells), 2);

/**
 * Bars on a logarithmic scale, one pair for each job at the middle size.
 * @param {PartResults} result
 */
export function chart(result) {
  const { machine, date } = result;
  const size = drawnSize(result);
  const shown = rowsOf(result).filter((/** @type {any} */ row) => row.size === size && row.typescript);
  const [left, width, line] = [120, 480, 26];
  const [low, high] = [0, 5];
  const x = (/** @type {number} */ value) =>
    (Math.min(high, Math.max(low, Math.log10(Math.max(value, 1)))) - low) * (width / (high - low));
  const height = 70 + shown.length * line + 30;
  const bar = (/** @type {number} */ y, /** @type {number} */ value, /** @type {string} */ kind) =>
    `<rect class="${kind}" x="${left}" y="${y}" width="${x(value).toFixed(1)}" height="9" rx="1.5"/>` +
    `<text class="n" x="${(left + x(value) + 4).toFixed(1)}" y="${y + 8}">${rate(value)}</text>`;
  const marks = [1, 10, 100, 1000, 10_000, 100_000]
    .map((value) => {
      const at = (left + x(value)).toFixed(1);
      return `<line x1="${at}" x2="${at}" y1="50" y2="${height - 30}"/><text class="n" text-anchor="middle" x="${at}" y="46">${rate(value)}</text>`;
    })
    .join('');
  const bars = shown
    .map((/** @type {any} */ row, /** @type {number} */ index) => {
      const y = 58 + index * line;
      return `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${svgText(row.name)}</text>${bar(y, megabytes(row.bytes, row.native.ms), 'a')}${bar(y + 11, megabytes(row.bytes, row.typescript.ms), 'b')}`;
    })
    .join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 90} ${height}" role="img" aria-label="Throughput of the native and the TypeScript engine on ${size}">
<style>text{font:12px system-ui,sans-serif;fill:#1f2933}.n{font-size:9px;fill:#616e7c}.a{fill:#0b7285}.b{fill:#e8a33d}line{stroke:#cbd2d9;stroke-width:.6}rect.bg{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.n{fill:#9aa5b1}line{stroke:#3e4c59}rect.bg{fill:#12181f}}</style>
<rect class="bg" width="100%" height="100%"/>
<text x="12" y="20" font-weight="600">Native and TypeScript engine, ${size} inputs</text>
<rect class="a" x="420" y="11" width="10" height="9"/><text x="434" y="20">native</text><rect class="b" x="500" y="11" width="10" height="9"/><text x="514" y="20">TypeScript</text>
${marks}
${bars}
<text class="n" x="12" y="${height - 10}">${svgText(`${COMMAND}; ${date}; ${machine.CPU}; ${machine.engine}; node ${machine.node}; commit ${machine.commit}`)}</text>
</svg>
`;
}

/**
 * Writes the section into a document, and the chart beside it.
 * @param {string} file
 * @param {PartResults} result
 */
export function writeEngines(file, result) {
  const image = join(dirname(file), 'images', 'engines.svg');
  mkdirSync(dirname(image), { recursive: true });
  writeFileSync(image, chart(result));
  const { parts, quick } = result;
  const left = quick
    ? '\n\nLeft out of this quick run: inputs of 64 KB, 4 MB and 64 MB (1 MB stands for them), all trials but one.'
    : '';
  const trials = [...new Set(Object.values(parts).map((one) => one.trials))].join(' or ');
  const missing = notMeasured(result).map((line) => `\n\n${line}`);
  const text = `## Native and TypeScript engine

${madeBy(result, COMMAND)} Medians, trials: ${trials}.${left}

Seeded inputs: words of which 1 % of the pages are rewritten and a line is inserted; for xor and tensor, 32-bit floats before and
after a small step. Each trial is a process of its own, the engines alternate; what every patch makes and every hash is compared in the
same run, between the engines, too. Rates are bytes of the target by wall time of the call, on all threads it uses.

![Throughput on ${drawnSize(result)}](${join('images', basename(image))})

${engineTable(result)}${missing.join('')}`;
  writeSection(file, { name: 'engines', program: 'bench/engines/run-engines.mjs', text });
}
