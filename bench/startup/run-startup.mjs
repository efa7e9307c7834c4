/**
 * How soon the program is there: the single-file executable and the npm command line, beside `node -e 0` as the floor. Each
 * trial is a process of its own, the programs take turns, and what each run prints and how it ends is checked.
 *
 *   npm run build:executable
 *   npm run bench:startup [-- --quick --executable=out/diffkeeper --out=docs/performance.md --results=bench/results]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { turned } from '../lib/outcomes.mjs';
import { makeSmallState } from '../lib/small-state.mjs';
import { median, spread } from '../lib/statistics.mjs';
import { runStep, timeStep } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { inheritedEnvironment, openWorkspace } from '../lib/workspace.mjs';
import { writeStartup } from './startup-section.mjs';

const TRIALS = 20;
const QUICK_TRIALS = 2;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    executable: { type: 'string', default: join(ROOT, 'out', 'diffkeeper') },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const executable = resolve(options.executable);
if (!existsSync(executable)) throw new Error('there is no executable: npm run build:executable makes out/diffkeeper');
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const workspace = openWorkspace(tmpdir());
const environment = inheritedEnvironment(workspace);

/** @typedef {{ name: string, command: string, args: readonly string[] }} Program */
/** @typedef {{ state: string, store: string }} Kept */

/** @type {readonly Program[]} */
const PROGRAMS = [
  { name: 'executable', command: executable, args: [] },
  { name: 'npm', command: process.execPath, args: [CLI] },
];

/** @param {boolean} right @param {string} what @param {string} stdout */
function must(right, what, stdout) {
  if (!right) throw new Error(`${what} printed something else: ${JSON.stringify(stdout.slice(0, 300))}`);
}

/**
 * What is asked of a program. Each checks what came back, and may give the time until the application ran, milliseconds.
 * @type {readonly { name: string, words: (kept: Kept) => string[], check: (stdout: string, startMs: number) => number | undefined }[]}
 */
const ASKED = [
  {
    name: 'version',
    words: () => ['--version'],
    check: (stdout) => {
      must(stdout === `${version}\n`, '--version', stdout);
      return undefined;
    },
  },
  {
    name: 'capture',
    words: ({ state, store }) => ['capture', `--state-dir=${state}`, `--store=${store}`, '--json'],
    check: (stdout) => {
      const { type, checkpoint, scanned } = JSON.parse(stdout);
      must(type === 'capture' && checkpoint === null && scanned > 100, 'a capture of an unchanged directory', stdout);
      return undefined;
    },
  },
  {
    name: 'run',
    words: ({ state, store }) => [`--state-dir=${state}`, `--store=${store}`, '--', 'date', '+%s%N'],
    check: (stdout, startMs) => {
      must(/^\d{19}\n$/.test(stdout), 'the application', stdout);
      return Number(stdout) / 1e6 - startMs;
    },
  },
];

/** @typedef {{ wallMs: number, cpuMs: number, rssBytes: number, runsMs?: number }} Trial */

/** @param {readonly Trial[]} trials */
function summary(trials) {
  const walls = trials.map(({ wallMs }) => wallMs);
  const { low, high } = spread(walls);
  const untilItRan = trials.flatMap(({ runsMs }) => runsMs ?? []);
  return {
    wallMs: median(walls),
    lowMs: low,
    highMs: high,
    cpuMs: median(trials.map(({ cpuMs }) => cpuMs)),
    rssBytes: spread(trials.map(({ rssBytes }) => rssBytes)).high,
    ...(untilItRan.length === 0 ? {} : { runsMs: median(untilItRan), runsHighMs: spread(untilItRan).high }),
  };
}

/** A small directory that each program has captured already, in a store of its own. @param {Program} program */
async function keep({ name, command, args }) {
  const folder = workspace.place(name);
  const kept = { state: join(folder, 'state'), store: join(folder, 'keep') };
  makeSmallState(kept.state);
  const words = ['capture', `--state-dir=${kept.state}`, `--store=${kept.store}`];
  await runStep({ command, args: [...args, ...words] }, environment);
  return kept;
}

/** @type {Record<string, Trial[]>} */
const found = {};

/** @param {string} key @param {() => Promise<Trial>} task */
async function note(key, task) {
  found[key] ??= [];
  found[key].push(await task());
}

const trials = options.quick ? QUICK_TRIALS : TRIALS;
const kept = new Map();
for (const program of PROGRAMS) kept.set(program.name, await keep(program));
const floor = { command: process.execPath, args: ['-e', '0'] };
// One turn before those that count: the files of all programs are in the page cache then.
for (let turn = -1; turn < trials; turn += 1) {
  await note('node', async () => (await timeStep(floor, environment)).cost);
  for (const { name, words, check } of ASKED) {
    for (const { name: who, command, args } of turned(PROGRAMS, turn + 1)) {
      await note(`${who} ${name}`, async () => {
        const startMs = performance.timeOrigin + performance.now();
        const step = { command, args: [...args, ...words(kept.get(who))] };
        const { cost, stdout } = await timeStep(step, environment);
        const runsMs = check(stdout, startMs);
        return { ...cost, ...(runsMs === undefined ? {} : { runsMs }) };
      });
    }
  }
  if (turn < 0) for (const key of Object.keys(found)) found[key] = [];
}

const result = {
  schema: 1,
  quick: options.quick,
  trials,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
  starts: Object.fromEntries(Object.entries(found).map(([key, all]) => [key, summary(all)])),
};
for (const [key, { wallMs, cpuMs }] of Object.entries(result.starts)) {
  console.error(`${key}: ${wallMs.toFixed(0)} ms, CPU ${cpuMs.toFixed(0)} ms`);
}
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'startup.json'), `${JSON.stringify(result, null, 2)}\n`);
writeStartup(options.out, result);
