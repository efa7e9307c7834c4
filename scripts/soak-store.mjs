/**
 * Random lives of a store against its model (`test/store/store-property.test.ts`), many more than `npm test` makes.
 *
 *   npm run soak:store [-- --runs=500 --seed=1]
 *
 * The seed is printed; the same seed repeats the same lives. A failure prints the shortest list of steps.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({ options: { runs: { type: 'string' }, seed: { type: 'string' } } });
const runs = values.runs ?? '500';
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
console.log(`${runs} lives, seed ${seed}`);
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/store/store-property.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, DK_STORE_RUNS: runs, DK_STORE_SEED: seed },
});
process.exitCode = status ?? 1;
