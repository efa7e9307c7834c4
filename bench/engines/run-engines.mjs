#!/usr/bin/env node
/**
 * Native against TypeScript: every engine and hash on seeded inputs of 64 KB, 4 MB and 64 MB, each trial in a process of
 * its own, alternating; what comes out is checked, and both engines must give the same target (or digest). --quick: one
 * trial at 1 MB.
 *
 *   npm run bench:engines [-- --quick] [--only=align,blake3] [--out docs/performance.md] [--results bench/results]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { writeEngines } from './engine-section.mjs';
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

/** @type {any[]} */
const rows = [];
for (const { name } of jobs) {
  /** @type {Record<string, number>} */
  const before = {};
  for (const [size, bytes] of sizes) {
    const start = performance.now();
    rows.push({ name, size, bytes, ...compare(name, bytes, before) });
    process.stderr.write(`${name}, ${size}: ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  }
}
const result = {
  schema: 1,
  quick,
  trials,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(tmpdir()),
  rows,
};
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'engines.json'), `${JSON.stringify(result, null, 1)}\n`);
writeEngines(quick ? join(options.results, 'engines.md') : options.out, result);
