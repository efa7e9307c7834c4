/** Reads the rules of a retention policy: as options of `prune`, or as one text such as `keep-last=100,keep-daily=7`. */
import { DiffKeeperError, type PrunePolicy, type RetentionOptions } from '../index.js';
import { parseCount } from './moment.js';
import type { Settings } from './settings.js';

const COUNTS = {
  'keep-last': 'keepLast',
  'keep-hourly': 'keepHourly',
  'keep-daily': 'keepDaily',
  'keep-weekly': 'keepWeekly',
  'keep-monthly': 'keepMonthly',
} as const;

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function refuse(name: string, text: string, allowed: string): DiffKeeperError {
  return new DiffKeeperError('DK_ARGUMENT', `${name}: got "${text}"; allowed: ${allowed}`, { name, actual: text });
}

/** Milliseconds of `30d`, `12h`, `2w`, `90m`, `10s`. */
function parseAge(name: string, text: string): number {
  const [, amount, unit] = /^(\d{1,9}(?:\.\d+)?)(s|m|h|d|w)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) throw refuse(name, text, 'a time such as 12h, 30d, 4w');
  return Number(amount) * (UNIT_MS[unit] ?? 0);
}

/**
 * A policy from pairs of name and value, names as the flags are without their dashes. Throws DK_ARGUMENT, also when
 * nothing is to be kept.
 *
 * @param prefix what stands before a name in messages, `--` for flags
 */
export function parseRules(pairs: Iterable<readonly [name: string, value: string]>, prefix: string): PrunePolicy {
  const counts: Partial<Record<(typeof COUNTS)[keyof typeof COUNTS], number>> = {};
  const keepTags: string[] = [];
  let keepWithinMs: number | undefined;
  for (const [name, value] of pairs) {
    const key = Object.hasOwn(COUNTS, name) ? COUNTS[name as keyof typeof COUNTS] : undefined;
    if (key !== undefined) counts[key] = parseCount(`${prefix}${name}`, value, 0);
    else if (name === 'keep-tag' && value !== '') keepTags.push(value);
    else if (name === 'keep-within') keepWithinMs = parseAge(`${prefix}${name}`, value);
    else throw refuse(`${prefix}${name}`, value, `${Object.keys(COUNTS).join(', ')}, keep-tag, keep-within`);
  }
  const some = Object.values(counts).some((count) => count > 0) || keepTags.length > 0 || keepWithinMs !== undefined;
  if (!some) {
    throw new DiffKeeperError(
      'DK_ARGUMENT',
      `say what to keep: at least one of ${prefix}keep-last, ${prefix}keep-daily ...`,
    );
  }
  return { ...counts, keepTags, ...(keepWithinMs !== undefined && { keepWithinMs }) };
}

/** `keep-last=100,keep-daily=7`. Throws DK_ARGUMENT. */
export function parseRetention(text: string): PrunePolicy {
  const pairs = text.split(',').map((part): [string, string] => {
    const [name = '', ...rest] = part.trim().split('=');
    return [name, rest.join('=')];
  });
  return parseRules(pairs, '--retention: ');
}

/** What `watch` and `run` are given. Throws DK_ARGUMENT. */
export function retentionOptions(settings: Settings): { readonly retention?: RetentionOptions } {
  const { retention, condense, retentionInterval: intervalMs } = settings;
  if (retention === undefined && !condense) return {};
  return { retention: { ...(retention !== undefined && { policy: parseRetention(retention) }), condense, intervalMs } };
}
