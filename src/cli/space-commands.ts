/** Rows of the command table: what makes a store smaller. */
import type { CommandFacts } from './command-facts.js';
import { STORE } from './option-groups.js';
import { KEEP_OPTIONS, PRUNE_OPTIONS } from './prune-options.js';

export const SPACE_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'prune',
    help: 'drop checkpoints that no rule keeps, and give back their space; the newest always stays',
    options: STORE,
    local: [...KEEP_OPTIONS, ...PRUNE_OPTIONS],
    examples: [
      'diffkeeper prune --store=./keep --keep-last=10 --keep-daily=7 --keep-monthly=12 --dry-run',
      'diffkeeper prune --store=./keep --keep-within=30d --keep-tag=release',
    ],
    load: () => import('./command-prune.js'),
  },
  {
    name: 'condense',
    help: 'store a history of many small versions in much less room; nothing is dropped',
    options: STORE,
    examples: ['diffkeeper condense --store=./keep'],
    load: () => import('./command-condense.js'),
  },
];
