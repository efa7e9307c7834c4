/**
 * Freeze points: stops every process of the application, so that all files are
 * of one instant, and lets them go on. Linux only (`/proc`).
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError, systemCode } from '../core/core.js';
import type { Watchdog } from './child.js';
import { mappedWritable, type ProcessSurvey, standsStill, surveyProcesses } from './proc.js';

/** Time given to all processes to stop, ms: a thread inside a slow disk write stops only after it. */
const STOP_WAIT_MS = 200;
/** Looks in immediate succession whether all have stopped. */
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
  /** Process id of the child, which leads its own group. */
  readonly leader: number;
  /** Value of the mark in the environment of the application. */
  readonly mark: string;
  /** Real path of the state directory. */
  readonly root: string;
  readonly watchdog: Watchdog;
  readonly clock: Clock;
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

  constructor(options: FreezerOptions) {
    this.#options = options;
  }

  /** Stops the application. Throws DK_IO, with everything running again, when it does not come to a stop. */
  async freeze(): Promise<FrozenState> {
    const { leader, mark, root, watchdog, clock } = this.#options;
    // Looking around while the application still runs keeps the pause short.
    const before = surveyProcesses(leader, mark);
    // The watchdog must know whom to resume before anyone is stopped.
    watchdog.cover([...before.members]);
    if (before.members.size === 0) return { rescan: [], thaw: async () => 0 };
    const startMs = clock.steadyMs();
    let members = before.members;
    try {
      send(-leader, 'SIGSTOP');
      members = await this.#stopAll(before, startMs);
      const rescan = new Set<string>();
      for (const pid of members) for (const path of mappedWritable(pid, root)) rescan.add(path);
      this.#frozen = this.#frozenState(members, [...rescan], startMs);
      return this.#frozen;
    } catch (error) {
      this.#resume(members);
      throw error;
    }
  }

  #frozenState(members: ReadonlySet<number>, rescan: readonly string[], startMs: number): FrozenState {
    let pauseMs: number | undefined;
    let overdue = false;
    const resume = (): number => {
      if (pauseMs === undefined) {
        clearTimeout(timer);
        this.#resume(members);
        pauseMs = this.#options.clock.steadyMs() - startMs;
        this.#frozen = undefined;
      }
      return pauseMs;
    };
    const timer = setTimeout(() => {
      overdue = true;
      resume();
    }, PAUSE_MAX_MS);
    const thaw = async (): Promise<number> => {
      const pause = resume();
      if (!overdue) return pause;
      throw new DiffKeeperError('DK_IO', `the freeze point took longer than ${PAUSE_MAX_MS} ms and was given up`);
    };
    return { rescan, thaw };
  }

  /** Resumes the application if it stands still: whatever went wrong, it must not stay stopped. */
  async release(): Promise<void> {
    await this.#frozen?.thaw().catch(() => {});
  }

  async #stopAll(before: ProcessSurvey, startMs: number): Promise<ReadonlySet<number>> {
    const { leader, mark, watchdog, clock } = this.#options;
    let survey = before;
    for (let look = 1; ; look += 1) {
      const known = survey.members.size;
      survey = surveyProcesses(leader, mark, survey);
      if (survey.members.size > known) watchdog.cover([...survey.members]);
      const moving = [...survey.members].filter((pid) => !standsStill(pid));
      // Nobody moves and nobody was born since: only stopped processes are left, so nobody can be born any more.
      if (moving.length === 0 && survey.members.size === known) return survey.members;
      for (const pid of moving) send(pid, 'SIGSTOP');
      if (clock.steadyMs() - startMs > STOP_WAIT_MS) {
        this.#resume(survey.members);
        throw new DiffKeeperError(
          'DK_IO',
          `process ${moving.join(', ')} did not stop within ${STOP_WAIT_MS} ms: no freeze point taken`,
          { pid: moving[0] ?? leader },
        );
      }
      // Most processes stop within microseconds: only those that take longer are waited for with a timer's patience.
      if (look <= QUICK_LOOKS) await nextTurn();
      else await sleep(1);
    }
  }

  #resume(members: ReadonlySet<number>): void {
    send(-this.#options.leader, 'SIGCONT');
    for (const pid of members) send(pid, 'SIGCONT');
  }
}
