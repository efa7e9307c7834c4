/**
 * Faults under the whole process: the n-th system call of a kind on a file of the store fails, LevelDB's own calls among
 * them (`test/crash/fault-run.ts`; `docs/durability.md` says what is promised).
 *
 *   npm run crash:faults [-- --life=prune --call=openat --code=EMFILE --first=1 --every=4]
 */
import { runBundled } from './crash-bundle.mjs';

process.exitCode = await runBundled({
  small: ['fault-child'],
  plain: ['fault-run'],
  run: 'fault-run',
  named: true,
  words: process.argv.slice(2),
});
