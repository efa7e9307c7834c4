/** The program as a process. Loads the parser and nothing else: a command's code is loaded when it runs. */
import { runProgram } from './program.js';
import { shownLines } from './shown-text.js';
import { watchStreams } from './standard-streams.js';
import { tuneRuntime } from './v8-settings.js';

export { runProgram } from './program.js';

function leave(code: number): void {
  process.exitCode = code;
  // Output may still be on its way through a pipe; `exit` would cut it off.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

/** Runs the command that this process was started with, and ends the process. */
export function start(): void {
  watchStreams();
  runProgram(process.argv.slice(2), tuneRuntime).then(leave, (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`diffkeeper: ${shownLines(text)}\n`);
    leave(1);
  });
}
