/**
 * Faults under the whole process: the n-th system call of a kind on a file of the store fails, LevelDB's own calls among
 * them (`test/crash/fault-run.ts`; `docs/durability.md` says what is promised).
 *
 *   npm run crash:faults [-- --every=1 --call=openat --code=EMFILE]
 */
import { runBundled } from './crash-bundle.mjs';

process.exitCode = await runBundled({
  small: ['fault-child'],
  plain: ['fault-run'],
  run: 'fault-run',
  words: process.argv.slice(2),
});
