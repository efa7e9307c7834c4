/** A progress bar on stderr, on a terminal only. */
import type { Output } from './output.js';
import { showBytes } from './units.js';

export interface Progress {
  update(doneBytes: number, totalBytes: number): void;
  /** Removes the bar; must be called before anything else is written. */
  stop(): void;
}

/** Bar with a label, counting bytes. */
export async function startProgress(output: Output, label: string): Promise<Progress> {
  if (!output.terminal || output.json) return { update: () => {}, stop: () => {} };
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
