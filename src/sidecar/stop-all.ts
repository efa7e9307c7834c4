/** Brings every process of an application to a stop, with a control group or with signals, and knows how all go on. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError, systemCode } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import type { FreezeGroup } from './cgroup.js';
import type { GroupAnchor } from './group-anchor.js';
import { isStopped, type Leader, parentOf, passedBy, standsStill, stillRuns } from './proc.js';
import { type Adoption, type ProcessSurvey, surveyProcesses } from './survey.js';
import type { Watchdog } from './watchdog.js';

/** Looks in immediate succession whether those told to stop have done so. */
const QUICK_LOOKS = 8;

/** How everything was stopped, and how it goes on. */
export interface Standstill {
  readonly members: ReadonlySet<number>;
  /** Whether it still holds: somebody else may have let a process go on. */
  holds(): boolean;
  resume(): void;
}

export interface StopParts {
  readonly watchdog: Watchdog;
  readonly clock: Clock;
  /** Time given to all of them, ms. */
  readonly waitMs: number;
}

export interface SignalParts extends StopParts {
  /** Whom we started, the newest one last. */
  readonly leaders: readonly Leader[];
  readonly mark: string;
  /** Whether a leader leads a group of its own. */
  readonly ownGroup: boolean;
  /** Given where orphans come to us. */
  readonly adoption?: Adoption;
  /** Holds groups that our death would orphan, until everybody goes on. */
  readonly anchor?: GroupAnchor;
}

/** Lets the application go on; where we cannot, the watchdog does, for it hears the end of its pipe. */
export function letGo(resume: () => void, watchdog: Watchdog): void {
  try {
    resume();
    watchdog.free();
  } catch {
    watchdog.takeOver();
  }
}

/** Throws DK_IO, with everything running again, when they do not all stop in time. */
export async function stopGroup(group: FreezeGroup, { watchdog, clock, waitMs }: StopParts): Promise<Standstill> {
  watchdog.cover([]);
  watchdog.hold();
  try {
    await group.freeze(waitMs, clock);
    return { members: group.members(), holds: () => group.frozen, resume: () => group.thaw() };
  } catch (error) {
    letGo(() => group.thaw(), watchdog);
    throw error;
  }
}

/** Sends a signal to a process or (negative) a group; false when it has not got it. */
function send(target: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(target, name);
  } catch (error) {
    // It has ended, or has changed its user: the wait notices if it keeps running.
    if (!['ESRCH', 'EPERM'].includes(systemCode(error) ?? '')) throw error;
    return false;
  }
}

/** Throws DK_IO, with everything running again, when they do not all stop in time. */
export async function stopBySignals(before: ProcessSurvey, parts: SignalParts): Promise<Standstill> {
  const { leaders, mark, ownGroup, adoption, anchor, watchdog, clock, waitMs } = parts;
  const startMs = clock.steadyMs();
  // Whom the user has stopped (Ctrl-Z in a shell) is to stay so.
  const resting = new Set([...before.members].filter(isStopped));
  const leader = leaders.at(-1);
  // The number of a group whose leader has ended may be somebody else's by now.
  const asGroup = ownGroup && resting.size === 0 && leader !== undefined && stillRuns(leader) ? [-leader.pid] : [];
  let survey: ProcessSurvey = { ...before, others: new Set([...before.others, ...(anchor?.pids ?? [])]) };
  /** Whom we have to resume: all, or, one by one, those that we found moving. */
  const stopped = new Set(asGroup.length > 0 ? before.members : []);
  // Children first: a shell among them must not wake up beside a stopped child, or it would report it.
  const targets = (): number[] => [...[...stopped].reverse(), ...asGroup];
  const resume = (): void => {
    for (const target of targets()) send(target, 'SIGCONT');
    anchor?.end();
  };
  // The watchdog must know whom to resume before anyone is stopped.
  const cover = (): void => watchdog.cover(targets());
  /** Who has got SIGSTOP as a process of its own. */
  const told = new Set<number>();
  const stands = (pid: number): boolean => standsStill(pid, told.has(pid));
  const stop = (pids: readonly number[]): void => {
    for (const pid of pids) stopped.add(pid);
    cover();
    for (const pid of pids) {
      if (told.has(pid)) stopPassedBy(pid);
      if (send(pid, 'SIGSTOP')) told.add(pid);
    }
  };
  cover();
  watchdog.hold(anchor?.pid);
  try {
    for (const group of asGroup) send(group, 'SIGSTOP');
    for (let look = 1, left = Number.POSITIVE_INFINITY; ; look += 1) {
      const known = survey.members.size;
      survey = surveyProcesses(leaders, mark, survey, adoption);
      const moving = new Set([...survey.members].filter((pid) => !stands(pid)));
      // Nobody moves and nobody was born since: only stopped processes are left, so nobody can be born any more.
      if (moving.size === 0 && survey.members.size === known) {
        return { members: survey.members, holds: () => [...survey.members].every(stands), resume };
      }
      // Parents first, their children once they stand still: a shell would report a job that it sees stopped.
      const heads = [...moving].filter((pid) => !moving.has(parentOf(pid) ?? pid));
      if (heads.length > 0) stop(heads);
      if (clock.steadyMs() - startMs > waitMs) throw notStopped([...moving], waitMs);
      if (moving.size !== left) look = 1;
      left = moving.size;
      // Most processes stop within microseconds: only those that take longer are waited for with a timer's patience.
      if (look <= QUICK_LOOKS) await nextTurn();
      else await sleep(1);
    }
  } catch (error) {
    letGo(resume, watchdog);
    throw error;
  }
}

/** Stops a process by one of the threads that its first one has not passed the stop on to. */
function stopPassedBy(pid: number): void {
  const [thread] = passedBy(pid);
  if (thread !== undefined) loadProcessCalls()?.stopThread(pid, thread);
}

function notStopped(moving: readonly number[], waitMs: number): DiffKeeperError {
  return new DiffKeeperError(
    'DK_IO',
    `process ${moving.join(', ')} did not stop within ${waitMs} ms: no freeze point taken`,
    { pid: moving[0] ?? 0 },
  );
}
