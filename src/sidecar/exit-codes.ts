/** Exit codes of the `diffkeeper` program: part of the public API, described in `docs/cli.md`. */
import { constants } from 'node:os';

export const EXIT_CODES = {
  ok: 0,
  /** The command failed. */
  failed: 1,
  /** Wrong arguments, environment or configuration. */
  usage: 2,
  /** Done in part: some files are damaged or were left out. */
  partial: 3,
  /** Another process has the store. */
  locked: 4,
  /** The key of an encrypted store is missing or wrong, or its key files are. */
  key: 5,
  /** Run mode: DiffKeeper itself failed; the application was not started or its code is unknown. */
  runFailed: 125,
  /** Run mode: the command cannot be executed. */
  cannotExecute: 126,
  /** Run mode: the command was not found. */
  notFound: 127,
  /** Added to a signal number: ended by that signal (130 is Ctrl-C). */
  signalBase: 128,
} as const;

/** 128 + the signal's number. */
export function signalExitCode(name: NodeJS.Signals): number {
  return EXIT_CODES.signalBase + constants.signals[name];
}
