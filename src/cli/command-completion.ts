/** `completion`: the script that makes a shell complete our commands and options. */
import { EXIT_CODES } from '../index.js';
import { COMMAND_TABLE } from './command-table.js';
import { completionScript, SHELLS } from './completion-scripts.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';

export async function run({ words }: CommandContext): Promise<number> {
  const shell = SHELLS.find((name) => name === words[0]);
  if (shell === undefined) throw argumentError('shell', `got "${words[0] ?? ''}"; allowed: ${SHELLS.join(', ')}`);
  process.stdout.write(completionScript(shell, COMMAND_TABLE));
  return EXIT_CODES.ok;
}
