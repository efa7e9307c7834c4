/** Reads `--at` and whole numbers of the commands' own options. */
import { DiffKeeperError } from '../index.js';

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
const LARGEST_DATE_MS = 8.64e15;

/**
 * A checkpoint number (digits only) or a moment: ISO time (local without a zone), or a time ago such as `10m`,
 * `2h ago`, `1.5d`. Undefined stays undefined. Throws DK_ARGUMENT.
 */
export function parseMoment(value: unknown, nowMs: number): number | Date | undefined {
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
  if (date !== undefined && !Number.isNaN(date.getTime())) return date;
  throw new DiffKeeperError(
    'DK_ARGUMENT',
    `--at: got "${text}"; allowed: a checkpoint number, an ISO time, or a time ago such as 10m, 2h, "3d ago"`,
    { name: '--at', actual: text },
  );
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
