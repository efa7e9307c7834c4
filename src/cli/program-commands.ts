/** Rows of the command table: what the program says about itself. */
import type { CommandFacts } from './command-facts.js';
import { GENERAL } from './option-groups.js';

export const PROGRAM_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'engine',
    help: 'which engine runs, native or TypeScript',
    options: GENERAL,
    examples: ['diffkeeper engine --json'],
    load: () => import('./command-engine.js'),
  },
  {
    name: 'completion',
    help: 'a script that makes a shell complete commands and options',
    arguments: '<shell>',
    options: [],
    examples: [
      'source <(diffkeeper completion bash)',
      'diffkeeper completion zsh > ~/.zfunc/_diffkeeper',
      'diffkeeper completion fish > ~/.config/fish/completions/diffkeeper.fish',
    ],
    load: () => import('./command-completion.js'),
  },
  {
    name: 'manual',
    help: 'the manual page, as man reads it',
    options: [],
    examples: ['diffkeeper manual | man -l -'],
    load: () => import('./command-manual.js'),
  },
];
