/**
 * What keeps the kernel from ending an application that stands still when we are killed. On a terminal it shares our session, and the
 * groups of its processes depend on us: a shell's job on our parent's being our parent, the group of a shell that we run on
 * us. When the last such tie of a group with stopped processes goes, the kernel sends it SIGHUP. So while they are stopped,
 * a process with a parent in another group (`native/pages/group_anchor.cc`) is in each of those groups.
 *
 * Only then, and only where there was a tie: what is tied stops at Ctrl-Z, and what is not does not.
 */
import type { ProcessCalls } from '../engine/load.js';
import { allProcesses, HELPER_MARK, type Leader, leaderOf, MARK_VARIABLE, stillRuns } from './proc.js';

/** Should everybody who could end them be gone: longer than any standstill, the watchdog's patience included. */
const ANCHOR_SECONDS = 120;
/** As many groups are held; an application on a terminal has one or two that depend on us. */
const GROUPS_MAX = 64;
/** How often, and how long apart (ms), it is seen whether the holder has ended and can be collected. */
const COLLECT_TRIES = 100;
const COLLECT_MS = 20;

/** Groups in which a member would be stopped, and which our death would orphan. */
export function groupsOnUs(members: ReadonlySet<number>): number[] {
  const all = allProcesses();
  const session = all?.get(process.pid)?.session;
  if (all === undefined || session === undefined) return [];
  const onUs = new Set<number>();
  const others = new Set<number>();
  const stopped = new Set<number>();
  for (const { pid, parent, group, session: own } of all.values()) {
    if (own !== session) continue;
    if (members.has(pid)) stopped.add(group);
    const above = all.get(parent);
    if (above === undefined || above.session !== session || above.group === group) continue;
    (pid === process.pid || parent === process.pid ? onUs : others).add(group);
  }
  return [...onUs].filter((group) => stopped.has(group) && !others.has(group)).slice(0, GROUPS_MAX);
}

/** Processes that hold groups; the first one is our child, and the others end with it. */
export class GroupAnchor {
  readonly #calls: ProcessCalls;
  readonly #processes: readonly Leader[];

  private constructor(calls: ProcessCalls, pids: readonly number[]) {
    this.#calls = calls;
    try {
      this.#processes = pids.map(leaderOf);
    } catch (error) {
      // Started a moment ago, and not collected: the number is its own.
      process.kill(pids[0] ?? 0, 'SIGKILL');
      throw error;
    }
  }

  /**
   * Holds the groups that depend on us; undefined where none does, or nobody can be started: then a death of ours within the
   * standstill is what it was. Throws when processes cannot be looked at.
   */
  static hold(members: ReadonlySet<number>, calls: ProcessCalls | undefined): GroupAnchor | undefined {
    const groups = calls ? groupsOnUs(members) : [];
    if (calls === undefined || groups.length === 0) return undefined;
    calls.closeOnExec(3);
    let pids: readonly number[];
    try {
      pids = calls.anchorGroups(groups, ANCHOR_SECONDS, `${MARK_VARIABLE}=${HELPER_MARK}`);
    } catch {
      return undefined;
    }
    return pids.length > 0 ? new GroupAnchor(calls, pids) : undefined;
  }

  /** Whose end is the end of all. */
  get pid(): number {
    return this.#processes[0]?.pid ?? 0;
  }

  /** None of these belongs to the application, although they are in its groups. */
  get pids(): readonly number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  /** Lets go of the groups: everybody goes on. Never throws. */
  end(): void {
    // Those in the groups first: the holder, which ignores their ends, leaves nobody behind to be collected then.
    for (const one of [...this.#processes].reverse()) {
      try {
        if (stillRuns(one)) process.kill(one.pid, 'SIGKILL');
      } catch {
        // It has ended, or cannot be looked at: it will end by itself.
      }
    }
    this.#collect(COLLECT_TRIES);
  }

  #collect(tries: number): void {
    const [holder] = this.#processes;
    try {
      // Nobody comes between the look and the call: a number that is still its own cannot be another child's.
      if (holder === undefined || leaderOf(holder.pid).startTicks !== holder.startTicks) return;
      if (this.#calls.reapProcess(holder.pid)) return;
    } catch {
      // No descriptor is left: later.
    }
    if (tries > 0) setTimeout(() => this.#collect(tries - 1), COLLECT_MS).unref();
  }
}
