/** Runs one command: settings, log, output, interruption, errors. Loaded once it is clear that a command runs. */
import { constants } from 'node:os';
import { EXIT_CODES, isDiffKeeperError } from '../index.js';
import type { CommandFacts } from './command-table.js';
import { failureCode, failureFacts, failureLines } from './failure.js';
import { createLogger } from './log-lines.js';
import { createOutput } from './output.js';
import { resolveSettings, type Settings } from './settings.js';
import { outliveReaders } from './standard-streams.js';

export interface Invocation {
  readonly facts: CommandFacts;
  readonly words: readonly (string | undefined)[];
  readonly flags: Readonly<Record<string, unknown>>;
  readonly command: readonly string[] | null;
  /** Called when the command's code is loaded. */
  readonly onLoaded: () => void;
}

/** First interruption: asks the command to end. Second: ends at once. */
class Interruption {
  readonly controller = new AbortController();
  signalName: 'SIGINT' | 'SIGTERM' | undefined;
  readonly #receive = (name: 'SIGINT' | 'SIGTERM'): void => {
    if (this.signalName !== undefined) process.exit(this.exitCode);
    this.signalName = name;
    this.controller.abort();
  };

  listen(): void {
    process.on('SIGINT', this.#receive);
    process.on('SIGTERM', this.#receive);
  }

  get exitCode(): number {
    return EXIT_CODES.signalBase + constants.signals[this.signalName ?? 'SIGINT'];
  }
}

/** Form of the log before settings are known, and when they are wrong. */
function earlyForm(flags: Invocation['flags']): Settings['logFormat'] {
  return (flags.logFormat ?? process.env.DIFFKEEPER_LOG_FORMAT) === 'json' ? 'json' : 'human';
}

/** The error that ends the command, for who reads the log line by line. */
async function logFailure(error: unknown, debug: boolean): Promise<void> {
  const { message, ...known }: Record<string, unknown> & { readonly message: string } = failureFacts(error);
  // `name` is the program's own in each line, and a key that comes twice is read by everybody as they like.
  const facts = Object.fromEntries(
    Object.entries(known).map(([key, value]) => [key === 'name' ? 'subject' : key, value]),
  );
  const stack = debug && error instanceof Error ? { stack: error.stack } : {};
  (await createLogger({ level: 'warn', form: 'json' })).error({ ...facts, ...stack }, message);
}

/** Runs the command and gives the exit code; never throws. */
export async function runCommand(invocation: Invocation): Promise<number> {
  const { facts, words, flags, command, onLoaded } = invocation;
  const runMode = facts.startsCommand === true;
  const interruption = new Interruption();
  // In run mode signals belong to the child, and so does stdout.
  if (runMode) outliveReaders();
  else interruption.listen();
  let debug = flags.debug === 'true';
  let output = createOutput(flags.json === 'true');
  let logFormat = earlyForm(flags);
  try {
    const settings = await resolveSettings({ flags, env: process.env, keys: facts.options, defaults: facts.defaults });
    debug = settings.debug;
    output = createOutput(settings.json);
    logFormat = settings.logFormat;
    const level = debug ? 'debug' : facts.name === 'run' ? 'info' : 'warn';
    const logger = await createLogger({ level, form: settings.logFormat });
    const { run } = await facts.load();
    onLoaded();
    const { signal } = interruption.controller;
    return await run({ settings, words, local: flags, command, output, logger, signal });
  } catch (error) {
    const aborted = isDiffKeeperError(error, 'DK_ABORTED') || (error instanceof Error && error.name === 'AbortError');
    if (interruption.signalName !== undefined && aborted) {
      output.note('interrupted');
      return interruption.exitCode;
    }
    output.record('error', failureFacts(error));
    if (logFormat === 'json') await logFailure(error, debug);
    else for (const line of failureLines(error, debug)) output.note(line);
    return failureCode(error, runMode);
  }
}
