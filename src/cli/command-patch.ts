/** `patch`: applies a delta to its source. */
import { EXIT_CODES, patch } from '../index.js';
import type { CommandContext } from './context.js';
import { showBytes } from './units.js';
import { readWhole, writeWhole } from './whole-file.js';

export async function run(context: CommandContext): Promise<number> {
  const { words, local, output, signal } = context;
  const [source = '', delta = '', file = ''] = words;
  const target = await patch(await readWhole(source, signal), await readWhole(delta, signal), { signal });
  await writeWhole(file, target, local.force === true);
  if (file === '-') return EXIT_CODES.ok;
  output.record('patch', { targetBytes: target.length, path: file });
  output.line(`${file}: ${showBytes(target.length)}, verified`);
  return EXIT_CODES.ok;
}
