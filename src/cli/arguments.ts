/** Brings the command line into the one shape that the parser is given: command word first, then its arguments. */
import { COMMAND_TABLE } from './command-table.js';
import { OPTION_TABLE } from './option-table.js';

export interface SplitArguments {
  /** Command word and its arguments; empty words stay. */
  readonly head: readonly string[];
  /** Everything after the first `--`, untouched; null without one. */
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

/** Switches may be written bare or with `=true`; bare ones are spelled out, so that they never take the next word. */
function spellSwitches(words: readonly string[]): string[] {
  const switches = new Set<string>();
  for (const option of Object.values(OPTION_TABLE)) {
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

/**
 * Splits at the first `--`, finds the command word wherever it stands, and puts it first. Without one, `run` is meant,
 * unless the words ask for the program's own help or version, or there are none.
 */
export function splitArguments(words: readonly string[]): SplitArguments {
  const cut = words.indexOf('--');
  const before = spellSwitches(cut < 0 ? words : words.slice(0, cut));
  const command = cut < 0 ? null : words.slice(cut + 1);
  const at = firstPositional(before);
  const word = at < 0 ? undefined : before[at];
  const known = word === 'help' || COMMAND_TABLE.some(({ name }) => name === word);
  if (word !== undefined && known) return { head: [word, ...before.slice(0, at), ...before.slice(at + 1)], command };
  // An unknown word goes to the parser as it is, which names it and the nearest command.
  if (word !== undefined) return { head: [word, ...before.filter((_, index) => index !== at)], command };
  const forProgram = command === null && (before.length === 0 || before.some((flag) => PROGRAM_FLAGS.includes(flag)));
  return { head: forProgram ? before : ['run', ...before], command };
}
