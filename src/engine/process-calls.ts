/** The few calls about processes that Node has not; absent without the addon. */
import { loadAddon } from '../addon.cjs';

export interface ProcessCalls {
  /** Collects an ended child process; false when it has not ended or is none of ours. */
  reapProcess(pid: number): boolean;
}

/** The calls, or undefined where the addon does not load or is not wanted. */
export function loadProcessCalls(): ProcessCalls | undefined {
  if (process.env.DIFFKEEPER_ENGINE === 'typescript') return undefined;
  try {
    const addon: Partial<ProcessCalls> = loadAddon().addon as Partial<ProcessCalls>;
    const { reapProcess } = addon;
    return typeof reapProcess === 'function' ? { reapProcess } : undefined;
  } catch {
    return undefined;
  }
}
