/**
 * Freeze points: stops every process of the application, so that all files are of one instant, and lets them go on.
 * With a control group of our own where there is one, otherwise with signals. Linux only (`/proc`).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError, Semaphore } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import type { FreezeGroup } from './cgroup.js';
import { GroupAnchor } from './group-anchor.js';
import { hasEnded, type Leader, leaderOf, mappedWritable, stillLeading } from './proc.js';
import { letGo, type Standstill, stopBySignals, stopGroup } from './stop-all.js';
import type { StopList } from './stop-list.js';
import { type Adoption, type ProcessSurvey, surveyProcesses } from './survey.js';
import type { Watchdog } from './watchdog.js';

/**
 * Time given to all processes to stop, ms: a thread inside a slow disk write stops only after it. After a failure the
 * next try is given twice the time, so that a slow disk delays checkpoints and does not prevent them.
 */
const STOP_WAIT_MS = 200;
const STOP_WAIT_MAX_MS = 3200;
/** Tries when there is no other time, and the rest between them, ms. */
const LAST_TRIES = 8;
const LAST_REST_MS = 50;
/** Longest pause, ms: a capture that hangs must not take the application with it. */
const PAUSE_MAX_MS = 60_000;

export interface FrozenState {
  /** Files that are mapped shared and writable: to be read whatever their times say. */
  readonly rescan: readonly string[];
  /**
   * Lets the application go on; gives the pause in milliseconds, 0 when nobody was there to be stopped. Further calls
   * give the same. Throws DK_IO when it had gone on before, because the pause had become too long, or by somebody else's
   * doing: the bytes taken are not of one instant.
   */
  thaw(): Promise<number>;
}

export interface FreezerOptions {
  /** Whether what is started leads a group of its own, which can be signalled as a whole. */
  readonly ownGroup: boolean;
  /** Control group that the application is started in. */
  readonly group?: FreezeGroup;
  /** Value of the mark in the environment of the application. */
  readonly mark: string;
  /** Given where orphans come to us. */
  readonly adoption?: Adoption;
  /** Real path of the state directory. */
  readonly root: string;
  readonly watchdog: Watchdog;
  readonly clock: Clock;
  /** Remembers who is stopped by signals, should nobody be left to let them go on. Default: nobody does. */
  readonly stopped?: StopList;
  /** Told of each pause, ms, and of the part of it until everybody stood still; also of one that failed. */
  readonly onPause?: (pauseMs: number, stopMs: number) => void;
}

/** There is nobody to stop. */
const NOBODY: Standstill = { members: new Set(), holds: () => true, resume: () => {} };

/** A standstill that a capture makes use of. */
interface Point extends FrozenState {
  /** Resolves when the application goes on. */
  readonly over: Promise<void>;
  readonly giveUp: (reason: string) => void;
}

/** Stops and resumes an application: all processes that were started for it, and whatever outlives them. */
export class Freezer {
  readonly #options: FreezerOptions;
  readonly #calls = loadProcessCalls();
  /** For a standstill, or the start of a process: what began in a standstill would not stand still. */
  readonly #turns = new Semaphore(1);
  /** The newest one comes last. */
  #leaders: Leader[] = [];
  #point: Point | undefined;
  #stopWaitMs = STOP_WAIT_MS;
  /** There will be no other time: what does not stop is waited for, up to 16 seconds. */
  patient = false;

  constructor(options: FreezerOptions) {
    this.#options = options;
  }

