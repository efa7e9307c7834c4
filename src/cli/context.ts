/** What a command is given. */
import type { Logger } from '../index.js';
import type { Output } from './output.js';
import type { Settings } from './settings.js';

export interface CommandContext {
  readonly settings: Settings;
  /** Words after the command's name, as declared in the command table. */
  readonly words: readonly (string | undefined)[];
  /** Values of the command's own options. */
  readonly local: Readonly<Record<string, unknown>>;
  /** What came after `--`; null without it. */
  readonly command: readonly string[] | null;
  readonly output: Output;
  readonly logger: Logger;
  /** Fires at Ctrl-C or SIGTERM; never in run mode, which handles signals itself. */
  readonly signal: AbortSignal;
}

/** Shape of each `command-*.ts` file. */
export interface CommandModule {
  /** Runs the command and gives the exit code. */
  run(context: CommandContext): Promise<number>;
}
