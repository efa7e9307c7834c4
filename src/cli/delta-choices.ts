/** What the flags of `delta` choose: engine, effort or level, digest. */
import type { DeltaChoice, DiffOptions, Effort } from '../index.js';
import { argumentError } from './failure.js';
import { OPTION_TABLE } from './option-table.js';
import type { Settings } from './settings.js';

const EFFORTS: readonly Effort[] = ['fast', 'balanced', 'max'];

/** zstd level when neither is given. */
const LEVEL_DEFAULT = 3;

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T | undefined {
  if (value === undefined) return undefined;
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw argumentError('delta', `--${name}: got "${String(value)}"; allowed: ${allowed.join(', ')}`);
}

/** `--element-bytes`: floats of this width from the first byte on. */
function announced(value: unknown, bytes: number): DiffOptions {
  const text = oneOf('element-bytes', value, ['2', '4', '8']);
  if (text === undefined) return {};
  return { regions: [{ begin: 0, bytes, width: Number(text) as 2 | 4 | 8, source: 0 }] };
}

/** How much time a smaller delta may cost: `--effort` goes before `--level`. Throws DK_ARGUMENT. */
export function paceOf(settings: Settings, local: Readonly<Record<string, unknown>>) {
  const effort = oneOf('effort', local.effort, EFFORTS);
  return effort === undefined ? { level: settings.level ?? LEVEL_DEFAULT } : { effort };
}

/** `--engine` goes before `--diff-library`. Throws DK_ARGUMENT. */
export function diffChoices(
  settings: Settings,
  local: Readonly<Record<string, unknown>>,
  targetBytes: number,
): DiffOptions {
  const { diffLibrary, hashAlgo } = settings;
  const engine = oneOf('engine', local.engine, OPTION_TABLE.diffLibrary.choices as readonly DeltaChoice[]);
  return {
    engine: engine ?? diffLibrary,
    hashAlgo,
    ...paceOf(settings, local),
    ...announced(local.elementBytes, targetBytes),
  };
}
