/** The largest memory of this process so far. */
import { readFileSync } from 'node:fs';

/**
 * Bytes. `resourceUsage().maxRSS` begins with what the parent process held when this one was started: a benchmark that holds a
 * gigabyte would be found in each of its children.
 */
export function peakMemoryBytes() {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  if (kilobytes === undefined) throw new Error('/proc/self/status has no VmHWM');
  return Number(kilobytes) * 1024;
}
