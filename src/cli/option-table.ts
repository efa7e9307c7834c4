/**
 * Every option of the program that can also come from the environment or the
 * configuration file. Facts only, so that `--help` loads nothing else; checks are
 * in `option-check.ts`. Precedence: flag > environment > configuration > default.
 */
import { type OptionFacts, SHAPES } from './option-shapes.js';

export { allowedText, type OptionFacts, type ValueKind } from './option-shapes.js';

const facts = <T extends Record<string, OptionFacts>>(table: T): Readonly<Record<keyof T, OptionFacts>> => table;

export const OPTION_TABLE = facts({
  stateDir: { kind: 'text', flag: 'state-dir', value: 'dir', help: 'directory that is kept', fallback: '/data' },
  store: { kind: 'text', flag: 'store', value: 'dir', help: 'where versions are stored', fallback: '/deltas/store' },
  debug: { kind: 'boolean', flag: 'debug', help: 'log every step', fallback: false },
  logFormat: {
    kind: 'choice',
    flag: 'log-format',
    value: 'form',
    help: 'form of the log on stderr',
    choices: ['human', 'json'],
    fallback: 'human',
  },
  json: { kind: 'boolean', flag: 'json', help: 'results as JSON lines on stdout', fallback: false },
  enableDiff: {
    kind: 'boolean',
    flag: 'enable-diff',
    help: 'false: whole-file snapshots (schema 1), no deltas, no history',
    fallback: true,
  },
  diffLibrary: {
    kind: 'choice',
    flag: 'diff-library',
    value: 'name',
    help: 'delta engine',
    choices: ['auto', 'align', 'bsdiff', 'xdelta', 'zstd', 'xor', 'tensor'],
    fallback: 'auto',
  },
  chunkSize: {
    kind: 'megabytes',
    flag: 'chunk-size',
    value: 'MB',
    help: 'largest piece of a file handled at once',
    min: 1,
    max: 1024,
    fallback: 4,
  },
  hashAlgo: {
    kind: 'choice',
    flag: 'hash-algo',
    value: 'name',
    help: 'digest of a new store',
    choices: ['blake3', 'sha256'],
    fallback: 'blake3',
  },
  dedupScope: {
    kind: 'choice',
    flag: 'dedup-scope',
    value: 'scope',
    help: 'where equal content is stored once',
    choices: ['container'],
    later: ['cluster'],
    fallback: 'container',
  },
  setuid: {
    kind: 'boolean',
    flag: 'setuid',
    help: 'give setuid and setgid bits and capabilities of files back (as root), or keep them in an archive',
    fallback: false,
  },
  encrypt: { kind: 'boolean', flag: 'encrypt', help: 'encrypt a new store; needs a key', fallback: false },
  passphraseFile: {
    kind: 'text',
    flag: 'passphrase-file',
    value: 'file',
    help: 'passphrase of an encrypted store: the file without its last line end; or in DIFFKEEPER_PASSPHRASE',
    fallback: undefined,
  },
  keyFile: {
    kind: 'text',
    flag: 'key-file',
    value: 'file',
    help: 'key of an encrypted store: 32 to 4096 secret bytes',
    fallback: undefined,
  },
  snapshotInterval: {
    kind: 'integer',
    flag: 'snapshot-interval',
    value: 'n',
    help: 'no byte is more than n deltas away from absolute bytes',
    min: 1,
    max: 64,
    fallback: 10,
  },
  level: {
    kind: 'integer',
    flag: 'level',
    value: 'n',
    help: 'zstd level (default: 3, or 1 for changes of a file of which that keeps as little)',
    min: 1,
    max: 19,
    fallback: undefined,
  },
  consistency: {
    kind: 'choice',
    flag: 'consistency',
    value: 'mode',
    help: 'freeze: stop the application for each checkpoint, so that all files are of one instant',
    choices: ['file', 'freeze'],
    fallback: 'file',
  },
  freezeWith: {
    kind: 'choice',
    flag: 'freeze-with',
    value: 'means',
    help: 'freeze mode: what stops the application; auto: a control group where one may be made, else signals',
    choices: ['auto', 'signals'],
    fallback: 'auto',
  },
  checkpointInterval: {
    kind: 'duration',
    flag: 'checkpoint-interval',
    value: 'time',
    help: 'freeze mode: time between checkpoints while something changes',
    min: 10,
    max: 86_400_000,
    fallback: 1000,
  },
  maxLag: {
    kind: 'duration',
    flag: 'max-lag',
    value: 'time',
    help: 'file mode: a change is durable at the latest after this time',
    min: 10,
    max: 86_400_000,
    fallback: 400,
  },
  beforeCheckpoint: {
    kind: 'text',
    flag: 'before-checkpoint',
    value: 'command',
    help: 'shell command before each checkpoint; when it fails, that checkpoint is not taken',
    fallback: undefined,
  },
  afterCheckpoint: {
    kind: 'text',
    flag: 'after-checkpoint',
    value: 'command',
    help: 'shell command as soon as the bytes of a checkpoint are taken',
    fallback: undefined,
  },
  hookTimeout: {
    kind: 'duration',
    flag: 'hook-timeout',
    value: 'time',
    help: 'these commands are killed after this time',
    min: 10,
    max: 86_400_000,
    fallback: 10_000,
  },
  control: {
    kind: 'text',
    flag: 'control',
    value: 'address',
    help: 'control interface: unix:PATH, HOST:PORT on a loopback address, off; auto: control.sock in the store',
    shape: SHAPES.control,
    fallback: 'auto',
  },
  metricsAddr: {
    kind: 'text',
    flag: 'metrics-addr',
    value: 'address',
    help: 'HOST:PORT or unix:PATH for metrics, status and health alone',
    shape: SHAPES.metricsAddr,
    fallback: undefined,
  },
  replicate: {
    kind: 'list',
    flag: 'replicate',
    value: 'address',
    help: 'served store that each checkpoint goes to, tls://HOST:PORT; may be repeated',
    shape: SHAPES.replicate,
    fallback: [],
  },
  tlsCert: { kind: 'text', flag: 'tls-cert', value: 'file', help: 'own certificate, PEM', fallback: undefined },
  tlsKey: { kind: 'text', flag: 'tls-key', value: 'file', help: 'its private key, PEM', fallback: undefined },
  tlsCa: {
    kind: 'text',
    flag: 'tls-ca',
    value: 'file',
    help: 'authority that peers are known by',
    fallback: undefined,
  },
  pskFile: { kind: 'text', flag: 'psk-file', value: 'file', help: 'keys: lines of NAME:HEX', fallback: undefined },
  serverName: {
    kind: 'text',
    flag: 'server-name',
    value: 'name',
    help: 'name in the certificate of the other side (default: its host)',
    fallback: undefined,
  },
  streams: {
    kind: 'text',
    flag: 'streams',
    value: 'count',
    help: 'data streams to another machine: auto, a number, or LOW-HIGH[:FIRST[:FACTOR]]',
    shape: SHAPES.streams,
    fallback: 'auto',
  },
  rateLimit: {
    kind: 'megabytes',
    flag: 'rate-limit',
    value: 'MB',
    help: 'megabytes a second at most that this side sends, over all streams',
    min: 0.001,
    max: 1_000_000,
    fallback: undefined,
  },
  plaintext: { kind: 'boolean', flag: 'plaintext', help: 'no protection; on loopback addresses only', fallback: false },
  restart: {
    kind: 'choice',
    flag: 'restart',
    value: 'when',
    help: 'on-failure: start the application again when it fails',
    choices: ['no', 'on-failure'],
    fallback: 'no',
  },
  restartLimit: {
    kind: 'integer',
    flag: 'restart-limit',
    value: 'n',
    help: 'restarts in a row, before it is given up',
    min: 0,
    max: 1_000_000,
    fallback: 5,
  },
  stopTimeout: {
    kind: 'duration',
    flag: 'stop-timeout',
    value: 'time',
    help: 'after SIGTERM the application is killed after this time; 0: never',
    min: 0,
    max: 86_400_000,
    fallback: 25_000,
  },
  retention: {
    kind: 'text',
    flag: 'retention',
    value: 'rules',
    help: 'prune now and then; rules of the command prune, such as keep-last=100,keep-daily=7',
    shape: SHAPES.retention,
    fallback: undefined,
  },
  retentionInterval: {
    kind: 'duration',
    flag: 'retention-interval',
    value: 'time',
    help: 'time between two prunes',
    min: 10,
    max: 86_400_000,
    fallback: 3_600_000,
  },
  ignore: {
    kind: 'list',
    flag: 'ignore',
    value: 'pattern',
    help: 'gitignore pattern to leave out; may be repeated',
    fallback: [],
  },
  recover: {
    kind: 'choice',
    flag: 'recover',
    value: 'when',
    help: 'auto: into a missing or empty directory; always: keep what is there, then recover; never',
    choices: ['auto', 'always', 'never'],
    fallback: 'auto',
  },
  allowDamaged: {
    kind: 'boolean',
    flag: 'allow-damaged',
    help: 'start although some files could not be brought back',
    fallback: false,
  },
  exec: { kind: 'boolean', flag: 'exec', help: 'watch without starting a command', negated: true, fallback: true },
});

export type OptionKey = keyof typeof OPTION_TABLE;

/** Name of the environment variable of an option. */
export function variableOf(option: OptionFacts): string {
  return `DIFFKEEPER_${option.flag.toUpperCase().replaceAll('-', '_')}`;
}

/** Flag as it stands in help, for example `--ignore <pattern>`. */
export function flagText(option: OptionFacts): string {
  if (option.negated) return `--no-${option.flag}`;
  return option.value === undefined ? `--${option.flag} [bool]` : `--${option.flag} <${option.value}>`;
}
