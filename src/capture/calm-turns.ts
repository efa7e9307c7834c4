/**
 * Directories that had too many events, from one capture to the next. One that changes all the time would be watched anew for each
 * capture only to be too busy again: a wake of ours for each of its events, beside an application that wants the processor. So it
 * stays off watch, and is listed at each capture, for as long as listing it finds changes.
 */
import { type BytePath, pathParent } from '../core/core.js';

/** Captures in a row after which a directory is watched again: there may be few events by now. */
const CAPTURES_MAX = 16;

export class CalmTurns {
  /** Captures since each of those that stay off watch has been watched. */
  readonly #captures = new Map<BytePath, number>();
  readonly #timed: boolean;
  /** Off watch until the capture that is about to look at them: what was heard of them last was too much. */
  readonly #rearmed = new Set<BytePath>();

  /** @param timed whether captures come at their time: only then nobody waits for an event */
  constructor(timed: boolean) {
    this.#timed = timed;
  }

  /** These directories, all that were off watch, are watched again but for those that stay; the capture that begins lists them. */
  rearmed(calmed: ReadonlySet<BytePath>): void {
    // That may be done more than once for a capture.
    for (const directory of calmed) this.#rearmed.add(directory);
  }

  /** A capture has looked at these directories, which are off watch, and found these paths changed or gone. */
  looked(calmed: ReadonlySet<BytePath>, changed: Iterable<BytePath>): void {
    // A directory with some dozen events between two captures has none in the moment since it was watched again.
    const before = new Set(this.#rearmed);
    this.#rearmed.clear();
    if (!this.#timed || (calmed.size === 0 && before.size === 0 && this.#captures.size === 0)) return;
    const busy = new Set<BytePath>();
    for (const path of changed) {
      const directory = pathParent(path);
      if (calmed.has(directory) || before.has(directory)) busy.add(directory);
    }
    for (const directory of this.#captures.keys()) if (!busy.has(directory)) this.#captures.delete(directory);
    for (const directory of busy) {
      const captures = (this.#captures.get(directory) ?? 0) + 1;
      if (captures > CAPTURES_MAX) this.#captures.delete(directory);
      else this.#captures.set(directory, captures);
    }
  }

  /** Whether the directory is not to be watched for the next capture either. */
  stays(directory: BytePath): boolean {
    return this.#captures.has(directory);
  }
}
