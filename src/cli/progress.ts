/** A progress bar on stderr, on a terminal only. */
import type { Output } from './output.js';
import { showBytes, showDuration } from './units.js';

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

/** Bytes a second and the time that is left; nothing before there is something to tell from. */
export function showPace(passedBytes: number, leftBytes: number, elapsedMs: number): string {
  if (passedBytes <= 0 || elapsedMs < RECORD_MS / 2) return '';
  const perMs = passedBytes / elapsedMs;
  return `, ${showBytes(perMs * 1000)}/s, ${showDuration(leftBytes / perMs)} left`;
}

/** Bar with a label, counting bytes, or something else that `show` gives words for. */
export async function startProgress(
  output: Output,
  label: string,
  show: (number: number) => string = showBytes,
): Promise<Progress> {
  if (output.json) return progressRecords(output, label);
  if (!output.terminal) return { update: () => {}, stop: () => {} };
  const { default: bars } = await import('cli-progress');
  const startMs = performance.now();
  let firstBytes: number | undefined;
  const bar = new bars.SingleBar({
    format: `${label} {bar} {percentage}% {done} of {all}{pace}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(1, 0, { done: show(0), all: '?', pace: '' });
  return {
    update: (doneBytes, totalBytes) => {
      bar.setTotal(Math.max(1, totalBytes));
      // What was there before it began says nothing about the pace.
      firstBytes ??= doneBytes;
      const elapsedMs = performance.now() - startMs;
      const pace = show === showBytes ? showPace(doneBytes - firstBytes, totalBytes - doneBytes, elapsedMs) : '';
      bar.update(doneBytes, { done: show(doneBytes), all: show(totalBytes), pace });
    },
    stop: () => bar.stop(),
  };
}
