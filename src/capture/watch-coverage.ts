/** What events announced since the last capture, and which directories they can come from. */
import { type BytePath, type Clock, isPathWithinLimits, isWithin, pathParent } from '../core/core.js';
import { ENTRY } from '../engine/engine.js';
import { CalmTurns } from './calm-turns.js';
import type { Heard } from './capture-pass.js';
import type { StateSession } from './capture-session.js';
import { rowType } from './entry-version.js';
import { MarkSet } from './mark-set.js';
import { MissedChanges } from './missed-changes.js';
import type { ScanFindings } from './state-scan.js';
import { describeTrouble } from './watch-settings.js';
import { DirectoryWatcher } from './watcher.js';

export interface CoverageEvents {
  /** The first mark since the last capture was set. */
  marked(): void;
  /** Events came faster than they can be handled, and some may be lost. */
  overrun(): void;
  /** Events no longer cover everything. */
  troubled(reason: string): void;
}

export class WatchCoverage {
  readonly #session: StateSession;
  readonly #clock: Clock;
  readonly #events: CoverageEvents;
  readonly #watcher: DirectoryWatcher;
  readonly #missed = new MissedChanges();
  #marks = new MarkSet();
  /** Watched directories whose names came, went or changed hands. */
  #stale = new Set<BytePath>();
  /** Since when a directory is off watch, because it had too many events. */
  #calmSinceMs = Number.POSITIVE_INFINITY;
  readonly #turns: CalmTurns;
  #arming: Promise<void> = Promise.resolve();
  #identity: string;

