/** The flags of a command as completions and the manual page want them: out of the same tables as its help. */
import type { CommandFacts } from './command-facts.js';
import { allowedText, OPTION_TABLE, variableOf } from './option-table.js';

export interface FlagFacts {
  /** With its dashes. */
  readonly flag: string;
  /** Name of its value; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  /** Everything that the value may be, where that is a list. */
  readonly choices: readonly string[];
  /** `--flag` alone is enough; `--flag=VALUE` is possible. */
  readonly optional: boolean;
  readonly fallback?: string;
  /** Environment variable of the same meaning. */
  readonly variable?: string;
}

/** All flags of a command, in the order of its help. */
export function flagsOf(facts: CommandFacts): FlagFacts[] {
  const shared = facts.options.map((key): FlagFacts => {
    const option = OPTION_TABLE[key];
    const fallback = facts.defaults?.[key] ?? option.fallback;
    const shown = Array.isArray(fallback) ? fallback.join(', ') : String(fallback ?? '');
    const { negated = false, value } = option;
    return {
      flag: negated ? `--no-${option.flag}` : `--${option.flag}`,
      ...(value === undefined ? {} : { value }),
      help: option.kind === 'choice' ? `${option.help}: ${allowedText(option)}` : option.help,
      choices: option.kind === 'boolean' && !negated ? ['true', 'false'] : (option.choices ?? []),
      optional: value === undefined,
      ...(shown === '' || negated ? {} : { fallback: shown }),
      variable: variableOf(option),
    };
  });
  const local = (facts.local ?? []).map(({ flags, help }): FlagFacts => {
    const [flag = '', value] = flags.split(/[ ,]+(?=[<[-])/).filter((word) => !/^-\w$/.test(word));
    const name = value?.replace(/[<>[\]]/g, '');
    return { flag, ...(name ? { value: name } : {}), help, choices: [], optional: name === undefined };
  });
  const config: FlagFacts = {
    flag: '--config',
    value: 'file',
    help: 'JSON file with these options by name',
    choices: [],
    optional: false,
    variable: 'DIFFKEEPER_CONFIG',
  };
  return [...shared, ...local, config, { flag: '--help', help: 'what the command does', choices: [], optional: true }];
}
