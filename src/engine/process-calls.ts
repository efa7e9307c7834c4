/** The few calls about processes that Node has not; absent without the addon. */
import { loadAddon } from '../addon.cjs';

export interface ProcessCalls {
  /** Collects an ended child process; false when it has not ended or is none of ours. */
  reapProcess(pid: number): boolean;
  /** Processes below us that lose their parent become our children, for as long as we live. False where the system cannot do that. */
  adoptOrphans(): boolean;
  /** Descriptors from this one on are closed in each program that is started from now on. False where that cannot be had. */
  closeOnExec(first: number): boolean;
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
}

/** The calls, or undefined where the addon does not load or is not wanted. */
export function loadProcessCalls(): ProcessCalls | undefined {
  if (process.env.DIFFKEEPER_ENGINE === 'typescript') return undefined;
  try {
    const addon: Partial<ProcessCalls> = loadAddon().addon as Partial<ProcessCalls>;
    const { reapProcess, adoptOrphans, closeOnExec, writableMappings, listProcesses } = addon;
    if (typeof reapProcess !== 'function' || typeof writableMappings !== 'function') return undefined;
    if (typeof adoptOrphans !== 'function' || typeof closeOnExec !== 'function') return undefined;
    if (typeof listProcesses !== 'function') return undefined;
    return { reapProcess, adoptOrphans, closeOnExec, writableMappings, listProcesses };
  } catch {
    return undefined;
  }
}
