/** Puts flags, environment, configuration file and defaults together, in this order, and checks every value. */
import { readFile } from 'node:fs/promises';
import { DiffKeeperError, type HashAlgo } from '../index.js';
import { allowedText, OPTION_TABLE, type OptionFacts, type OptionKey, variableOf } from './option-table.js';

/** Checked values of all options. Sizes in megabytes, times in milliseconds. */
export interface Settings {
  readonly stateDir: string;
  readonly store: string;
  readonly debug: boolean;
  readonly logFormat: 'human' | 'json';
  readonly json: boolean;
  readonly enableDiff: boolean;
  readonly diffLibrary: 'auto' | 'align' | 'bsdiff' | 'xdelta' | 'zstd' | 'xor' | 'tensor';
  readonly chunkSize: number;
  readonly hashAlgo: HashAlgo;
  readonly dedupScope: 'container';
  readonly setuid: boolean;
  readonly encrypt: boolean;
  readonly passphraseFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly snapshotInterval: number;
  /** Undefined: none was asked for. */
  readonly level: number | undefined;
  readonly consistency: 'file' | 'freeze';
  readonly freezeWith: 'auto' | 'signals';
  readonly checkpointInterval: number;
  /** Percent. */
  readonly maxOverhead: number | undefined;
  readonly maxLag: number;
  readonly retention: string | undefined;
  readonly retentionInterval: number;
  readonly condense: boolean;
  readonly beforeCheckpoint: string | undefined;
  readonly afterCheckpoint: string | undefined;
  readonly hookTimeout: number;
  readonly control: string;
  readonly metricsAddr: string | undefined;
  readonly replicate: readonly string[];
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tlsCa: string | undefined;
  readonly pskFile: string | undefined;
  readonly serverName: string | undefined;
  readonly streams: string;
  /** A second. */
  readonly rateLimit: number | undefined;
  readonly plaintext: boolean;
  readonly restart: 'no' | 'on-failure';
  readonly restartLimit: number;
  readonly stopTimeout: number;
  readonly ignore: readonly string[];
  readonly recover: 'auto' | 'always' | 'never';
  readonly orphan: 'refuse' | 'terminate' | 'ignore';
  readonly allowDamaged: boolean;
  readonly exec: boolean;
}

/** A value before it is checked, and where it came from: the flag, the variable, or the name in the file. */
interface Given {
  readonly raw: unknown;
  readonly origin: string;
}

export interface SettingsSources {
  /** Values by option key, as the command line parser gives them. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: NodeJS.ProcessEnv;
  /** Only these options apply to the command; others in the file or the environment are checked but not used. */
  readonly keys: readonly OptionKey[];
  /** Defaults of the command that differ from those of the options. */
  readonly defaults?: Partial<Readonly<Record<OptionKey, OptionFacts['fallback']>>> | undefined;
}

function given(key: OptionKey, sources: SettingsSources, config: Readonly<Record<string, Given>>): Given | undefined {
  const option = OPTION_TABLE[key];
  const flag = sources.flags[key];
  if (flag !== undefined && !(option.negated && flag === true)) {
    return { raw: flag, origin: `--${option.negated ? 'no-' : ''}${option.flag}` };
  }
  const name = variableOf(option);
  const variable = sources.env[name];
  // An empty variable counts as not set: container files set variables to nothing to say so.
  if (variable !== undefined && variable !== '') {
    const raw = option.kind === 'list' ? variable.split(/[\n,]/).filter((part) => part !== '') : variable;
    return { raw, origin: name };
  }
  return config[key];
}

function refuse(option: OptionFacts, { raw, origin }: Given): DiffKeeperError {
  const shown = typeof raw === 'string' ? `"${raw}"` : JSON.stringify(raw);
  if (typeof raw === 'string' && option.later?.includes(raw)) {
    return new DiffKeeperError(
      'DK_UNSUPPORTED',
      `${origin}: ${shown} is not available in this release; available: ${allowedText(option)}`,
      { name: origin, actual: raw },
    );
  }
  return new DiffKeeperError('DK_CONFIG', `${origin}: got ${shown}; allowed: ${allowedText(option)}`, {
    name: origin,
    actual: String(raw),
    expected: allowedText(option),
  });
}

function checkedText(option: OptionFacts, value: Given): string {
  const { raw } = value;
  if (typeof raw === 'string' && raw !== '' && option.shape?.pattern.test(raw) !== false) return raw;
  throw refuse(option, value);
}

async function checked(option: OptionFacts, value: Given): Promise<unknown> {
  if (option.kind === 'text') return checkedText(option, value);
  if (typeof value.raw === 'boolean' && option.kind === 'boolean') return value.raw;
  const { checkValue } = await import('./option-check.js');
  const result = checkValue(option, value.raw);
  if (result === undefined) throw refuse(option, value);
  if (option.shape && Array.isArray(result)) {
    for (const part of result) checkedText(option, { raw: part, origin: value.origin });
  }
  return result;
}

/** Reads the configuration file: a JSON object whose names are those of the flags. Throws DK_CONFIG. */
async function readConfig(file: string): Promise<Record<string, Given>> {
  const bad = (reason: string, cause?: unknown): DiffKeeperError =>
    new DiffKeeperError('DK_CONFIG', `configuration file ${file}: ${reason}`, { path: file }, cause);
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error), error);
  }
  const { checkConfig } = await import('./option-check.js');
  const entries = checkConfig(parsed);
  if (entries === undefined) throw bad('expected a JSON object');
  const byFlag = new Map(Object.entries(OPTION_TABLE).map(([key, option]) => [option.flag, key]));
  const values: Record<string, Given> = {};
  for (const [name, raw] of Object.entries(entries)) {
    const key = byFlag.get(name);
    if (key === undefined) throw bad(`unknown name "${name}"; allowed: ${[...byFlag.keys()].join(', ')}`);
    values[key] = { raw, origin: `${file}: ${name}` };
  }
  return values;
}

/** Read by the engine's loader, where anything but 1 would pass for "not required". */
function checkNativeVariable({ DIFFKEEPER_REQUIRE_NATIVE: value }: NodeJS.ProcessEnv): void {
  if (value === undefined || ['', '0', '1'].includes(value)) return;
  const name = 'DIFFKEEPER_REQUIRE_NATIVE';
  throw new DiffKeeperError('DK_CONFIG', `${name}: got "${value}"; allowed: 1, 0`, { name, actual: value });
}

/** Checked settings. Throws DK_CONFIG (bad value) or DK_UNSUPPORTED (known, but not in this release). */
export async function resolveSettings(sources: SettingsSources): Promise<Settings> {
  const file = sources.flags.config ?? sources.env.DIFFKEEPER_CONFIG;
  const config = typeof file === 'string' && file !== '' ? await readConfig(file) : {};
  checkNativeVariable(sources.env);
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(OPTION_TABLE) as OptionKey[]) {
    const option = OPTION_TABLE[key];
    const value = given(key, sources, config);
    const fallback = sources.defaults?.[key] ?? option.fallback;
    const result = value === undefined ? fallback : await checked(option, value);
    values[key] = sources.keys.includes(key) ? result : option.fallback;
  }
  // Every value went through its option's check, whose kinds the interface mirrors.
  return values as unknown as Settings;
}
