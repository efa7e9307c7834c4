/** Memory of this process, for whoever asks how it is. */

let lastBytes = 0;

/**
 * Resident memory, bytes. The system tells it through a file: where no descriptor is left, what was known last (0 at first),
 * since this must not keep anybody from being told why.
 */
export function residentBytes(): number {
  try {
    lastBytes = process.memoryUsage.rss();
  } catch {
    // It will be known again.
  }
  return lastBytes;
}
