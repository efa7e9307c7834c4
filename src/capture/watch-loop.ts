/**
 * Keeps a state directory captured: events only mark paths; this loop takes the marks in batches, when they hold
 * still or when the maximum lag is near, and proves by full scans that no event was missed.
 */
import { type Clock, DiffKeeperError, isDiffKeeperError, systemClock } from '../core/core.js';
import type { Store } from '../store/store.js';
import type { SessionRun } from './capture-pass.js';
import { StateSession, type TakenFacts } from './capture-session.js';
import { FlushQueue } from './flush-queue.js';
import { LoopRest } from './loop-rest.js';
import type { MarkSet } from './mark-set.js';
import { Retention } from './retention.js';
import type { ScanFindings } from './state-scan.js';
import type { CaptureReport, LeftOutCounts, StateWatcher, WatchOptions, WatchState } from './types.js';
import { WatchCoverage } from './watch-coverage.js';
import { type FlushRequest, WatchEmitter } from './watch-events.js';
import { WatchHealth } from './watch-health.js';
import { hearing } from './watch-hearing.js';
import { WatchLag } from './watch-lag.js';
import { checkWatchOptions, isTimed, spacingOf, type WatchTimes } from './watch-settings.js';

/** Full scans wait at least this many times as long as one takes. */
const SCAN_SHARE = 10;

export class WatchLoop extends WatchEmitter implements StateWatcher {
  readonly #options: WatchOptions;
  readonly #times: WatchTimes;
  readonly #clock: Clock;
  /** Both are set by `start`, which alone makes loops. */
  #session!: StateSession;
  #coverage!: WatchCoverage;
  #state: WatchState = 'starting';
  #reason = '';
  readonly #health = new WatchHealth();
  readonly #lag: WatchLag;
  readonly #requests = new FlushQueue();
  #nextFullMs = 0;
  #tickMs = 0;
  #scanMs = 0;
  #captureMs = 0;
  #notBeforeMs = 0;
  #closing = false;
  readonly #rest = new LoopRest();
  #running: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #retention: Retention | undefined;

  private constructor(options: WatchOptions) {
    super(options.logger);
    this.#options = options;
    this.#times = checkWatchOptions(options);
    this.#clock = options.clock ?? systemClock;
    this.#lag = new WatchLag(this.#clock);
  }

