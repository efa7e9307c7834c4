/** Builds the command line parser from the tables. */
import { Command, CommanderError, Option } from 'commander';
import { splitArguments } from './arguments.js';
import { COMMAND_TABLE, type CommandFacts } from './command-table.js';
import { allowedText, flagText, OPTION_TABLE, type OptionFacts, type OptionKey, variableOf } from './option-table.js';
import { shown, shownLines } from './shown-text.js';
import { VERSION } from './version.js';

/** Exit code of wrong usage; `EXIT_CODES.usage`, without loading the library for it. */
const USAGE = 2;

function collect(value: string, before: unknown): string[] {
  return Array.isArray(before) ? [...before.map(String), value] : [value];
}

function optionHelp(option: OptionFacts, value: OptionFacts['fallback']): string {
  const shown = Array.isArray(value) ? value.join(', ') : String(value ?? '');
  const fallback = shown === '' || option.negated ? '' : `default: ${shown}; `;
  const allowed = option.kind === 'choice' ? `${allowedText(option)}; ` : '';
  return `${option.help} (${allowed}${fallback}${variableOf(option)})`;
}

function addOption(command: Command, key: OptionKey, facts: CommandFacts): void {
  const option = OPTION_TABLE[key];
  const parsed = new Option(flagText(option), optionHelp(option, facts.defaults?.[key] ?? option.fallback));
  if (option.kind === 'list') parsed.argParser(collect);
  command.addOption(parsed);
}

interface Run {
  /** What is behind `--`. */
  readonly tail: readonly string[] | null;
  readonly onLoaded: () => void;
  readonly done: (code: number) => void;
}

function build(facts: CommandFacts, { tail, onLoaded, done }: Run): Command {
  const command = new Command(facts.name).description(facts.help);
  if (facts.arguments !== undefined) command.arguments(facts.arguments);
  if (facts.startsCommand) command.usage('[options] -- <command> [arguments...]');
  for (const key of facts.options) addOption(command, key, facts);
  for (const local of facts.local ?? []) {
    const option = new Option(local.flags, local.help);
    if (local.many) option.argParser(collect);
    command.addOption(option);
  }
  command.option('--config <file>', 'JSON file with these options by name (DIFFKEEPER_CONFIG)');
  command.addHelpText('after', `\nExamples:\n${facts.examples.map((line) => `  $ ${line}`).join('\n')}`);
  command.action(async () => {
    const { runCommand } = await import('./command-runner.js');
    const words = command.processedArgs.flat() as (string | undefined)[];
    done(await runCommand({ facts, words, flags: command.opts(), command: tail, onLoaded }));
  });
  return command;
}

/** What help says about all commands. */
export const HELP_AFTER = `
Without a command word, "run" is meant:
  $ diffkeeper --state-dir=./data --store=./keep -- node app.js
  $ diffkeeper timeline --store=./keep
  $ diffkeeper recover --store=./keep --state-dir=./restored --at="10m ago"

Options beat DIFFKEEPER_* variables, these beat the file named by --config, that beats the defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 store in use by another process,
5 key of an encrypted store missing or wrong;
run, record: the command's own code, 128+N for signal N, 125 DiffKeeper failed, 126 cannot execute, 127 not found.`;

/**
 * Runs the program with these arguments and gives the exit code.
 *
 * @param onLoaded called when the code of a command is loaded and its work has not begun
 */
export async function runProgram(words: readonly string[], onLoaded = (): void => {}): Promise<number> {
  const { head, command: tail } = splitArguments(words);
  let exitCode = 0;
  const done = (code: number): void => {
    exitCode = code;
  };
  const program = new Command('diffkeeper')
    .description('Keeps every version of a state directory as verified binary deltas, and gets it back.')
    .version(VERSION, '-V, --version')
    .showHelpAfterError('(--help says more)')
    .addHelpText('after', HELP_AFTER)
    .configureOutput({
      writeErr: (text) => void process.stderr.write(shownLines(text)),
      // The line break before its guess is commander's own; any other is of a word that was typed.
      outputError: (text, write) =>
        write(
          `${text
            .trimEnd()
            .split(/\n(?=\(Did you mean )/)
            .map(shown)
            .join('\n')}\n`,
        ),
    })
    .exitOverride();
  // The options of all commands take longer to declare than some commands to run.
  const named = COMMAND_TABLE.find(({ name }) => name === head[0]);
  for (const facts of named ? [named] : COMMAND_TABLE) {
    const command = build(facts, { tail, onLoaded, done });
    program.addCommand(command.copyInheritedSettings(program));
  }
  try {
    await program.parseAsync([...head], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const shown = ['commander.help', 'commander.helpDisplayed', 'commander.version'].includes(error.code);
    if (shown && error.exitCode === 0) return 0;
    return head.length === 0 ? 0 : USAGE;
  }
}
