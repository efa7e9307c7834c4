#!/usr/bin/env node
/**
 * The benchmark that a visitor runs: the main job beside its peers, every engine native and in TypeScript, and the report.
 *
 *   npm run bench [-- --quick] [-- options of bench/run.mjs]
 *
 * --quick: small sizes, few versions and one trial, in about a minute and a half, to see that everything works and how it is
 * done; the report goes to bench/results/quick and says what was left out. Other benchmarks are programs of their own: npm run bench:delta, bench:state, bench:transport, ...
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const words = process.argv.slice(2);
const quick = words.includes('--quick');
const results = 'bench/results/quick';

/** @param {string} program @param {readonly string[]} args */
function run(program, args) {
  const { status } = spawnSync(process.execPath, [program, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

if (quick) {
  // Figures of an earlier run are no part of this report.
  rmSync(join(ROOT, results), { recursive: true, force: true });
  const document = `${results}/performance.md`;
  run('bench/run.mjs', [...words, `--results=${results}`]);
  run('bench/report.mjs', [`--results=${results}`, `--out=${document}`, '--no-readme']);
  run('bench/engines/run-engines.mjs', ['--quick', `--results=${results}`]);
  console.log(`${document} and ${results}/engines.md`);
} else {
  run('bench/run.mjs', words);
  run('bench/engines/run-engines.mjs', []);
  run('bench/report.mjs', []);
}
