/** Every command: what help says, which options apply, and where the code is. Code is loaded only for the one that runs. */
import type { CommandFacts, LocalOption } from './command-facts.js';
import type { OptionKey } from './option-table.js';

export type { CommandFacts };

const GENERAL: readonly OptionKey[] = ['debug', 'logFormat', 'json'];
const STORE: readonly OptionKey[] = ['store', 'enableDiff', ...GENERAL];
const WRITE: readonly OptionKey[] = [
  'stateDir',
  ...STORE,
  'diffLibrary',
  'chunkSize',
  'hashAlgo',
  'dedupScope',
  'snapshotInterval',
  'level',
  'ignore',
];
const RUN: readonly OptionKey[] = [
  'consistency',
  'freezeWith',
  'checkpointInterval',
  'maxLag',
  'retention',
  'retentionInterval',
  'recover',
  'allowDamaged',
  'exec',
  'beforeCheckpoint',
  'afterCheckpoint',
  'hookTimeout',
  'control',
  'metricsAddr',
  'restart',
  'restartLimit',
  'stopTimeout',
];
const AT: LocalOption = { flags: '--at <moment>', help: 'checkpoint number, ISO time, or such as "10m", "2h ago"' };
/** Rules of a retention policy; they add up. */
const KEEP_OPTIONS: readonly LocalOption[] = [
  { flags: '--keep-last <n>', help: 'keep the newest n' },
  { flags: '--keep-hourly <n>', help: 'keep the newest of each of the last n hours that have one (UTC)' },
  { flags: '--keep-daily <n>', help: 'the same for days' },
  { flags: '--keep-weekly <n>', help: 'the same for weeks, from Monday' },
  { flags: '--keep-monthly <n>', help: 'the same for months' },
  { flags: '--keep-tag <tag>', help: 'keep all with this tag, "*" for any; may be repeated', many: true },
  { flags: '--keep-within <time>', help: 'keep all that are at most so much older than the newest, such as 30d' },
];
const PRUNE_OPTIONS: readonly LocalOption[] = [
  { flags: '--allow-damaged', help: 'go on where records are damaged; their packs stay as they are' },
  { flags: '--dry-run', help: 'say what would go; change nothing' },
];
const LIMIT: LocalOption = { flags: '--limit <n>', help: 'how many to show, newest; 0 = all (default: 20)' };

