/** What is said of each option, and what addresses and rules look like, so that a wrong one is told by the name it came under. */

export interface TextShape {
  readonly pattern: RegExp;
  /** The same in words, as it stands behind "allowed:". */
  readonly words: string;
}

/** How a value is read. */
export type ValueKind = 'text' | 'list' | 'boolean' | 'integer' | 'megabytes' | 'percent' | 'duration' | 'choice';

export interface OptionFacts {
  readonly kind: ValueKind;
  /** Flag without its dashes; also the name in the configuration file. */
  readonly flag: string;
  /** Name of the value in help; absent for switches. */
  readonly value?: string;
  readonly help: string;
  readonly fallback: string | number | boolean | readonly string[] | undefined;
  readonly choices?: readonly string[];
  /** Of text and of each part of a list: what it must look like, and that in words. */
  readonly shape?: TextShape;
  /** Choices that are known but not in this release: answered with DK_UNSUPPORTED. */
  readonly later?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Written as `--no-FLAG` on the command line. */
  readonly negated?: boolean;
}

const PORT = String.raw`:\d{1,5}`;
const LOOPBACK = String.raw`(localhost|127(\.\d{1,3}){3}|\[::1\])`;
const COUNTED = String.raw`keep-(last|hourly|daily|weekly|monthly)=\d{1,9}`;
const RULE = String.raw`\s*(${COUNTED}|keep-tag=[^,]+|keep-within=\d{1,9}(\.\d+)?[smhdw])\s*`;

export const SHAPES = {
  control: {
    pattern: new RegExp(`^(auto|off|unix:.+|${LOOPBACK}${PORT})$`),
    words: 'auto, off, unix:PATH, HOST:PORT on a loopback address (--metrics-addr can be reached from elsewhere)',
  },
  metricsAddr: {
    pattern: new RegExp(String.raw`^(unix:.+|(\[[0-9a-fA-F:.]+\]|[\w.-]*)${PORT})$`),
    words: 'HOST:PORT, :PORT, unix:PATH',
  },
  replicate: {
    pattern: /^(tls|tcp):\/\/[^/]+/,
    words: 'tls://HOST:PORT/NAME, tcp://HOST:PORT/NAME on this machine',
  },
  streams: {
    pattern: /^(auto|\d{1,3}(-\d{1,3}(:\d{1,3}(:\d{1,2}(\.\d+)?)?)?)?)$/,
    words: 'auto, 1 to 256, LOW-HIGH, LOW-HIGH:FIRST, LOW-HIGH:FIRST:FACTOR with a factor above 1 and up to 16',
  },
  retention: {
    pattern: new RegExp(`^${RULE}(,${RULE})*$`),
    words:
      'keep-last, keep-hourly, keep-daily, keep-weekly, keep-monthly (=NUMBER), keep-tag=TEXT, keep-within=30d, with commas between them',
  },
} as const satisfies Readonly<Record<string, TextShape>>;

/** What a value may be, in words. */
export function allowedText(option: OptionFacts): string {
  switch (option.kind) {
    case 'choice':
      return (option.choices ?? []).join(', ');
    case 'boolean':
      return 'true, false';
    case 'integer':
      return `a whole number from ${option.min} to ${option.max}`;
    case 'megabytes':
      return `megabytes, from ${option.min} to ${option.max}`;
    case 'percent':
      return `percent, such as 5%, from ${option.min} to ${option.max}`;
    case 'duration':
      return `a time such as 500ms, 2s, 1m (a bare number is milliseconds), from ${option.min}ms to 24h`;
    default:
      return option.shape?.words ?? 'text that is not empty';
  }
}

/** Name of the environment variable of an option. */
export function variableOf(option: OptionFacts): string {
  return `DIFFKEEPER_${option.flag.toUpperCase().replaceAll('-', '_')}`;
}

/** Flag as it stands in help, for example `--ignore <pattern>`. */
export function flagText(option: OptionFacts): string {
  if (option.negated) return `--no-${option.flag}`;
  return option.value === undefined ? `--${option.flag} [bool]` : `--${option.flag} <${option.value}>`;
}
