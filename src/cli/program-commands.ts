/** Rows of the command table: the page, and what the program says about itself. */
import type { CommandFacts } from './command-facts.js';
import { GENERAL, STORE } from './option-groups.js';

export const PROGRAM_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'ui',
    help: 'serve a page for a browser: timeline, files, differences, restore; Ctrl-C ends',
    options: STORE,
    local: [
      { flags: '--port <n>', help: 'port to listen on (default: a free one)' },
      { flags: '--listen <host>', help: 'another address than 127.0.0.1; other machines may reach it then' },
      { flags: '--restore-dir <dir>', help: 'the one directory that the page may restore into (default: none)' },
      { flags: '--no-open', help: 'do not start a browser' },
    ],
    examples: [
      'diffkeeper ui --store=./keep',
      'diffkeeper ui --store=./keep --port=8484 --restore-dir=./restored --no-open',
    ],
    load: () => import('./command-ui.js'),
  },
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
