/** What happens when nobody takes our output any more: its reader has gone, its disk is full, its terminal is closed. */

/** 128 + SIGPIPE: the reader of our output has gone, which is its right. */
const BROKEN_PIPE = 141;

let resultsMatter = true;

/**
 * To be called first of all. A log line that cannot be written is lost and nothing else: the state that it tells of is still
 * to be kept, and later lines are tried again. A command whose results nobody takes ends.
 */
export function watchStreams(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (resultsMatter) process.exit(error.code === 'EPIPE' ? BROKEN_PIPE : 1);
  });
}

/** From now on stdout may fail as well: it is the application's, and its state is kept whoever listens to it. */
export function outliveReaders(): void {
  resultsMatter = false;
}
