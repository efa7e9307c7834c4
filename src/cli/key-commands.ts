/** The command for the keys of encrypted stores. */
import type { CommandFacts } from './command-facts.js';
import { GENERAL } from './option-groups.js';

export const KEY_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'key',
    help: 'list, add, change or remove the keys of an encrypted store, or rotate its master key; no pack is written again',
    arguments: '<action>',
    options: ['store', 'passphraseFile', 'keyFile', ...GENERAL],
    local: [
      {
        flags: '--new-passphrase-file <file>',
        help: 'add, change: passphrase that opens the store from now on; rotate: the same, in the place of the key given (default: that one stays)',
      },
      { flags: '--new-key-file <file>', help: 'the same with a key file' },
      {
        flags: '--other-passphrase-file <file>',
        help: 'rotate: another passphrase that is to open the store after it as before; may be repeated',
        many: true,
      },
      { flags: '--other-key-file <file>', help: 'the same with a key file; may be repeated', many: true },
      { flags: '--drop-others', help: 'rotate: remove the keys that were not given' },
      { flags: '--id <n>', help: 'remove: number of the key' },
    ],
    examples: [
      'diffkeeper key change --store=./keep --passphrase-file=./old --new-passphrase-file=./new',
      'diffkeeper key rotate --store=./keep --key-file=./key',
      'diffkeeper key rotate --store=./keep --key-file=./leaked --new-key-file=./key --other-passphrase-file=./pass',
      'diffkeeper key add --store=./keep --passphrase-file=./pass --new-key-file=./key',
    ],
    load: () => import('./command-key.js'),
  },
];
