/**
 * Freeze points: stops every process of the application, so that all files are of one instant, and lets them go on.
 * With a control group of our own where there is one, otherwise with signals. Linux only (`/proc`).
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError, systemCode } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import type { FreezeGroup } from './cgroup.js';
import {
  hasEnded,
  isStopped,
  mappedWritable,
  type ProcessSurvey,
  parentOf,
  standsStill,
  surveyProcesses,
} from './proc.js';
import type { Watchdog } from './watchdog.js';

/**
 * Time given to all processes to stop, ms: a thread inside a slow disk write stops only after it. After a failure the
 * next try is given twice the time, so that a slow disk delays checkpoints and does not prevent them.
 */
const STOP_WAIT_MS = 200;
const STOP_WAIT_MAX_MS = 3200;
/** Looks in immediate succession whether those told to stop have done so. */
const QUICK_LOOKS = 8;
/** Longest pause, ms: a capture that hangs must not take the application with it. */
const PAUSE_MAX_MS = 60_000;

export interface FrozenState {
  /** Files that are mapped shared and writable: to be read whatever their times say. */
  readonly rescan: readonly string[];
  /**
   * Lets the application go on; gives the pause in milliseconds. Further calls give the same pause. Throws DK_IO when
   * the application was let go before, because the pause had become too long: the bytes taken are not of one instant.
   */
  thaw(): Promise<number>;
}

export interface FreezerOptions {
  /** Process id of the child. */
  readonly leader: number;
  /** Whether it leads a group of its own, which can be signalled as a whole. */
  readonly ownGroup: boolean;
  /** Control group that the application was started in. */
  readonly group?: FreezeGroup;
  /** Value of the mark in the environment of the application. */
  readonly mark: string;
  /** Real path of the state directory. */
  readonly root: string;
  readonly watchdog: Watchdog;
  readonly clock: Clock;
  /** Told of each pause, ms, and of the part of it until everybody stood still. */
  readonly onPause?: (pauseMs: number, stopMs: number) => void;
}

/** How everything was stopped, and how it goes on. */
interface Standstill {
  readonly members: ReadonlySet<number>;
  /** Whether it still holds: somebody else may have let a process go on. */
  holds(): boolean;
  resume(): void;
}

/** Sends a signal to a process or (negative) a group; false when there is none. */
function send(target: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(target, name);
    return true;
  } catch (error) {
    // EPERM: a process that changed its user; the wait notices if it keeps running.
    return systemCode(error) === 'EPERM';
  }
}

/** Stops and resumes one application. */
export class Freezer {
  readonly #options: FreezerOptions;
  #frozen: FrozenState | undefined;
  #stopWaitMs = STOP_WAIT_MS;
  readonly #calls = loadProcessCalls();

  constructor(options: FreezerOptions) {
    this.#options = options;
  }

  /** Stops the application. Throws DK_IO, with everything running again, when it does not come to a stop. */
  async freeze(): Promise<FrozenState> {
    const { leader, mark, root, watchdog, clock } = this.#options;
    await watchdog.ensure();
    // Looking around while the application still runs keeps the pause short.
    const before = surveyProcesses(leader, mark);
    if (before.members.size === 0) return { rescan: [], thaw: async () => 0 };
    const group = this.#groupOfAll(before.members);
    const startMs = clock.steadyMs();
    const still = await (group ? this.#stopGroup(group) : this.#stopBySignals(before, startMs)).catch((error) => {
      this.#stopWaitMs = Math.min(2 * this.#stopWaitMs, STOP_WAIT_MAX_MS);
      throw error;
    });
    this.#stopWaitMs = STOP_WAIT_MS;
    const stillMs = clock.steadyMs();
    try {
      const rescan = new Set<string>();
      for (const pid of still.members) for (const path of mappedWritable(pid, root, this.#calls)) rescan.add(path);
      this.#frozen = this.#frozenState(still, [...rescan], { startMs, stillMs });
      return this.#frozen;
    } catch (error) {
      still.resume();
      watchdog.free();
      throw error;
    }
  }

  /** Resumes the application if it stands still: whatever went wrong, it must not stay stopped. */
  async release(): Promise<void> {
    await this.#frozen?.thaw().catch(() => {});
  }

  #frozenState(still: Standstill, rescan: readonly string[], at: { startMs: number; stillMs: number }): FrozenState {
    const { watchdog, clock, onPause } = this.#options;
    let pauseMs: number | undefined;
    let overdue = false;
    let held = true;
    const resume = (): number => {
      if (pauseMs === undefined) {
        clearTimeout(timer);
        held = still.holds();
        still.resume();
        pauseMs = clock.steadyMs() - at.startMs;
        watchdog.free();
        this.#frozen = undefined;
        onPause?.(pauseMs, at.stillMs - at.startMs);
      }
      return pauseMs;
    };
    const timer = setTimeout(() => {
      overdue = true;
      resume();
    }, PAUSE_MAX_MS);
    const thaw = async (): Promise<number> => {
      const pause = resume();
      if (overdue) {
        throw new DiffKeeperError('DK_IO', `the freeze point took longer than ${PAUSE_MAX_MS} ms and was given up`);
      }
      if (!held) throw new DiffKeeperError('DK_IO', 'somebody let the application go on during a freeze point');
      return pause;
    };
    return { rescan, thaw };
  }

