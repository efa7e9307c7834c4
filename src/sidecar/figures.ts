/** What a sidecar has done and how it is: for the log, the status and the metrics. Counts only; says nothing itself. */
import { type CaptureReport, type LeftOutCounts, NOTHING_LEFT_OUT, type WatchState } from '../capture/capture.js';
import { isDiffKeeperError, systemClock, systemCode } from '../core/core.js';
import type { RecoverReport } from '../recover/recover.js';
import { Spread, type SpreadFacts } from './spread.js';

/** Where a run is. */
export type SidecarPhase = 'recovering' | 'running' | 'restarting' | 'draining' | 'ended';

export type HookName = 'before-checkpoint' | 'after-checkpoint';
export type HookOutcome = 'ok' | 'failed' | 'timeout';

/** Durations that are drawn as histograms. */
export const SERIES = ['pause', 'stop', 'lag', 'scanLag', 'capture', 'chunks', 'recover', 'hook'] as const;
export type SeriesName = (typeof SERIES)[number];

/** Samples kept for a listener that comes later. */
const PENDING_MAX = 4096;

/** Our code of an error, or the system's (`ENOENT`, `EMFILE` ...). */
export function codeOf(error: unknown): string | undefined {
  return isDiffKeeperError(error) ? error.code : systemCode(error) || undefined;
}

export class Figures {
  phase: SidecarPhase = 'recovering';
  watchState: WatchState = 'starting';
  watchReason = '';
  childPid: number | undefined;
  /** What stops the application for a freeze point: `cgroup`, `signals`, or `none`. */
  freezing: 'cgroup' | 'signals' | 'none' = 'none';
  restarts = 0;
  checkpoints = 0;
  captureFailures = 0;
  added = 0;
  changed = 0;
  removed = 0;
  readBytes = 0;
  storedBytes = 0;
  /** What is left out now, as whoever captures knows it. */
  leftOut: () => LeftOutCounts = () => NOTHING_LEFT_OUT;
  /** For how long the oldest change that is known and not kept has waited, ms, as whoever captures knows it. */
  waitingMs: () => number = () => 0;
  /** Time that has to pass from checkpoint to checkpoint so that they are not too dear, ms. */
  spacingMs = 0;
  /** For how long the application has stood still, ms: all freeze points together, whatever became of them. */
  pausedMs = 0;
  lastError: string | undefined;
  lastCheckpointMs: number | undefined;
  readonly errorsByCode = new Map<string, number>();
  readonly hooks = new Map<`${HookName} ${HookOutcome}`, number>();
  recovered:
    | (Pick<RecoverReport, 'entries' | 'written' | 'bytes' | 'elapsedMs'> & { readonly damaged: number })
    | undefined;
  /** Of the clock that never jumps, ms. */
  readonly startedMs = systemClock.steadyMs();
  readonly #spreads = Object.fromEntries(SERIES.map((name) => [name, new Spread()])) as Record<SeriesName, Spread>;
  #pending: [SeriesName, number][] = [];
  #listener: ((name: SeriesName, ms: number) => void) | undefined;

  /** Adds one duration, ms. */
  sample(name: SeriesName, ms: number): void {
    this.#spreads[name].add(ms);
    if (this.#listener) this.#listener(name, ms);
    else if (this.#pending.length < PENDING_MAX) this.#pending.push([name, ms]);
  }

  /** From now on hears every sample, and first those that came before (the first 4096 of them). */
  listen(listener: (name: SeriesName, ms: number) => void): void {
    this.#listener = listener;
    for (const [name, ms] of this.#pending.splice(0)) listener(name, ms);
  }

  /** The application stood still for `pauseMs`, the first `stopMs` of them until all of it did. */
  stoodStill(pauseMs: number, stopMs: number): void {
    this.pausedMs += pauseMs;
    this.sample('pause', pauseMs);
    this.sample('stop', stopMs);
  }

  spread(name: SeriesName): SpreadFacts {
    return this.#spreads[name].facts();
  }

  captured(report: CaptureReport): void {
    this.sample('capture', report.elapsedMs);
    if (report.storedBytes > 0) this.sample('chunks', report.elapsedMs);
    if (report.lagMs !== undefined) this.sample('lag', report.lagMs);
    if (report.scanLagMs !== undefined) this.sample('scanLag', report.scanLagMs);
    this.added += report.added;
    this.changed += report.changed;
    this.removed += report.removed;
    this.readBytes += report.readBytes;
    this.storedBytes += report.storedBytes;
    if (report.checkpoint === null) return;
    this.checkpoints += 1;
    this.lastCheckpointMs = report.checkpoint.timeMs;
  }

  failed(error: unknown): void {
    this.captureFailures += 1;
    const code = codeOf(error) ?? 'other';
    this.errorsByCode.set(code, (this.errorsByCode.get(code) ?? 0) + 1);
    this.lastError = error instanceof Error ? error.message : String(error);
  }

  watching(state: WatchState, reason: string): void {
    this.watchState = state;
    this.watchReason = reason;
    if (state === 'watching') this.lastError = undefined;
  }

  recoverDone(report: RecoverReport): void {
    const { entries, written, bytes, elapsedMs } = report;
    this.recovered = { entries, written, bytes, elapsedMs, damaged: report.damaged.length };
    this.sample('recover', elapsedMs);
  }

  hookDone(name: HookName, outcome: HookOutcome, ms: number): void {
    const key = `${name} ${outcome}` as const;
    this.hooks.set(key, (this.hooks.get(key) ?? 0) + 1);
    this.sample('hook', ms);
  }

  /** The application may be used: its state is back and it runs. */
  get ready(): boolean {
    return this.phase === 'running';
  }

  get degraded(): boolean {
    return this.watchState === 'degraded' || this.unkept > 0;
  }

  /** Why it is degraded, or empty. */
  get reason(): string {
    if (this.watchReason !== '' || this.unkept === 0) return this.watchReason;
    return `entries that cannot be read, or whose paths are too long, are left out: ${this.unkept}`;
  }

  /** Entries left out that are of the application, and that recover would not bring back. */
  get unkept(): number {
    const counts = this.leftOut();
    return counts.unreadable + counts['too-long'];
  }
}
