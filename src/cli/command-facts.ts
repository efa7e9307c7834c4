/** What the command line knows of one command. */
import type { CommandModule } from './context.js';
import type { OptionFacts, OptionKey } from './option-table.js';

/** An option of one command alone; not in the environment, not in the configuration file. */
export interface LocalOption {
  /** As commander wants it. */
  readonly flags: string;
  readonly help: string;
  readonly many?: boolean;
}

export interface CommandFacts {
  readonly name: string;
  readonly help: string;
  readonly arguments?: string;
  readonly options: readonly OptionKey[];
  readonly local?: readonly LocalOption[];
  readonly examples: readonly string[];
  /** It starts the command after `--`, whose exit code becomes its own. */
  readonly startsCommand?: true;
  /** Defaults that differ from those of the options themselves. */
  readonly defaults?: Partial<Readonly<Record<OptionKey, OptionFacts['fallback']>>>;
  readonly load: () => Promise<CommandModule>;
}