  /** The control group, if everybody is in it: a process may have been moved elsewhere. */
  #groupOfAll(members: ReadonlySet<number>): FreezeGroup | undefined {
    const { group } = this.#options;
    const inside = group?.members();
    return inside && [...members].every((pid) => inside.has(pid) || hasEnded(pid)) ? group : undefined;
  }

  async #stopGroup(group: FreezeGroup): Promise<Standstill> {
    const { watchdog, clock } = this.#options;
    watchdog.cover([]);
    watchdog.hold();
    try {
      await group.freeze(this.#stopWaitMs, clock);
      return { members: group.members(), holds: () => group.frozen, resume: () => group.thaw() };
    } catch (error) {
      group.thaw();
      watchdog.free();
      throw error;
    }
  }

  async #stopBySignals(before: ProcessSurvey, startMs: number): Promise<Standstill> {
    const { leader, mark, watchdog, clock, ownGroup } = this.#options;
    // Whom the user has stopped (Ctrl-Z in a shell) is to stay so.
    const resting = new Set([...before.members].filter(isStopped));
    const asGroup = ownGroup && resting.size === 0;
    let survey = before;
    /** Whom we have to resume: all, or, one by one, those that we found moving. */
    const stopped = new Set(asGroup ? before.members : []);
    // Children first: a shell among them must not wake up beside a stopped child, or it would report it.
    const resume = (): void => {
      for (const pid of [...stopped].reverse()) send(pid, 'SIGCONT');
      if (asGroup) send(-leader, 'SIGCONT');
    };
    // The watchdog must know whom to resume before anyone is stopped.
    const cover = (): void => watchdog.cover([...stopped].reverse());
    const stop = (pids: readonly number[]): void => {
      for (const pid of pids) stopped.add(pid);
      cover();
      for (const pid of pids) send(pid, 'SIGSTOP');
    };
    cover();
    watchdog.hold();
    try {
      if (asGroup) send(-leader, 'SIGSTOP');
      for (let look = 1, left = Number.POSITIVE_INFINITY; ; look += 1) {
        const known = survey.members.size;
        survey = surveyProcesses(leader, mark, survey);
        const moving = new Set([...survey.members].filter((pid) => !standsStill(pid)));
        // Nobody moves and nobody was born since: only stopped processes are left, so nobody can be born any more.
        if (moving.size === 0 && survey.members.size === known) {
          return { members: survey.members, holds: () => [...survey.members].every(standsStill), resume };
        }
        // Parents first, their children once they stand still: a shell would report a job that it sees stopped.
        const heads = [...moving].filter((pid) => !moving.has(parentOf(pid) ?? pid));
        if (heads.length > 0) stop(heads);
        const waitMs = this.#stopWaitMs;
        if (clock.steadyMs() - startMs > waitMs) throw notStopped([...moving], leader, waitMs);
        if (moving.size !== left) look = 1;
        left = moving.size;
        // Most processes stop within microseconds: only those that take longer are waited for with a timer's patience.
        if (look <= QUICK_LOOKS) await nextTurn();
        else await sleep(1);
      }
    } catch (error) {
      resume();
      watchdog.free();
      throw error;
    }
  }
}

function notStopped(moving: readonly number[], leader: number, waitMs: number): DiffKeeperError {
  return new DiffKeeperError(
    'DK_IO',
    `process ${moving.join(', ')} did not stop within ${waitMs} ms: no freeze point taken`,
    { pid: moving[0] ?? leader },
  );
}