  /** Starts a process that belongs to the application from then on, at a moment in which nothing stands still. */
  start<T extends { readonly pid: number }>(start: () => Promise<T>): Promise<T> {
    return this.#turns.run(async () => {
      const started = await start();
      this.#leaders = [...stillLeading(this.#leaders), leaderOf(started.pid)];
      return started;
    });
  }

  /**
   * Stops the application. Throws DK_IO, with everything running again, when it does not come to a stop, and DK_SPAWN,
   * with nobody stopped, when the watchdog cannot be started.
   */
  async freeze(): Promise<FrozenState> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#freezeInTurn();
      } catch (error) {
        if (!this.patient || tries >= LAST_TRIES) throw error;
        await sleep(LAST_REST_MS);
      }
    }
  }

  /** Resumes the application if it stands still: whatever went wrong, it must not stay stopped. What was taken is void. */
  release(): void {
    this.#point?.giveUp('the freeze point was given up');
  }

  #freezeInTurn(): Promise<FrozenState> {
    return new Promise((resolve, reject) => {
      this.#turns
        .run(async () => {
          const point = await this.#freezeNow();
          resolve(point);
          await point.over;
        })
        .catch(reject);
    });
  }

  async #freezeNow(): Promise<Point> {
    const { watchdog, clock } = this.#options;
    // Looking around while the application still runs keeps the pause short.
    let seen = this.#look();
    // Whoever is born during a look, of somebody who ends in it, may be missed once.
    if (seen.members.size === 0) seen = this.#look();
    if (seen.members.size === 0) return this.#pointOf(NOBODY, [], { startMs: 0, stillMs: 0 });
    await watchdog.ensure();
    const group = this.#groupOfAll(seen.members);
    if (!group) this.#options.stopped?.note(seen.members);
    // In a session of its own nothing depends on us.
    const anchor = group || this.#options.ownGroup ? undefined : GroupAnchor.hold(seen.members, this.#calls);
    const startMs = clock.steadyMs();
    let stillMs: number | undefined;
    let still: Standstill | undefined;
    try {
      still = await this.#stop(seen, group, anchor);
      stillMs = clock.steadyMs();
      return this.#pointOf(still, this.#mapped(still), { startMs, stillMs });
    } catch (error) {
      if (still) letGo(still.resume, watchdog);
      anchor?.end();
      const nowMs = clock.steadyMs();
      this.#options.onPause?.(nowMs - startMs, (stillMs ?? nowMs) - startMs);
      throw error;
    }
  }

  /** Everybody who is to stand still; of the control group all, whatever they look like. */
  #look(): ProcessSurvey {
    const { group, mark, adoption } = this.#options;
    const { members, others } = surveyProcesses(this.#leaders, mark, undefined, adoption);
    const inside = group?.members() ?? new Set();
    if (inside.size === 0) return { members, others };
    return {
      members: new Set([...members, ...inside]),
      others: new Set([...others].filter((pid) => !inside.has(pid))),
    };
  }

  async #stop(
    seen: ProcessSurvey,
    group: FreezeGroup | undefined,
    anchor: GroupAnchor | undefined,
  ): Promise<Standstill> {
    const { watchdog, clock, mark, ownGroup, adoption } = this.#options;
    const parts = { watchdog, clock, waitMs: this.#stopWaitMs };
    try {
      const still = group
        ? await stopGroup(group, parts)
        : await stopBySignals(seen, {
            ...parts,
            leaders: this.#leaders,
            mark,
            ownGroup,
            ...(adoption && { adoption }),
            ...(anchor && { anchor }),
          });
      this.#stopWaitMs = STOP_WAIT_MS;
      return still;
    } catch (error) {
      this.#stopWaitMs = Math.min(2 * this.#stopWaitMs, STOP_WAIT_MAX_MS);
      throw error;
    }
  }

  /** The control group, if everybody is in it: a process may have been moved elsewhere. */
  #groupOfAll(members: ReadonlySet<number>): FreezeGroup | undefined {
    const { group } = this.#options;
    const inside = group?.members();
    return inside && [...members].every((pid) => inside.has(pid) || hasEnded(pid)) ? group : undefined;
  }

  #mapped({ members }: Standstill): string[] {
    const found = new Set<string>();
    for (const pid of members) for (const path of mappedWritable(pid, this.#options.root, this.#calls)) found.add(path);
    return [...found];
  }

  #pointOf(still: Standstill, rescan: readonly string[], at: { startMs: number; stillMs: number }): Point {
    const { watchdog, clock, onPause } = this.#options;
    let pauseMs: number | undefined;
    let spoilt: string | undefined;
    let end: () => void = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    const resume = (reason?: string): number => {
      if (pauseMs !== undefined) return pauseMs;
      clearTimeout(timer);
      this.#point = undefined;
      spoilt = reason ?? (holds(still) ? undefined : 'somebody let the application go on during a freeze point');
      letGo(still.resume, watchdog);
      pauseMs = still === NOBODY ? 0 : clock.steadyMs() - at.startMs;
      end();
      if (still !== NOBODY) onPause?.(pauseMs, at.stillMs - at.startMs);
      return pauseMs;
    };
    const tooLong = `the freeze point took longer than ${PAUSE_MAX_MS} ms and was given up`;
    const timer = setTimeout(() => resume(tooLong), PAUSE_MAX_MS);
    const thaw = async (): Promise<number> => {
      const pause = resume();
      if (spoilt !== undefined) throw new DiffKeeperError('DK_IO', spoilt);
      return pause;
    };
    const point = { rescan, thaw, over, giveUp: (reason: string) => void resume(reason) };
    this.#point = point;
    return point;
  }
}

/** Whether all still stand still; what cannot be seen does not count. */
function holds(still: Standstill): boolean {
  try {
    return still.holds();
  } catch {
    return false;
  }
}
