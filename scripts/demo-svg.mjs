/**
 * Draws docs/images/demo.svg: a terminal in which `npm run demo` runs, from a real run of it with its real output and
 * times (waits are cut to a second and a half). Without animation, or for who wants none, it shows the end.
 *
 *   npm run docs:demo
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { svgText } from '../bench/lib/figures.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'docs', 'images', 'demo.svg');

const ROWS = 34;
const COLUMNS = 116;
const CELL = { width: 7.8, height: 18 };
const EDGE = { left: 18, top: 46, bottom: 16 };
const WAIT_MAX_MS = 1500;
const LAST_WAIT_MS = 400;
/** Lines of the timeline, of which the run prints more than a picture has room for. */
const TIMELINE_LINES = 9;
/** Select Graphic Rendition: the codes that the program uses, as classes of the drawing. */
const CLASSES = new Map([
  [1, 'b'],
  [2, 'd'],
  [31, 'r'],
  [32, 'g'],
  [33, 'y'],
  [34, 'u'],
  [36, 'c'],
]);
/** Codes that end one of them. */
const ENDS = new Set([0, 22, 39]);

/** Lines of the run with the milliseconds at which they came. */
async function record() {
  const env = { ...process.env, FORCE_COLOR: '1' };
  delete env.NO_COLOR;
  const stdio = ['ignore', 'pipe', 'inherit'];
  const demo = spawn(process.execPath, [join(root, 'scripts', 'demo.mjs'), '--seconds=6'], { cwd: root, env, stdio });
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  const lines = [{ text: '$ npm run demo', atMs: 0 }];
  let beforeMs = performance.now();
  let atMs = 600;
  for await (const text of createInterface({ input: demo.stdout })) {
    const nowMs = performance.now();
    atMs += Math.min(nowMs - beforeMs, WAIT_MAX_MS);
    beforeMs = nowMs;
    // Where this machine keeps the project is nobody's business.
    lines.push({ text: text.replaceAll(`${root}/`, ''), atMs: Math.round(atMs) });
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the demo failed (exit code ${code})`);
  const timeline = lines.findIndex(({ text }) => text.includes('timeline --store'));
  return lines.slice(0, timeline < 0 ? undefined : timeline + 2 + TIMELINE_LINES);
}

/** A line as pieces of one colour each, at their columns. */
function pieces(text) {
  const found = [];
  let column = 0;
  let name = '';
  for (const part of text.split(/(\x1b\[\d*m)/)) {
    const code = /^\x1b\[(\d*)m$/.exec(part);
    if (code) name = ENDS.has(Number(code[1])) ? '' : (CLASSES.get(Number(code[1])) ?? name);
    else if (part !== '') {
      const room = [...part].slice(0, Math.max(0, COLUMNS - column)).join('');
      if (room.trim() !== '') found.push({ text: room, column, name });
      column += [...part].length;
    }
  }
  return found;
}

function drawLine({ text, atMs }, row) {
  const spans = pieces(text).map(({ text, column, name }) => {
    const x = (EDGE.left + column * CELL.width).toFixed(1);
    const length = ([...text].length * CELL.width).toFixed(1);
    return `<tspan x="${x}" textLength="${length}"${name === '' ? '' : ` class="${name}"`}>${svgText(text)}</tspan>`;
  });
  if (spans.length === 0) return '';
  const y = EDGE.top + (row + 0.75) * CELL.height;
  return `<text y="${y}" style="animation-duration:${atMs}ms">${spans.join('')}</text>\n`;
}

/** Key frames that keep the newest line in sight. */
function scrolling(lines, totalMs) {
  const frames = new Map([['0%', 0]]);
  for (const [row, { atMs }] of lines.entries()) {
    if (row >= ROWS) frames.set(`${((100 * atMs) / totalMs).toFixed(3)}%`, (row - ROWS + 1) * CELL.height);
  }
  return [...frames].map(([share, up]) => `${share}{transform:translateY(-${up}px)}`).join('');
}

function draw(lines) {
  const totalMs = (lines.at(-1)?.atMs ?? 0) + LAST_WAIT_MS;
  const width = Math.ceil(COLUMNS * CELL.width + 2 * EDGE.left);
  const inside = ROWS * CELL.height;
  const height = inside + EDGE.top + EDGE.bottom;
  const end = Math.max(0, lines.length - ROWS) * CELL.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A terminal: npm run demo kills an application and its sidecar, deletes the state, and gets it back">
<style>
text{font:13px ui-monospace,"SF Mono","DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#d6dedb;white-space:pre;animation:later 0s step-end}
#all{transform:translateY(-${end}px);animation:scroll ${totalMs}ms step-end}
.b{font-weight:600;fill:#fff}.d{fill:#82908b}.r{fill:#f08a80}.g{fill:#7fd39a}.y{fill:#e6c06a}.u{fill:#7fa8e8}.c{fill:#7fd6d2}
@keyframes later{from,to{visibility:hidden}}
@keyframes scroll{${scrolling(lines, totalMs)}}
@media (prefers-reduced-motion:reduce){text,#all{animation:none}}
</style>
<rect width="${width}" height="${height}" rx="10" fill="#12201d"/>
<g fill="#35504a"><circle cx="22" cy="22" r="6"/><circle cx="42" cy="22" r="6"/><circle cx="62" cy="22" r="6"/></g>
<clipPath id="screen"><rect x="0" y="${EDGE.top - 4}" width="${width}" height="${inside + 8}"/></clipPath>
<g clip-path="url(#screen)"><g id="all">
${lines.map(drawLine).join('')}</g></g>
</svg>
`;
}

writeFileSync(target, draw(await record()));
