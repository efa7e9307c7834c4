#!/usr/bin/env node
/**
 * Native against TypeScript: every engine and hash on seeded inputs of 64 KB, 4 MB and 64 MB, each trial in a process of
 * its own, alternating; what comes out is checked, and both engines must give the same target (or digest). Prints the table;
 * writes bench/results/engines.json, the section of docs/performance.md and its chart after each engine or hash, so that a
 * run that is stopped keeps what it had. --quick: one trial at 1 MB.
 *
 *   npm run bench:engines [-- --quick] [--only=align,blake3] [--out docs/performance.md] [--results bench/results]
 */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { engineTable, writeEngines } from './engine-section.mjs';
import { JOBS } from './jobs.mjs';

const TRIAL = fileURLToPath(new URL('engine-trial.mjs', import.meta.url));
const SIZES = { '64 KB': 64 << 10, '4 MB': 4 << 20, '64 MB': 64 << 20 };
/** One size alone: most of the time goes into starting processes. */
const QUICK_SIZES = { '1 MB': 1 << 20 };
const KINDS = /** @type {const} */ (['native', 'typescript']);
/** What would take a single turn longer than this is not run: the size below says enough. */
const TURN_MS_MAX = 20_000;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;
const trials = quick ? 1 : 3;
const sizes = Object.entries(quick ? QUICK_SIZES : SIZES);
const wanted = options.only?.split(',');
const jobs = JOBS.filter(({ name }) => wanted === undefined || wanted.some((word) => name.startsWith(word)));
if (jobs.length === 0)
  throw new RangeError(`no "${options.only}"; there are: ${JOBS.map(({ name }) => name).join(', ')}`);

/** @param {string} kind @param {object} task */
function trial(kind, task) {
  const env = { ...process.env, DIFFKEEPER_ENGINE: kind };
  const run = spawnSync(process.execPath, [TRIAL, JSON.stringify(task)], { encoding: 'utf8', env, timeout: 600_000 });
  if (run.status !== 0) throw new Error(`${kind} ${JSON.stringify(task)}: ${run.stderr}`);
  const result = JSON.parse(run.stdout);
  if (result.kind !== kind) throw new Error(`wanted the engine ${kind}, got ${result.kind}`);
  return result;
}

/** The middle trial of each engine. @param {string} name @param {number} bytes @param {Record<string, number>} before ms per byte */
function compare(name, bytes, before) {
  /** @type {Record<string, any[]>} */
  const runs = { native: [], typescript: [] };
  for (let turn = 0; turn < trials; turn += 1) {
    for (const kind of turn % 2 === 0 ? KINDS : [...KINDS].reverse()) {
      if ((before[kind] ?? 0) * bytes > TURN_MS_MAX) continue;
      runs[kind]?.push(trial(kind, { name, bytes, budgetMs: quick ? 100 : 400 }));
    }
  }
  const middle = (/** @type {string} */ kind) =>
    runs[kind]?.find(({ ms }) => ms === median(runs[kind]?.map((one) => one.ms) ?? [])) ?? runs[kind]?.[0];
  const [native, typescript] = KINDS.map(middle);
  if (native && typescript && native.digest !== typescript.digest) throw new Error(`${name}: the engines differ`);
  for (const [kind, one] of [
    ['native', native],
    ['typescript', typescript],
  ])
    if (one) before[kind] = one.ms / bytes;
  return { native, typescript };
}

/** The last report, for stdout. */
let text = '';
const part = measuredParts({
  file: join(options.results, 'engines.json'),
  names: JOBS.map(({ name }) => name),
  only: jobs.map(({ name }) => name).join(','),
  quick,
  machine: machineFacts(tmpdir()),
  report: (result) => {
    text = engineTable(result);
    writeEngines(quick ? join(options.results, 'engines.md') : options.out, result);
  },
});
const failed = new Set();
for (const { name } of jobs) {
  await part(name, () => {
    /** @type {Record<string, number>} */
    const before = {};
    // A trial that fails, or engines that differ, fail the run: it goes on only to show what else there is.
    failed.add(name);
    const rows = sizes.map(([size, bytes]) => ({ name, size, bytes, ...compare(name, bytes, before) }));
    failed.delete(name);
    return { trials, rows };
  });
}
process.stdout.write(`\n${text}`);
process.exitCode = failed.size === 0 ? 0 : 1;
