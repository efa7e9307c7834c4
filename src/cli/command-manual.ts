/** `manual`: the manual page, as `man` reads it. */
import { EXIT_CODES } from '../index.js';
import { COMMAND_TABLE } from './command-table.js';
import type { CommandContext } from './context.js';
import { manualPage } from './manual-page.js';
import { HELP_AFTER } from './program.js';
import { VERSION } from './version.js';

export async function run(_context: CommandContext): Promise<number> {
  process.stdout.write(manualPage(COMMAND_TABLE, { version: VERSION, after: HELP_AFTER }));
  return EXIT_CODES.ok;
}