  /** See `watch`. */
  static async start(store: Store, stateDir: string, options: WatchOptions): Promise<WatchLoop> {
    const loop = new WatchLoop(options);
    const session = await StateSession.open(store, stateDir, options, {
      scanned: (findings) => loop.#scanned(findings),
      taken: (facts) => loop.#taken(facts),
    });
    loop.#session = session;
    const timing = { clock: loop.#clock, timed: isTimed(loop.#times) };
    loop.#coverage = new WatchCoverage(session, timing, {
      marked: () => loop.#rest.wake(),
      overrun: () => loop.#overrun(),
      troubled: (reason) => loop.#watchFailed(reason),
    });
    await loop.#coverage.start();
    const { retention } = options;
    if (retention) loop.#retention = new Retention(store, retention, loop.logger, (reason) => loop.#unpruned(reason));
    options.signal?.addEventListener('abort', () => void loop.close({ finalCapture: false }).catch(() => {}), {
      once: true,
    });
    // Listeners that the caller adds right after `await watch(...)` hear of the first capture, too.
    setImmediate(() => {
      loop.#running = loop.#closing ? Promise.resolve() : loop.#run();
    });
    return loop;
  }

  get state(): WatchState {
    return this.#state;
  }

  get missedChanges(): number {
    return this.#coverage.missedChanges;
  }

  get leftOut(): LeftOutCounts {
    return this.#session.leftOut;
  }

  get waitingMs(): number {
    return this.#lag.waitingMs(this.#coverage.marks);
  }

  flush(options: { readonly tag?: string; readonly force?: boolean } = {}): Promise<CaptureReport> {
    if (this.#closing) return Promise.reject(new DiffKeeperError('DK_STORE_CLOSED', 'this watcher is closed'));
    return new Promise((resolve, reject) => {
      this.#requests.push({ ...options, resolve, reject });
      this.#rest.wake();
    });
  }

  close(options: { readonly finalCapture?: boolean } = {}): Promise<void> {
    this.#closed ??= this.#closeNow(options.finalCapture ?? true);
    return this.#closed;
  }

  async #closeNow(finalCapture: boolean): Promise<void> {
    this.#closing = true;
    this.#rest.wake();
    const maintained = this.#retention?.close();
    await this.#running;
    for (const { reject } of this.#requests.takeAll()) {
      reject(new DiffKeeperError('DK_STORE_CLOSED', 'the watcher was closed'));
    }
    try {
      if (finalCapture) await this.#capture(true, []);
    } finally {
      // A group that is being compressed hears nothing for seconds: what changed last must not wait for that.
      await maintained;
      await this.#coverage.close();
      await this.#session.close();
      this.#setState('closed', '');
    }
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      const delay = this.#dueMs() - this.#clock.steadyMs();
      if (delay > 0) await this.#rest.sleep(delay);
      else await this.#tick();
    }
  }

  /** When there is something to do. */
  #dueMs(): number {
    if (!this.#requests.empty) return 0;
    if (this.#health.retryMs !== undefined) return this.#health.retryMs;
    const { maxLagMs, settleMs } = this.#times;
    const { marks, unwatchable, calmSinceMs } = this.#coverage;
    const calmed = calmSinceMs < Number.POSITIVE_INFINITY;
    let due = Math.min(this.#nextFullMs, this.#health.mendMs);
    // A calmed directory would only be calmed again at once: it waits for its turn, quiet or not.
    if (calmed) due = Math.min(due, calmSinceMs + this.#patienceMs());
    else if (!marks.empty) due = Math.min(due, marks.lastMs + settleMs);
    if (!marks.empty) due = Math.min(due, marks.firstMs + this.#patienceMs());
    if (unwatchable.size > 0) due = Math.min(due, this.#tickMs + maxLagMs);
    // Stores through a mapping raise no events. What that costs is bounded: all of these files are read.
    const unheard = isTimed(this.#times) && this.#session.mapped.size > 0;
    if (unheard) due = Math.min(due, this.#tickMs + Math.max(maxLagMs / 2, SCAN_SHARE * this.#captureMs));
    return Math.max(due, this.#notBeforeMs);
  }

  /** How long marks may wait for quiet, so that the capture itself still ends within the lag. */
  #patienceMs(): number {
    const { maxLagMs } = this.#times;
    return Math.max(0, Math.min(maxLagMs / 2, maxLagMs - this.#captureMs));
  }

  async #tick(): Promise<void> {
    const requests = this.#requests.take();
    this.#tickMs = this.#clock.steadyMs();
    try {
      await this.#mend();
      await this.#coverage.rearm();
      // A full scan that is nearly due is made along with this one.
      const fullDue = this.#tickMs + this.#times.settleMs >= Math.min(this.#nextFullMs, this.#health.mendMs);
      const full = requests.length > 0 || this.#coverage.marks.overflowed || fullDue;
      const report = await this.#capture(full, requests);
      for (const { resolve } of requests) resolve(report);
    } catch (error) {
      for (const { reject } of requests) reject(error);
      this.#captureFailed(error);
    }
  }

  /** What could not be watched is tried again now and then: limits may have been raised. What failed says so again. */
  async #mend(): Promise<void> {
    const { rescanMs } = this.#times;
    if (!this.#health.takeRetry(this.#tickMs, Math.max(rescanMs, SCAN_SHARE * this.#scanMs))) return;
    await this.#coverage.rewatch();
    this.#nextFullMs = 0;
  }

  /** Captures what is marked, or everything. */
  async #capture(full: boolean, requests: readonly FlushRequest[]): Promise<CaptureReport> {
    const startMs = this.#clock.steadyMs();
    const announced = this.#lag.begin();
    const tag = requests.find((request) => request.tag !== undefined)?.tag;
    const { firstMs, empty } = this.#coverage.marks;
    let report: CaptureReport;
    try {
      report = await this.#session.capture({
        ...this.#scope(full, announced),
        ...(tag !== undefined && { tag }),
        force: requests.some((request) => request.force),
        takeUnsettled: !empty && startMs - firstMs >= this.#patienceMs(),
      });
    } catch (error) {
      this.#coverage.marks.merge(this.#lag.fail());
      throw error;
    }
    const lag = this.#lag.end(full);
    const replaced = await this.#coverage.settle();
    this.#captureMs = this.#clock.steadyMs() - startMs;
    if (full) {
      this.#health.scanned(startMs);
      this.#nextFullMs = this.#clock.steadyMs() + this.#fullEveryMs();
    }
    if (replaced) this.#nextFullMs = 0;
    this.#health.succeeded();
    this.#notBeforeMs = startMs + spacingOf(this.#options, report, this.#retention?.takeWorked() ?? false);
    this.tellLeftOut(report.skipped);
    if (report.checkpoint) this.emit('checkpoint', { ...report, ...lag });
    const { reason } = this.#health;
    if (!this.#closing) this.#setState(reason === '' ? 'watching' : 'degraded', reason);
    return report;
  }

  /** What a capture is to look at. Marks that are handed over go into `announced`. */
  #scope(full: boolean, announced: MarkSet): Pick<SessionRun, 'marks' | 'freeze' | 'hear' | 'rescan'> {
    const { freeze, mapped } = this.#options;
    const all = full && { rescan: mapped?.() ?? [] };
    if (freeze) {
      return { freeze, hear: hearing({ coverage: this.#coverage, health: this.#health, announced, full }), ...all };
    }
    announced.merge(this.#coverage.takeMarks());
    return all || { marks: [...announced.paths] };
  }

  #fullEveryMs(): number {
    const { maxLagMs, rescanMs } = this.#times;
    return Math.max(this.#health.trouble === '' ? rescanMs : maxLagMs, SCAN_SHARE * this.#scanMs);
  }

  #scanned(findings: ScanFindings): void {
    if (findings.full) this.#scanMs = this.#clock.steadyMs() - this.#tickMs;
    this.#coverage.scanned(findings);
  }

  #taken(facts: TakenFacts): void {
    const { written, again, full } = facts;
    const { announced } = this.#lag;
    if (!announced) return;
    this.#lag.wrote(facts, this.#session.mapped);
    // The very first scan finds what was there before anybody watched, and a lost watch announces nothing.
    if (full && this.#state === 'watching') this.#coverage.suspect(written, announced);
    this.#coverage.marks.addAgain(again, announced, this.#clock.steadyMs());
  }

  /** The kernel drops events when its queue is full, and does not say whose: a full scan finds what they were about. */
  #overrun(): void {
    const pause = Math.max(this.#patienceMs(), SCAN_SHARE * this.#scanMs);
    const nowMs = this.#clock.steadyMs();
    this.#nextFullMs = Math.min(this.#nextFullMs, nowMs + pause);
    this.#health.overrun(nowMs);
    if (this.#state === 'watching') this.#setState('degraded', this.#health.reason);
  }

  #watchFailed(reason: string): void {
    this.#health.troubled(reason, this.#clock.steadyMs());
    this.#nextFullMs = Math.min(this.#nextFullMs, this.#clock.steadyMs() + this.#times.maxLagMs);
    if (this.#state === 'watching') this.#setState('degraded', reason);
    this.#rest.wake();
  }

  #captureFailed(error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#health.failed(this.#clock.steadyMs());
    this.#lag.failing(this.#tickMs);
    // What was marked is kept; a full scan also finds what happened meanwhile, for example to the directory itself.
    this.#nextFullMs = 0;
    if (isDiffKeeperError(error, 'DK_ABORTED') && this.#closing) return;
    this.#setState('degraded', `capture failed, trying again: ${failure.message}`);
    this.tellFailure(failure);
  }

  #unpruned(reason: string): void {
    this.#health.unpruned = reason;
    const settled = this.#health.retryMs === undefined;
    if (settled && (this.#state === 'watching' || this.#state === 'degraded')) {
      this.#setState(this.#health.reason === '' ? 'watching' : 'degraded', this.#health.reason);
    }
  }

  #setState(state: WatchState, reason: string): void {
    if (state === this.#state && reason === this.#reason) return;
    this.#state = state;
    this.#reason = reason;
    this.emit('state', state, reason);
  }
}
