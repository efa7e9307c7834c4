/** Rows of the command table: stores on other machines. */
import type { CommandFacts } from './command-facts.js';
import { LINK, STORE } from './option-groups.js';

export const REPLICA_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'serve',
    help: 'serve a store to other machines: they push to it and pull from it',
    options: [...STORE, 'hashAlgo', 'encrypt', 'snapshotInterval', 'level', ...LINK],
    local: [
      { flags: '--listen <address>', help: 'HOST:PORT; port 0 takes a free one (default: 127.0.0.1:9912)' },
      {
        flags: '--allow <name=right>',
        help: 'what a peer may do: read, append, admin; may be repeated; without it all that are trusted may append',
        many: true,
      },
    ],
    examples: [
      'diffkeeper serve --store=./replica --listen=0.0.0.0:9912 --tls-cert=me.pem --tls-key=me.key --tls-ca=ca.pem',
      'diffkeeper serve --store=./replica --listen=0.0.0.0:9912 --psk-file=keys --allow=app-1=append --allow=ops=admin',
      'diffkeeper serve --store=./replica --plaintext',
    ],
    load: () => import('./command-serve.js'),
  },
  {
    name: 'push',
    help: 'give a served store what it lacks; what arrived once is not sent again',
    arguments: '<address>',
    options: [...STORE, ...LINK],
    local: [{ flags: '--take-over', help: 'go on in the place of another writer; needs the right admin there' }],
    examples: [
      'diffkeeper push --store=./keep --psk-file=key tls://backup.example:9912',
      'diffkeeper push --store=./keep --plaintext tcp://127.0.0.1:9912',
    ],
    load: () => import('./command-push.js'),
  },
  {
    name: 'pull',
    help: 'take from a served store what this one lacks; makes the store when there is none',
    arguments: '<address>',
    options: [...STORE, 'hashAlgo', 'encrypt', 'snapshotInterval', 'level', ...LINK],
    examples: ['diffkeeper pull --store=./copy --psk-file=key tls://backup.example:9912'],
    load: () => import('./command-push.js').then(({ pull }) => ({ run: pull })),
  },
];
