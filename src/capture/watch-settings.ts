/** Checked times of a watcher, and words for its troubles. */
import { silentLogger, systemCode } from '../core/core.js';
import { checkRetention } from './retention.js';
import type { CaptureReport, WatchOptions } from './types.js';

export interface WatchTimes {
  readonly maxLagMs: number;
  readonly settleMs: number;
  readonly rescanMs: number;
}

/** Fills in defaults; throws RangeError, TypeError for a retention policy that keeps nothing. */
export function checkWatchOptions(options: WatchOptions): WatchTimes {
  const { maxLagMs = 400, settleMs = 50, rescanMs = 10_000 } = options;
  for (const [name, value, min] of [
    ['maxLagMs', maxLagMs, 1],
    ['settleMs', settleMs, 0],
    ['rescanMs', rescanMs, 1],
  ] as const) {
    if (!Number.isFinite(value) || value < min) throw new RangeError(`${name} must be at least ${min}, got ${value}`);
  }
  if (options.retention) checkRetention(options.retention);
  return { maxLagMs, settleMs, rescanMs };
}

/** Whether what keeps changing is captured no later than what is quiet at once. */
export function isTimed({ maxLagMs, settleMs }: WatchTimes): boolean {
  return settleMs >= maxLagMs / 2;
}

/** What the option says, if that is a time: a capture that was made must not fail for it. */
export function spacingOf({ spacing, logger }: WatchOptions, report: CaptureReport, maintained = false): number {
  try {
    const ms = spacing?.(report, { maintained }) ?? 0;
    // What is no number is not above 0 either.
    if (ms > 0) return ms;
    return 0;
  } catch (error) {
    (logger ?? silentLogger).error({ error: String(error) }, 'the option `spacing` threw');
    return 0;
  }
}

/** Why the watcher no longer sees everything, and what to do about it. */
export function describeTrouble(error: Error): string {
  switch (systemCode(error)) {
    case 'ENOSPC':
      return 'too many directories for the inotify limit: raise fs.inotify.max_user_watches; scanning instead';
    case 'EMFILE':
    case 'ENFILE':
      return 'too many open files or inotify instances: raise fs.inotify.max_user_instances, fs.inotify.max_user_watches or the limit of open files; scanning instead';
    default:
      return `a directory cannot be watched (${error.message}); scanning instead`;
  }
}
