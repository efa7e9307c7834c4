/** Reads `--at` and whole numbers of the commands' own options. */
import { DiffKeeperError, type Store } from '../index.js';
import { assertTag } from './tag-text.js';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const RELATIVE = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d|w)(?: ago)?$/;
const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;
/** A time with seconds and no fraction of one, as `log` shows it. */
const WHOLE_SECOND = /:\d{2}:\d{2}(?![.\d])/;
const LARGEST_DATE_MS = 8.64e15;
const TAG_MARK = 'tag:';
const ALLOWED = 'a checkpoint number, an ISO time, a time ago such as 10m, 2h, "3d ago", or a tag (TAG, tag:TAG)';

/** The newest checkpoint that has this tag. */
export interface TaggedMoment {
  readonly tag: string;
  /** Name of the argument, for the error when no checkpoint has the tag. */
  readonly name: string;
  /** Written with `tag:`: it cannot have been meant as anything else. */
  readonly marked: boolean;
}

export type Moment = number | Date | TaggedMoment;

function refused(name: string, text: string, more = ''): DiffKeeperError {
  return new DiffKeeperError('DK_ARGUMENT', `${name}: got "${text}"; allowed: ${ALLOWED}${more}`, {
    name,
    actual: text,
  });
}

/**
 * A checkpoint number (digits only), a moment, or else a tag. Moments are ISO times (local without a zone; one that is
 * given to the second lasts to the end of that second) and times ago such as `10m`, `2h ago`, `1.5d`. `tag:` in front
 * makes a tag of anything. Undefined stays undefined. Throws DK_ARGUMENT.
 */
export function parseMoment(value: unknown, nowMs: number, name = '--at'): Moment | undefined {
  if (value === undefined) return undefined;
  const text = String(value).trim();
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  const relative = RELATIVE.exec(text);
  if (relative) {
    const ago = Number(relative[1]) * (UNIT_MS[relative[2] ?? ''] ?? 0);
    if (ago < LARGEST_DATE_MS) return new Date(nowMs - ago);
  }
  // A day without a time is meant in local time; the language would take it as UTC.
  const date = ISO.test(text) ? new Date(text.length === 10 ? `${text}T00:00` : text) : undefined;
  // Checkpoints are shown to the second: the one that is shown with this time must be found by it.
  if (date !== undefined && WHOLE_SECOND.test(text)) date.setMilliseconds(999);
  if (date !== undefined && !Number.isNaN(date.getTime())) return date;
  const marked = text.startsWith(TAG_MARK);
  // As it was typed: a tag may begin or end with a space.
  const tag = marked ? String(value).trimStart().slice(TAG_MARK.length) : String(value);
  if (tag.trim() === '') throw refused(name, text);
  assertTag(name, tag);
  return { tag, name, marked };
}

/**
 * What the library takes for a moment: of a tag the number of the newest checkpoint that has it. Throws DK_NOT_FOUND
 * when none has, or DK_ARGUMENT for what may have been meant as a time.
 */
export async function resolveMoment(store: Store, moment: Moment): Promise<number | Date> {
  if (typeof moment === 'number' || moment instanceof Date) return moment;
  const { tag, name, marked } = moment;
  for await (const checkpoint of store.checkpoints()) if (checkpoint.tag === tag) return checkpoint.sequence;
  if (marked) throw new DiffKeeperError('DK_NOT_FOUND', `no checkpoint has the tag "${tag}"`, { name: tag });
  throw refused(name, tag, '; no checkpoint has that tag');
}

/** A whole number not below 0. Throws DK_ARGUMENT that names the flag. */
export function parseCount(flag: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  const text = String(value);
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new DiffKeeperError('DK_ARGUMENT', `${flag}: got "${text}"; allowed: a whole number from 0 up`, {
    name: flag,
    actual: text,
  });
}

/** A share such as `5%` or `0.5%`, as a number above 0 and at most 1. Throws DK_ARGUMENT that names the flag. */
export function parseShare(flag: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const text = String(value);
  const share = Number(/^(\d{1,3}(?:\.\d+)?) ?%$/.exec(text)?.[1] ?? Number.NaN) / 100;
  if (share > 0 && share <= 1) return share;
  throw new DiffKeeperError('DK_ARGUMENT', `${flag}: got "${text}"; allowed: a share above 0 %, such as 5%`, {
    name: flag,
    actual: text,
  });
}
