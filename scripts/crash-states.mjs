/**
 * Crash consistency: records what workloads do to the disk, builds the states that a crash may leave, and opens each
 * (`test/crash/crash-run.ts`; `docs/durability.md` says what is promised).
 *
 *   npm run crash:states [-- --states=100000 --seed=1 --jobs=2 --workload=NAME --keep=DIR]
 *   npm run crash:states -- --trace=FILE --state=NUMBER
 */
import { runBundled } from './crash-bundle.mjs';

process.exitCode = await runBundled({
  small: ['workload-child'],
  plain: ['check-trace', 'crash-run'],
  run: 'crash-run',
  words: process.argv.slice(2),
});
