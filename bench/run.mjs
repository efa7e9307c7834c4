/**
 * The benchmark of the main job: capture and recover, beside restic, borg, git and plain gzip.
 *
 *   node bench/run.mjs [--scenario a,b] [--tools a,b] [--trials 3] [--quick] [--json] [--help]
 *
 * Each scenario's figures go to a file of its own in bench/results; `node bench/report.mjs` makes the report of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from './lib/machine.mjs';
import { TOOLS } from './lib/tools.mjs';
import { freeBytes, openWorkspace } from './lib/workspace.mjs';
import { bigFile } from './scenarios/big-file.mjs';
import { durable } from './scenarios/durable.mjs';
import { noop } from './scenarios/noop.mjs';
import { smallFiles } from './scenarios/small-files.mjs';
import { sqlite } from './scenarios/sqlite.mjs';

const SCENARIOS = [smallFiles, sqlite, bigFile, noop, durable];
const QUICK_SCALE = 0.05;
/** The peers of most questions; the others would take a quarter of a quick run. */
const QUICK_TOOLS = 'diffkeeper,restic,borg';
const HELP = `node bench/run.mjs [options]

  --scenario LIST  of ${SCENARIOS.map(({ name }) => name).join(', ')} (all)
  --tools LIST     of ${TOOLS.map(({ name }) => name).join(', ')} (all; ${QUICK_TOOLS} with --quick)
  --trials N       how often everything is done (3; 1 with --quick)
  --quick          a twentieth of the size and three versions at most, to see that everything works; no figures to quote
  --scale N        size of the work, 1 is full
  --dir DIR        where the work is done (${tmpdir()}); a directory is made in it, and removed at the end
  --results DIR    where the figures go (bench/results)
  --json           the figures on stdout as well, one JSON line for each scenario
`;

/**
 * @template {{ name: string }} T
 * @param {readonly T[]} all
 * @param {string | undefined} list
 */
function chosen(all, list) {
  if (list === undefined) return all;
  return list.split(',').map((name) => {
    const found = all.find((one) => one.name === name.trim());
    if (found === undefined)
      throw new RangeError(`unknown "${name}"; there are: ${all.map((one) => one.name).join(', ')}`);
    return found;
  });
}

/**
 * @param {string | undefined} text
 * @param {number} fallback
 */
function positive(text, fallback) {
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0)) throw new RangeError(`expected a number above 0, got "${text}"`);
  return value;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string' },
      tools: { type: 'string' },
      trials: { type: 'string' },
      quick: { type: 'boolean', default: false },
      scale: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      results: { type: 'string', default: fileURLToPath(new URL('results', import.meta.url)) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    ...values,
    scenarios: chosen(SCENARIOS, values.scenario),
    tools: chosen(TOOLS, values.tools ?? (values.quick ? QUICK_TOOLS : undefined)),
    trials: Math.ceil(positive(values.trials, values.quick ? 1 : 3)),
    scale: positive(values.scale, values.quick ? QUICK_SCALE : 1),
  };
}

/** The command as a reader would repeat it: without directories, which are a matter of the machine. */
function commandLine() {
  const words = process.argv.slice(2).filter((word, index, all) => {
    const isPlace = /^--(dir|results)(=|$)/.test(word);
    return !isPlace && !/^--(dir|results)$/.test(all[index - 1] ?? '');
  });
  return ['node bench/run.mjs', ...words].join(' ');
}

/** @returns {ReturnType<typeof readOptions>} */
function optionsOrEnd() {
  try {
    return readOptions();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    process.exit(2);
  }
}

const options = optionsOrEnd();
if (options.help) {
  process.stdout.write(HELP);
} else {
  const workspace = openWorkspace(options.dir);
  const machine = machineFacts(workspace.root);
  const say = (/** @type {string} */ text) => void process.stderr.write(`${text}\n`);
  if (!machine.engine?.startsWith('native')) {
    say(`the engine is not the native one: ${machine.engine}; build it with npm run build:native`);
    if (options.scale >= 1) process.exit(1);
  }
  let oursVerified = true;
  for (const scenario of options.scenarios) {
    const lacks = options.quick ? scenario.lacks?.() : undefined;
    if (lacks !== undefined) {
      say(`${scenario.name}: left out of a quick run: ${lacks}`);
      continue;
    }
    const { scale, trials, tools, quick } = options;
    const needed = scenario.needsBytes(scale, trials);
    if (freeBytes(workspace.root) < needed) {
      throw new Error(`${scenario.name} needs ${(needed / 1e9).toFixed(1)} GB of free space in ${options.dir}`);
    }
    const date = new Date().toISOString();
    const output = await scenario.run({ tools, trials, scale, quick, workspace, say });
    const { name, title, laterName } = scenario;
    const facts = { schema: 1, scenario: name, title, description: scenario.describe(scale, quick), laterName, quick };
    const result = { ...facts, scale, trials, date, command: commandLine(), machine, ...output };
    mkdirSync(options.results, { recursive: true });
    writeFileSync(join(options.results, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    for (const [tool, { status, reason }] of Object.entries(output.tools)) {
      if (status !== 'verified' && tool === 'diffkeeper') oursVerified = false;
      if (status !== 'verified') say(`${name}: ${tool}: ${status}: ${reason}`);
    }
  }
  // A peer that fails is a line of the report; only our own failure fails the run.
  process.exitCode = oursVerified ? 0 : 1;
}