  constructor(
    session: StateSession,
    timing: { readonly clock: Clock; readonly timed: boolean },
    events: CoverageEvents,
  ) {
    const { clock, timed } = timing;
    this.#session = session;
    this.#clock = clock;
    this.#events = events;
    this.#identity = session.identity;
    this.#turns = new CalmTurns(timed);
    this.#watcher = new DirectoryWatcher(session.root, timed, {
      changed: (path, renamed) => this.#changed(path, renamed),
      unnamed: (directory) => this.#mark(directory),
      calmed: (directory, lossy) => this.#calmed(directory, lossy),
      failed: (error) => events.troubled(describeTrouble(error)),
      ignores: (directory) => this.#ignores(directory, true),
    });
  }

  get marks(): MarkSet {
    return this.#marks;
  }

  get missedChanges(): number {
    return this.#missed.count(this.#clock.steadyMs());
  }

  /** Directories that must be listed now and then, because they cannot be watched. */
  get unwatchable(): ReadonlySet<BytePath> {
    return this.#watcher.unwatchable;
  }

  /** Since when changes of some directory go unheard, to be listed at the next capture; Infinity when all are heard. */
  get calmSinceMs(): number {
    return this.#calmSinceMs;
  }

  /** Watches the whole state directory. */
  async start(): Promise<void> {
    await this.#watcher.arm('');
  }

  /** Hands over the marks and begins a new set. */
  takeMarks(): MarkSet {
    const marks = this.#marks;
    this.#marks = new MarkSet();
    return marks;
  }

  /** What was heard since the last call, once the events of everything that happened so far are in. */
  async hear(announced: MarkSet): Promise<Heard> {
    // The first turn ends the poll that is under way, the second one polls: it empties the kernel's queue.
    for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const marks = this.takeMarks();
    announced.merge(marks);
    const { unwatchable, calmed } = this.#watcher;
    return { paths: [...marks.paths, ...unwatchable, ...calmed], everything: marks.overflowed || marks.lossy };
  }

  /** A scan reports: new directories are watched while the capture goes on. */
  scanned(findings: ScanFindings): void {
    this.#turns.looked(this.#watcher.calmed, changedIn(findings));
    for (const path of findings.removed) if (this.#watcher.has(path)) this.#stale.add(path);
    const fresh: BytePath[] = [];
    for (const [path, row] of findings.found) {
      if (rowType(row) !== ENTRY.directory) continue;
      if (!this.#watcher.has(path)) fresh.push(path);
      else if (this.#session.tookPlaceOf(path, row)) this.#stale.add(path);
    }
    if (fresh.length > 0) this.#arming = this.#arming.then(() => this.#arm(fresh));
  }

  /** A full scan that nobody asked for wrote these; what the marks did not announce was missed by the events. */
  suspect(written: readonly BytePath[], marks: MarkSet): void {
    if (marks.overflowed) return;
    // What is stored through a mapping raises no event.
    const announced = new Set([...marks.paths, ...this.#watcher.calmed, ...this.#session.mapped]);
    this.#missed.suspect(written, announced, this.#clock.steadyMs());
  }

  /**
   * Before a capture: watches anew the directories that changed hands, and those that were too busy and may not be any more. Those that
   * cannot be watched are listed each time.
   */
  async rearm(): Promise<void> {
    await this.#arming;
    const stale = this.#stale;
    if (stale.size > 0) {
      this.#stale = new Set();
      this.#watcher.disarm(stale);
      await this.#arm([...stale]);
    }
    const sinceMs = this.#calmSinceMs;
    const calmed = this.#watcher.rearmCalmed((directory) => this.#turns.stays(directory));
    this.#turns.rearmed(calmed);
    for (const directory of calmed) this.#mark(directory, { sinceMs });
    for (const directory of this.unwatchable) this.#mark(directory, { heard: false });
    this.#calmSinceMs = this.#watcher.calmed.size > 0 ? this.#clock.steadyMs() : Number.POSITIVE_INFINITY;
  }

  /** After a capture: every directory found is watched; true when the state directory itself was replaced. */
  async settle(): Promise<boolean> {
    await this.#arming;
    if (this.#session.identity === this.#identity) return false;
    this.#identity = this.#session.identity;
    await this.rewatch();
    return true;
  }

  /** Watches everything anew; what happens meanwhile is for a full scan to find. */
  async rewatch(): Promise<void> {
    await this.#arming;
    await this.#watcher.restart();
    await this.#watcher.arm('');
  }

  async close(): Promise<void> {
    await this.#arming;
    await this.#watcher.close();
  }

  /** What happened in a directory before it was watched is unknown, so each is listed once more. */
  async #arm(directories: readonly BytePath[]): Promise<void> {
    for (const directory of directories) {
      for (const fresh of await this.#watcher.arm(directory)) this.#mark(fresh, { heard: false });
    }
  }

  #changed(path: BytePath, renamed: boolean): void {
    // It cannot be asked for; the list of its directory tells whether it is there.
    if (!isPathWithinLimits(path)) {
      this.#mark(pathParent(path));
      return;
    }
    if (!renamed && this.#marks.hears(path)) {
      // The common case of a busy file: all that is to do about it has been done.
      this.#marks.lastMs = this.#clock.steadyMs();
      return;
    }
    if (this.#ignores(path, false)) return;
    if (renamed && this.#watcher.has(path)) this.#stale.add(path);
    this.#missed.clear(path);
    this.#mark(path);
  }

  #mark(path: BytePath, { sinceMs, heard = true }: { readonly sinceMs?: number; readonly heard?: boolean } = {}): void {
    const first = this.#marks.empty;
    this.#marks.add(path, this.#clock.steadyMs(), heard);
    if (sinceMs !== undefined) this.#marks.backdate(sinceMs);
    if (first) this.#events.marked();
  }

  #calmed(directory: BytePath, lossy: boolean): void {
    this.#calmSinceMs = Math.min(this.#calmSinceMs, this.#clock.steadyMs());
    this.#mark(directory);
    if (!lossy) return;
    this.#marks.lossy = true;
    this.#events.overrun();
  }

  #ignores(path: BytePath, directory: boolean): boolean {
    if (!isPathWithinLimits(path)) return true;
    if (this.#session.skipped.some((skipped) => isWithin(path, skipped))) return true;
    return path !== '' && (this.#session.rules?.ignores(path, directory) ?? false);
  }
}

function* changedIn({ found, removed }: ScanFindings): Generator<BytePath> {
  yield* found.keys();
  yield* removed;
}
