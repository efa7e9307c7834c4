/** Brings the command line into the one shape that the parser is given: command word first, then its arguments. */
import { COMMAND_TABLE, type CommandFacts } from './command-table.js';
import { OPTION_TABLE } from './option-table.js';

export interface SplitArguments {
  /** Command word and its arguments; empty words stay. */
  readonly head: readonly string[];
  /** Everything after the first `--`, untouched, for a command that starts another one; null without one. */
  readonly command: readonly string[] | null;
}

const PROGRAM_FLAGS: readonly string[] = ['-h', '--help', '-V', '--version'];

/** Flags that take their value from the next word when there is no `=`. */
function valueFlags(): Set<string> {
  const flags = new Set(['--config']);
  for (const option of Object.values(OPTION_TABLE)) if (option.value !== undefined) flags.add(`--${option.flag}`);
  for (const { local = [] } of COMMAND_TABLE) {
    for (const option of local) if (option.flags.includes('<')) flags.add(option.flags.split(' ')[0] ?? '');
  }
  return flags;
}

/**
 * Switches may be written bare or with `=true`; bare ones are spelled out, so that they never take the next word. Those
 * that the command does not have stay as they were typed, since the parser is going to name them.
 */
function spellSwitches(words: readonly string[], facts: CommandFacts | undefined): string[] {
  const switches = new Set<string>();
  for (const key of facts?.options ?? []) {
    const option = OPTION_TABLE[key];
    if (option.kind === 'boolean' && !option.negated) switches.add(`--${option.flag}`);
  }
  return words.map((word) => (switches.has(word) ? `${word}=true` : word));
}

/** Index of the first word that is no flag and no flag's value; -1 without one. */
function firstPositional(words: readonly string[]): number {
  const taking = valueFlags();
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    if (taking.has(word)) index += 1;
    else if (!word.startsWith('-') || word === '-') return index;
  }
  return -1;
}

function factsOf(name: string): CommandFacts | undefined {
  return COMMAND_TABLE.find((facts) => facts.name === name);
}

/**
 * Splits at the first `--`, finds the command word wherever it stands, and puts it first. Without one, `run` is meant,
 * unless the words ask for the program's own help or version, or there are none. Behind a command that starts no other
 * one, what comes after `--` are its own arguments, which may begin with a dash.
 */
export function splitArguments(words: readonly string[]): SplitArguments {
  const cut = words.indexOf('--');
  const before = cut < 0 ? words : words.slice(0, cut);
  const command = cut < 0 ? null : words.slice(cut + 1);
  const at = firstPositional(before);
  if (at < 0) {
    const forProgram = command === null && (before.length === 0 || before.some((flag) => PROGRAM_FLAGS.includes(flag)));
    return { head: forProgram ? before : ['run', ...spellSwitches(before, factsOf('run'))], command };
  }
  // An unknown word goes to the parser as it is, which names it and the nearest command.
  const word = before[at] ?? '';
  const facts = factsOf(word);
  const flags = before.filter((_, index) => index !== at);
  const head = [word, ...spellSwitches(flags, facts)];
  if (facts === undefined || facts.startsCommand || command === null) return { head, command };
  return { head: [...head, '--', ...command], command: null };
}
