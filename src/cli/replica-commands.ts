/** Rows of the command table: stores on other machines. */
import type { CommandFacts } from './command-facts.js';
import { LISTEN_OPTIONS } from './listen-options.js';
import { GENERAL, LINK, SERVE_LINK, STORE } from './option-groups.js';

export const REPLICA_COMMANDS: readonly CommandFacts[] = [
  {
    name: 'serve',
    help: 'serve a store to other machines: they push to it and pull from it',
    options: [...STORE, 'hashAlgo', 'encrypt', 'snapshotInterval', 'level', 'metricsAddr', ...SERVE_LINK],
    local: LISTEN_OPTIONS,
    examples: [
      'diffkeeper serve --store=./replica --listen=0.0.0.0:9912 --tls-cert=me.pem --tls-key=me.key --tls-ca=ca.pem',
      'diffkeeper serve --store=./replica --listen=0.0.0.0:9912 --psk-file=keys --allow=app-1=append --allow=ops=admin',
      'diffkeeper serve --store=./replica --plaintext --metrics-addr=127.0.0.1:9911',
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
      'diffkeeper push --store=./keep --psk-file=key --rate-limit=20 --streams=4-32 tls://backup.example:9912',
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
  {
    name: 'send',
    help: 'send a file to a receiver on another machine; what arrived once is not sent again',
    arguments: '<file> <address>',
    options: [...GENERAL, ...LINK],
    local: [
      {
        flags: '--digest <kind>',
        help: 'what the receiver checks the bytes by: xxh3 finds damage, blake3 takes longer (default: xxh3)',
      },
    ],
    examples: [
      'diffkeeper send disk.img --tls-cert=me.pem --tls-key=me.key --tls-ca=ca.pem tls://backup.example:9912/disks/disk.img',
      'diffkeeper send disk.img --psk-file=key tls://backup.example',
      'tar c ./data | diffkeeper send - --psk-file=key tls://backup.example:9912/data.tar',
    ],
    load: () => import('./command-send.js'),
  },
  {
    name: 'receive',
    help: 'take files that are sent, until interrupted',
    options: [...GENERAL, 'metricsAddr', ...SERVE_LINK],
    local: [
      { flags: '--out <dir>', help: 'where they go; none leaves it (needed)' },
      ...LISTEN_OPTIONS,
      { flags: '--once', help: 'end after the first file' },
      { flags: '--digest <kind>', help: 'blake3: what senders must check by (default: what they choose)' },
    ],
    examples: [
      'diffkeeper receive --out=./received --listen=0.0.0.0:9912 --tls-cert=me.pem --tls-key=me.key --tls-ca=ca.pem',
      'diffkeeper receive --out=./received --plaintext --once',
    ],
    load: () => import('./command-receive.js'),
  },
  {
    name: 'ping',
    help: 'ask a served store or a receiver whether it is there, how far away, and what we may do there',
    arguments: '<address>',
    options: [...GENERAL, ...LINK],
    local: [{ flags: '--timeout <time>', help: 'how long each step may take, such as 2s (default: 10s)' }],
    examples: [
      'diffkeeper ping --psk-file=key tls://backup.example:9912',
      'diffkeeper ping --plaintext --timeout=2s --json tcp://127.0.0.1:9912',
    ],
    load: () => import('./command-ping.js'),
  },
];
