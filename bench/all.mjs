#!/usr/bin/env node
/**
 * The benchmark that a visitor runs: the main job beside its peers, every engine native and in TypeScript, and the report.
 * A part that fails, or a run that is stopped, leaves the report of all that was measured; the exit code tells.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const QUICK_RESULTS = 'bench/results/quick';
/** Peers and scenarios of other programs, each with a section of its own in docs/performance.md. */
const OTHERS = [
  'delta/compare',
  'state/run-states',
  'transport/run-transport',
  'recovery/run-recovery',
  'history/run-history',
  'large/run-large',
  'replicate/run-replicate',
  'sidecar/run-sidecar',
  'startup/run-startup',
];
const HELP = `npm run bench [-- options]

  --quick        small sizes, few versions and one trial, in about a minute and a half, to see that everything works and how it
                 is done; the report goes to ${QUICK_RESULTS} and says what was left out
  --all          the others as well, whose tables are in docs/performance.md: ${OTHERS.map((name) => name.split('/')[0]).join(', ')}; takes hours.
                 encryption and migration print theirs: npm run bench:encryption, bench:migration
  --results DIR  where the figures of this run go (bench/results)
  --out FILE     the report (docs/performance.md); another one than that leaves README.md as it is

Other options go to bench/run.mjs, the main job alone: --scenario, --tools, --trials, --scale, --dir, --json.
`;

/** Our own options; what else there is goes on as it came. */
const { values, tokens } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    results: { type: 'string' },
    out: { type: 'string' },
  },
  strict: false,
  allowPositionals: true,
  tokens: true,
});
const OWN = ['all', 'help', 'results', 'out'];
const rest = tokens.flatMap((token) => {
  if (token.kind !== 'option') return token.kind === 'positional' ? [token.value] : [];
  if (OWN.includes(token.name)) return [];
  return [token.inlineValue ? `${token.rawName}=${token.value}` : token.rawName];
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const { quick, all } = values;
const results = String(values.results ?? (quick ? QUICK_RESULTS : 'bench/results'));
const out = String(values.out ?? (quick ? `${results}/performance.md` : 'docs/performance.md'));

let stopped = 0;
let worst = 0;
// A terminal sends SIGINT to the programs, too; they end, and what they had measured is reported.
process.on('SIGINT', () => {
  stopped = 130;
});
process.on('SIGTERM', () => {
  stopped = 143;
  child?.kill('SIGTERM');
});

/** @type {import('node:child_process').ChildProcess | undefined} */
let child;

/** @param {string} program @param {readonly string[]} args @returns {Promise<number>} */
function run(program, args) {
  return new Promise((resolve, reject) => {
    child = spawn(process.execPath, [join('bench', program), ...args], { cwd: ROOT, stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code) => {
      child = undefined;
      worst = Math.max(worst, code ?? 1);
      resolve(code ?? 1);
    });
  });
}

/** Unless the run was stopped. @param {string} program @param {readonly string[]} args */
const measure = (program, args) => (stopped ? Promise.resolve(stopped) : run(program, args));

// Figures of an earlier run are no part of a quick report; a directory that somebody named is left alone.
if (quick && values.results === undefined) rmSync(join(ROOT, results), { recursive: true, force: true });
// Options that are no options: nothing was measured, and nothing is.
if ((await measure('run.mjs', [...rest, `--results=${results}`])) === 2) process.exit(2);
const engines = quick ? ['--quick'] : [`--out=${out}`];
await measure('engines/run-engines.mjs', [...engines, `--results=${results}`]);
if (all && !quick) {
  for (const name of OTHERS) {
    const folder = name.startsWith('state/') ? `${results}/state` : results;
    await measure(`${name}.mjs`, [`--out=${out}`, `--results=${folder}`]);
  }
}
const own = values.out === undefined && !quick ? [] : ['--no-readme'];
await run('report.mjs', [`--results=${results}`, `--out=${out}`, ...own]);
console.log(quick ? `\n${out} and ${results}/engines.md` : `\n${out}`);
process.exitCode = stopped || worst;
