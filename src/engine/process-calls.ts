/** The few calls about processes that Node has not; absent without the addon. */
import { loadAddon } from '../addon.cjs';

export interface ProcessCalls {
  /** Collects an ended child process; false when it has not ended or is none of ours. */
  reapProcess(pid: number): boolean;
  /**
   * Names of the files that a process has mapped shared and writable, each with a NUL behind it, as the kernel spells them;
   * undefined where only the text of `/proc/PID/maps` tells.
   */
  writableMappings(pid: number): Buffer | undefined;
}

/** The calls, or undefined where the addon does not load or is not wanted. */
export function loadProcessCalls(): ProcessCalls | undefined {
  if (process.env.DIFFKEEPER_ENGINE === 'typescript') return undefined;
  try {
    const addon: Partial<ProcessCalls> = loadAddon().addon as Partial<ProcessCalls>;
    const { reapProcess, writableMappings } = addon;
    if (typeof reapProcess !== 'function' || typeof writableMappings !== 'function') return undefined;
    return { reapProcess, writableMappings };
  } catch {
    return undefined;
  }
}
