/** The few calls about processes that Node has not; absent without the addon. */
import { loadAddon } from '../addon.cjs';

/** A program to be started, as `StartProgram` of the addon takes it. */
export interface ProgramStart {
  /** What is tried, in this order; a file that is no program is handed to `/bin/sh`. */
  readonly files: readonly string[];
  /** Arguments, the name of the program first. */
  readonly words: readonly string[];
  /** `NAME=VALUE`. */
  readonly environment: readonly string[];
  /** One more variable, with the new process's id; empty: none. */
  readonly pidVariable: string;
  /** Empty: ours. */
  readonly directory: string;
  readonly ownSession: boolean;
  /** Handed on under their numbers, beside 0, 1 and 2; nothing else is. */
  readonly descriptors: readonly number[];
}

export interface ProcessCalls {
  /**
   * Starts a program with our stdin, stdout and stderr; gives its process id, once it runs, or undefined where this is Node's to do. Nobody
   * but `collectProgram` collects it. Throws with the name of a system error as `code`, and nobody started.
   */
  startProgram(program: ProgramStart): number | undefined;
  /**
   * How a child ended, which is collected by that: its exit code, or the negative number of the signal; null when somebody
   * else has collected it, undefined while it runs.
   */
  collectProgram(pid: number): number | null | undefined;
  /** Collects an ended child process; false when it has not ended or is none of ours. */
  reapProcess(pid: number): boolean;
  /** Sends SIGSTOP to one thread, which stops its whole process; false when it is gone or not ours to stop. */
  stopThread(pid: number, thread: number): boolean;
  /** Processes below us that lose their parent become our children, for as long as we live. False where the system cannot do that. */
  adoptOrphans(): boolean;
  /** Descriptors from this one on are closed in each program that is started from now on. False where that cannot be had. */
  closeOnExec(first: number): boolean;
  /**
   * Marks what is open under a descriptor at this offset, until it is closed, and tells whether another opening of it is marked
   * there, whoever made it, on this machine. In the way of no other lock on a directory. Undefined where that cannot be had.
   */
  markOpened(fd: number, at: number): boolean | undefined;
  /**
   * Names of the files that a process has mapped shared and writable, each with a NUL behind it, as the kernel spells them;
   * undefined where only the text of `/proc/PID/maps` tells.
   */
  writableMappings(pid: number): Buffer | undefined;
  /**
   * Writes all processes into `into`, as many as fit, six numbers each: process id, code of the letter of its state, parent, group,
   * session, start time (clock ticks since boot). Gives how many there are; undefined where the system does not tell. Throws with
   * the name of a system error as `code`.
   */
  listProcesses(into: Float64Array): number | undefined;
  /**
   * Starts a child of ours in a group of its own, and below it one process in each of these groups of our session (at most
   * 64) that can be entered: as long as they live, our death orphans none of them. They end by themselves after `seconds`,
   * and with the first of them. Gives their process ids, the child's first; empty when no group could be entered. Throws with
   * the name of a system error as `code`.
   *
   * @param mark their environment, `NAME=VALUE`
   */
  anchorGroups(groups: readonly number[], seconds: number, mark: string): number[];
  /** Who connected to a UNIX socket of ours; 0 where nobody can tell, or it is in another namespace of process ids. */
  peerProcess(fd: number): number;
}

/** The calls, or undefined where the addon does not load or is not wanted. */
export function loadProcessCalls(): ProcessCalls | undefined {
  if (process.env.DIFFKEEPER_ENGINE === 'typescript') return undefined;
  try {
    const addon: Partial<ProcessCalls> = loadAddon().addon as Partial<ProcessCalls>;
    const { reapProcess, stopThread, adoptOrphans, closeOnExec, startProgram, collectProgram } = addon;
    const { markOpened, writableMappings, listProcesses, anchorGroups, peerProcess } = addon;
    if (typeof reapProcess !== 'function' || typeof stopThread !== 'function') return undefined;
    if (typeof adoptOrphans !== 'function' || typeof closeOnExec !== 'function') return undefined;
    if (typeof startProgram !== 'function' || typeof collectProgram !== 'function') return undefined;
    if (typeof markOpened !== 'function' || typeof writableMappings !== 'function') return undefined;
    if (typeof listProcesses !== 'function' || typeof anchorGroups !== 'function') return undefined;
    if (typeof peerProcess !== 'function') return undefined;
    const starts = { reapProcess, stopThread, adoptOrphans, closeOnExec, startProgram, collectProgram };
    return { ...starts, markOpened, writableMappings, listProcesses, anchorGroups, peerProcess };
  } catch {
    return undefined;
  }
}
