/**
 * How soon a state is back: the older system's cases, start of the program included; what of it the Merkle root is; a
 * blob's lookup; and the same through the process that owns the store. Each trial is a process of its own with a fresh
 * target, and every tree that came back is compared.
 *
 *   npm run bench:recovery [-- --quick --only=few-small,chains --out=docs/performance.md --results=bench/results]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { median } from '../lib/statistics.mjs';
import { startProgram, timeSteps } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { differences, manifestOf } from '../lib/tree-manifest.mjs';
import { runTrial } from '../lib/trial-process.mjs';
import { inheritedEnvironment, openWorkspace, settleDisk } from '../lib/workspace.mjs';
import { RECOVERY_CASES } from './recovery-cases.mjs';
import { writeRecovery } from './recovery-section.mjs';

const TRIAL = fileURLToPath(new URL('recovery-trial.mjs', import.meta.url));

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(RECOVERY_CASES).join(',') },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const chosen = options.only.split(',');
const unknown = chosen.filter((name) => !(name in RECOVERY_CASES));
if (unknown.length > 0) {
  throw new Error(`unknown "${unknown.join(', ')}"; there are: ${Object.keys(RECOVERY_CASES).join(', ')}`);
}
const trials = options.quick ? 2 : 15;
const workspace = openWorkspace(tmpdir());
const environment = inheritedEnvironment(workspace);

/** Medians of equally named numbers. @param {readonly Record<string, number>[]} all */
const medians = (all) =>
  Object.fromEntries(Object.keys(all[0] ?? {}).map((key) => [key, median(all.map((one) => Number(one[key])))]));

/** Something several times. @param {(turn: number) => unknown} once */
async function repeated(once) {
  const all = [];
  for (let turn = 0; turn < trials; turn += 1) all.push(await once(turn));
  return medians(all);
}

/** Cost of one run of a program, its start included. @param {readonly string[]} args */
const program = (args) => timeSteps([{ command: process.execPath, args }], environment);

/** @param {string} name */
async function runCase(name) {
  const [state, store] = [join(workspace.place(name), 'state'), join(workspace.place(name), 'keep')];
  const facts = runTrial(TRIAL, { kind: 'make', name, state, store });
  const expected = manifestOf(state);
  /** @param {string} target */
  const check = (target) => {
    const wrong = differences(expected, manifestOf(target));
    if (wrong.length > 0) throw new Error(`${name}: another tree came back: ${wrong.join('; ')}`);
  };
  /** @param {string} way */
  const byProgram = (way) =>
    repeated(async (turn) => {
      const target = join(workspace.place(name, way), `${turn}`);
      settleDisk(workspace.root);
      const cost = await program([CLI, 'recover', `--store=${store}`, `--state-dir=${target}`]);
      check(target);
      return cost;
    });
  const direct = await byProgram('program');
  const library = await repeated((turn) => {
    const target = join(workspace.place(name, 'library'), `${turn}`);
    const cost = runTrial(TRIAL, { kind: 'recover', store, target });
    check(target);
    return cost;
  });
  const parts = await repeated(() => runTrial(TRIAL, { kind: 'parts', store }));
  const owner = startProgram(process.execPath, [CLI, 'watch', `--store=${store}`, `--state-dir=${state}`, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    // The first line says that it watches; from then on the store is its own.
    await new Promise((resolve) => owner.stdout?.once('data', resolve));
    const shared = await byProgram('shared');
    return { facts, direct, library, parts, shared };
  } finally {
    owner.kill('SIGTERM');
    await new Promise((resolve) => owner.once('close', resolve));
  }
}

/** @type {Record<string, any>} */
const result = {
  schema: 1,
  quick: options.quick,
  trials,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
  start: {
    node: await repeated(() => program(['-e', '0'])),
    version: await repeated(() => program([CLI, '--version'])),
    engine: await repeated(() => program([CLI, 'engine'])),
  },
  cases: {},
};
for (const name of chosen) {
  result.cases[name] = await runCase(name);
  const { direct, library, shared } = result.cases[name];
  console.error(
    `${name}: program ${direct.wallMs.toFixed(0)} ms (CPU ${direct.cpuMs.toFixed(0)} ms), library ` +
      `${library.recoverMs.toFixed(1)} ms, through the owner ${shared.wallMs.toFixed(0)} ms`,
  );
}
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'recovery.json'), `${JSON.stringify(result, null, 2)}\n`);
writeRecovery(options.out, result);
