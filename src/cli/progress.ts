/** A progress bar on stderr, on a terminal only. */
import type { Output } from './output.js';
import { showBytes } from './units.js';

export interface Progress {
  update(doneBytes: number, totalBytes: number): void;
  /** Removes the bar; must be called before anything else is written. */
  stop(): void;
}

const RECORD_MS = 1000;

/** For programs: one record a second, none of what is quicker. */
function progressRecords(output: Output, step: string): Progress {
  let lastMs = performance.now();
  return {
    update: (doneBytes, totalBytes) => {
      if (performance.now() - lastMs < RECORD_MS) return;
      lastMs = performance.now();
      output.record('progress', { step, doneBytes, totalBytes });
    },
    stop: () => {},
  };
}

/** Bar with a label, counting bytes. */
export async function startProgress(output: Output, label: string): Promise<Progress> {
  if (output.json) return progressRecords(output, label);
  if (!output.terminal) return { update: () => {}, stop: () => {} };
  const { default: bars } = await import('cli-progress');
  const bar = new bars.SingleBar({
    format: `${label} {bar} {percentage}% {done} of {all}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(1, 0, { done: '0 B', all: '?' });
  return {
    update: (doneBytes, totalBytes) => {
      bar.setTotal(Math.max(1, totalBytes));
      bar.update(doneBytes, { done: showBytes(doneBytes), all: showBytes(totalBytes) });
    },
    stop: () => bar.stop(),
  };
}
