/** Options of the command `prune`. */
import type { LocalOption } from './command-facts.js';

/** Rules of a retention policy; they add up. */
export const KEEP_OPTIONS: readonly LocalOption[] = [
  { flags: '--keep-last <n>', help: 'keep the newest n' },
  { flags: '--keep-hourly <n>', help: 'keep the newest of each of the last n hours that have one (UTC)' },
  { flags: '--keep-daily <n>', help: 'the same for days' },
  { flags: '--keep-weekly <n>', help: 'the same for weeks, from Monday' },
  { flags: '--keep-monthly <n>', help: 'the same for months' },
  { flags: '--keep-tag <tag>', help: 'keep all with this tag, "*" for any; may be repeated', many: true },
  { flags: '--keep-within <time>', help: 'keep all that are at most so much older than the newest, such as 30d' },
];
export const PRUNE_OPTIONS: readonly LocalOption[] = [
  { flags: '--allow-damaged', help: 'go on where records are damaged; their packs stay as they are' },
  { flags: '--dry-run', help: 'say what would go; change nothing' },
];
