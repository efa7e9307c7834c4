/**
 * How long changes take to be durable: from the first event about them; where no event announced them, from the time that the
 * kernel stamped the entry with (`ctime`, which nobody can set), as far as that can be believed.
 */
import { type BytePath, type Clock, pathParent, systemClock } from '../core/core.js';
import { MarkSet } from './mark-set.js';

/** Both clocks at once: stamps are of the one, and the other one never jumps. */
export interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** When the clocks part by more than this from one look to the next, the wall clock was set: stamps mean nothing then, ms. */
const SET_MS = 100;
/** A stamp that is ahead by no more is of now: reading two clocks takes time, ms. */
const AHEAD_MS = 20;

/**
 * For how long a change has been there, ms, from 0 to the time since `before`, when a look at the entry found another state.
 * Undefined when nobody knows: the wall clock was set meanwhile, or the stamp is ahead of it.
 *
 * @param isFirst that look was none: what is older was there before anybody watched, and is undefined as well
 */
export function ageOfChange(
  stampMs: number,
  { before, now, isFirst }: { readonly before: Moment; readonly now: Moment; readonly isFirst: boolean },
): number | undefined {
  const sinceMs = now.steadyMs - before.steadyMs;
  if (!(Math.abs(now.wallMs - before.wallMs - sinceMs) <= SET_MS)) return undefined;
  const ageMs = now.wallMs - stampMs;
  if (!(ageMs >= -AHEAD_MS)) return undefined;
  if (isFirst && stampMs < before.wallMs) return undefined;
  // An older stamp than the last look: a tree that was moved here, or a store through a mapping, which moves no time.
  return Math.max(0, Math.min(ageMs, sinceMs));
}

/** What a capture has put into the store. */
export interface WrittenFacts {
  /** Paths that got a version or a removal. */
  readonly written: readonly BytePath[];
  /** When each of these changed last, by its stamp, ms since 1970; 0: it is gone. */
  readonly changedMs: readonly number[];
  /** The same of the state directory itself; 0: unknown. */
  readonly rootChangedMs: number;
  /** Files that are mapped for writing were read whatever their stamps said. */
  readonly rescanned: boolean;
}

export class WatchLag {
  readonly #clock: Clock;
  /** When the last look at everything began; before the first one: when watching did. */
  #looked: Moment;
  /** The same of files that are mapped for writing. */
  #rescanned: Moment;
  #isFirst = true;
  #begun: Moment;
  /** What the capture in progress knows from events. */
  #announced: MarkSet | undefined;
  #rescans = false;
  /** When the oldest change came about that nobody announced, of the clock that never jumps. */
  #foundMs: number | undefined;
  /** Since when captures have failed. */
  #failingMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#begun = this.#moment();
    this.#looked = this.#begun;
    this.#rescanned = this.#begun;
  }

  get announced(): MarkSet | undefined {
    return this.#announced;
  }

  /** A capture begins; gives the set for what it is going to know from events. */
  begin(): MarkSet {
    this.#begun = this.#moment();
    this.#foundMs = undefined;
    this.#rescans = false;
    this.#announced = new MarkSet();
    return this.#announced;
  }

  /** What the capture wrote is durable. */
  wrote({ written, changedMs, rootChangedMs, rescanned }: WrittenFacts, mapped: ReadonlySet<BytePath>): void {
    this.#rescans = rescanned;
    const now = this.#moment();
    let oldestMs = -1;
    for (const [i, path] of written.entries()) {
      // A name that is gone has no stamp, but its directory has, which counts by itself unless it is the uppermost.
      const stampMs = changedMs[i] || (pathParent(path) === '' ? rootChangedMs : 0);
      if (stampMs === 0) continue;
      const before = mapped.has(path) ? this.#rescanned : this.#looked;
      const ageMs = ageOfChange(stampMs, { before, now, isFirst: this.#isFirst });
      if (ageMs === undefined || ageMs <= oldestMs || this.#announced?.announces(path)) continue;
      oldestMs = ageMs;
    }
    if (oldestMs >= 0) this.#foundMs = now.steadyMs - oldestMs;
  }

  /** The capture is over; `full`: it looked at everything. */
  end(full: boolean): { readonly lagMs?: number; readonly scanLagMs?: number } {
    const heardMs = this.#announced?.heardMs ?? Number.POSITIVE_INFINITY;
    const foundMs = this.#foundMs;
    if (full) {
      this.#looked = this.#begun;
      this.#isFirst = false;
    }
    if (this.#rescans) this.#rescanned = this.#begun;
    this.#announced = undefined;
    this.#failingMs = undefined;
    const nowMs = this.#clock.steadyMs();
    return {
      ...(heardMs < Number.POSITIVE_INFINITY && { lagMs: Math.max(0, nowMs - heardMs) }),
      ...(foundMs !== undefined && { scanLagMs: Math.max(0, nowMs - foundMs) }),
    };
  }

  /** The capture failed; gives back what it knew from events. */
  fail(): MarkSet {
    const announced = this.#announced ?? new MarkSet();
    this.#announced = undefined;
    return announced;
  }

  /** Nothing could be kept since then, whether or not a capture began. */
  failing(sinceMs: number): void {
    this.#failingMs ??= sinceMs;
  }

  /** For how long the oldest of what is known and not kept has waited, ms; 0: nothing has. */
  waitingMs(marks: MarkSet): number {
    const sinceMs = Math.min(
      marks.heardMs,
      this.#announced?.heardMs ?? Number.POSITIVE_INFINITY,
      this.#failingMs ?? Number.POSITIVE_INFINITY,
    );
    return sinceMs < Number.POSITIVE_INFINITY ? Math.max(0, this.#clock.steadyMs() - sinceMs) : 0;
  }

  #moment(): Moment {
    // The kernel stamps with the real clock, which is not the one that tests own.
    return { wallMs: systemClock.nowMs(), steadyMs: this.#clock.steadyMs() };
  }
}
