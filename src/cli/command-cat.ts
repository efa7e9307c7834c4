/** `cat`: writes one file, as it was, to stdout. */
import { pipeline } from 'node:stream/promises';
import { EXIT_CODES, readFileAt } from '../index.js';
import type { CommandContext } from './context.js';
import { parseMoment, resolveMoment } from './moment.js';
import { innerPath, withReading } from './store-access.js';

export async function run(context: CommandContext): Promise<number> {
  const at = parseMoment(context.local.at, Date.now());
  const path = innerPath(context.words[0] ?? '');
  return withReading(context, async (store) => {
    const content = readFileAt(store, path, at === undefined ? {} : { at: await resolveMoment(store, at) });
    // `end: false`: stdout cannot be closed, and ending it would wait for ever on a pipe.
    await pipeline(content, process.stdout, { end: false, signal: context.signal });
    return EXIT_CODES.ok;
  });
}