export const COMMAND_TABLE: readonly CommandFacts[] = [
  {
    name: 'run',
    help: 'recover, start a command, capture while it runs, exit as it did (the default command)',
    options: [...WRITE, ...RUN],
    examples: [
      'diffkeeper --state-dir=./data --store=./keep -- node app.js',
      'diffkeeper --consistency=freeze --checkpoint-interval=500ms -- postgres -D /data',
      'diffkeeper --state-dir=./data --store=./keep --no-exec',
    ],
    startsCommand: true,
    load: () => import('./command-run.js'),
  },
  {
    name: 'record',
    help: 'run a command once, keep every version of a directory meanwhile, and say how to look at them',
    options: [
      ...WRITE,
      'maxLag',
      'consistency',
      'freezeWith',
      'checkpointInterval',
      'control',
      'metricsAddr',
      'stopTimeout',
    ],
    examples: [
      'diffkeeper record -- npm test',
      'diffkeeper record --state-dir=test-output --max-lag=50ms -- npm test',
      'diffkeeper timeline --store=.diffkeeper',
      'diffkeeper export --store=.diffkeeper --format=dir --at=12 look',
    ],
    startsCommand: true,
    defaults: { stateDir: '.', store: '.diffkeeper', maxLag: 100, ignore: ['node_modules', '.git'] },
    load: () => import('./command-record.js'),
  },
  {
    name: 'capture',
    help: 'take what changed, once',
    options: WRITE,
    local: [
      { flags: '--tag <text>', help: 'text kept with the checkpoint' },
      { flags: '--force', help: 'commit a checkpoint even when nothing changed' },
    ],
    examples: ['diffkeeper capture --state-dir=./data --store=./keep --tag="before the upgrade"'],
    load: () => import('./command-capture.js'),
  },
  {
    name: 'watch',
    help: 'capture changes until interrupted; starts and recovers nothing',
    options: [...WRITE, 'maxLag', 'retention', 'retentionInterval'],
    examples: ['diffkeeper watch --state-dir=./data --store=./keep --max-lag=2s'],
    load: () => import('./command-watch.js'),
  },
  {
    name: 'recover',
    help: 'bring the state back: newest, at a moment, or only some paths',
    arguments: '[paths...]',
    options: ['stateDir', ...STORE, 'ignore'],
    local: [
      AT,
      { flags: '--strict', help: 'fail when anything is damaged' },
      { flags: '--keep-extra', help: 'leave entries alone that the checkpoint does not have' },
      { flags: '--dry-run', help: 'say what would come back; touch nothing' },
    ],
    examples: [
      'diffkeeper recover --store=./keep --state-dir=./restored',
      'diffkeeper recover --store=./keep --state-dir=./restored --at="10m ago" config db/main.sqlite',
    ],
    load: () => import('./command-recover.js'),
  },
  {
    name: 'log',
    help: 'list checkpoints, or the versions of one path',
    arguments: '[path]',
    options: STORE,
    local: [LIMIT],
    examples: ['diffkeeper log --store=./keep', 'diffkeeper log --store=./keep config/app.json'],
    load: () => import('./command-log.js'),
  },
  {
    name: 'timeline',
    help: 'draw what happened, newest last',
    options: STORE,
    local: [LIMIT, { flags: '--names <n>', help: 'names shown per checkpoint (default: 3)' }],
    examples: ['diffkeeper timeline --store=./keep --limit=50'],
    load: () => import('./command-timeline.js'),
  },
  {
    name: 'diff',
    help: 'list what differs between two checkpoints; the second is the newest when it is left out',
    arguments: '<from> [to]',
    options: STORE,
    examples: ['diffkeeper diff --store=./keep 12 15', 'diffkeeper diff --store=./keep "2h ago"'],
    load: () => import('./command-diff.js'),
  },
  {
    name: 'tag',
    help: 'name the newest state: a checkpoint that changes nothing and carries the text',
    arguments: '<text>',
    options: STORE,
    examples: ['diffkeeper tag --store=./keep release-7'],
    load: () => import('./command-tag.js'),
  },
  {
    name: 'cat',
    help: 'write one file, as it was, to stdout',
    arguments: '<path>',
    options: ['store', 'enableDiff', 'debug', 'logFormat'],
    local: [AT],
    examples: ['diffkeeper cat --store=./keep --at=2h config/app.json'],
    load: () => import('./command-cat.js'),
  },
  {
    name: 'verify',
    help: 'check every record, blob, recipe and root',
    options: STORE,
    local: [
      { flags: '--no-read-data', help: 'check structure only; decode no content' },
      { flags: '--read-data', help: 'decode every blob (the default)' },
      { flags: '--sample <share>', help: 'decode only this share of the blobs, others each time, such as 5%' },
    ],
    examples: ['diffkeeper verify --store=./keep', 'diffkeeper verify --store=./keep --sample=5%'],
    load: () => import('./command-verify.js'),
  },
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
    name: 'stats',
    help: 'what is stored and what it saves',
    options: STORE,
    local: [{ flags: '--packs', help: 'how much of each pack is still needed; reads all versions and recipes' }],
    examples: ['diffkeeper stats --store=./keep', 'diffkeeper stats --store=./keep --packs'],
    load: () => import('./command-stats.js'),
  },
  {
    name: 'engine',
    help: 'which engine runs, native or TypeScript',
    options: GENERAL,
    examples: ['diffkeeper engine --json'],
    load: () => import('./command-engine.js'),
  },
  {
    name: 'delta',
    help: 'make a delta of two files, or inspect one',
    arguments: '[source] [target] [output]',
    options: [...GENERAL, 'diffLibrary', 'hashAlgo', 'level'],
    local: [
      { flags: '--engine <name>', help: 'as --diff-library, and goes before it' },
      {
        flags: '--effort <name>',
        help: 'time that a smaller delta may cost: fast, balanced, max (default: as --level says)',
      },
      { flags: '--element-bytes <n>', help: 'both files are floats of 2, 4 or 8 bytes; else headers and samples tell' },
      { flags: '--explain', help: 'say what was tried, what came of it, and why' },
      { flags: '--inspect <file>', help: 'say what a delta holds' },
      { flags: '--format <name>', help: 'dkd (default), or bare for bspatch and xdelta3: bsdiff, vcdiff' },
      { flags: '--force', help: 'replace the output' },
    ],
    examples: [
      'diffkeeper delta app-1.bin app-2.bin app.dkd',
      'diffkeeper delta --effort=max --explain app-1.bin app-2.bin app.dkd',
      'diffkeeper delta --inspect app.dkd',
      'diffkeeper delta --format=bsdiff app-1.bin app-2.bin app.bsdiff',
    ],
    load: () => import('./command-delta.js'),
  },
  {
    name: 'patch',
    help: 'apply a delta to its source; bare bsdiff and vcdiff files, too',
    arguments: '<source> <delta> <output>',
    options: GENERAL,
    local: [{ flags: '--force', help: 'replace the output' }],
    examples: ['diffkeeper patch app-1.bin app.dkd app-2.bin'],
    load: () => import('./command-patch.js'),
  },
  {
    name: 'migrate',
    help: 'bring a store of the older system over, and say what came of it',
    options: [...STORE, 'hashAlgo', 'snapshotInterval', 'level'],
    local: [
      { flags: '--report <form>', help: 'text (default), or json: the whole report as one JSON object' },
      { flags: '--finalize', help: 'remove the snapshots it was made from: no way back afterwards' },
    ],
    examples: [
      'diffkeeper migrate --store=/deltas/db.bolt',
      'diffkeeper migrate --store=/deltas/db.bolt --report=json',
    ],
    load: () => import('./command-migrate.js'),
  },
  {
    name: 'export',
    help: 'write a checkpoint for other programs: tar archive, directory, or file of the older system',
    arguments: '[target] [paths...]',
    options: STORE,
    local: [{ flags: '--format <name>', help: 'tar (default), dir, or v1: BoltDB file of schema 1' }, AT],
    examples: [
      'diffkeeper export --store=./keep state.tar',
      'diffkeeper export --store=./keep --at=12 - config | tar -x -C /tmp/look',
      'diffkeeper export --store=./keep --format=v1 db.bolt',
    ],
    load: () => import('./command-export.js'),
  },
  {
    name: 'import',
    help: 'take what another program left: a directory, or a file of the older system',
    arguments: '<source>',
    options: WRITE.filter((key) => key !== 'stateDir'),
    local: [
      { flags: '--from <kind>', help: 'dir (default), or bolt' },
      { flags: '--tag <text>', help: 'text kept with the checkpoint' },
    ],
    examples: [
      'restic restore latest --target ./restored && diffkeeper import --store=./keep ./restored',
      'diffkeeper import --from=bolt /deltas/db.bolt',
    ],
    load: () => import('./command-import.js'),
  },
  {
    name: 'repair',
    help: 'rebuild the metadata from the packs alone; put damage aside and say what it reaches',
    options: STORE,
    local: [{ flags: '--no-read-data', help: 'check structure only; decode no content' }],
    examples: ['diffkeeper repair --store=./keep'],
    load: () => import('./command-repair.js'),
  },
];
