/** `patch`: applies a delta to its source. */
import { deltaFormat, EXIT_CODES, patch, patchBare } from '../index.js';
import type { CommandContext } from './context.js';
import { showBytes } from './units.js';
import { readWhole, writeWhole } from './whole-file.js';

export async function run(context: CommandContext): Promise<number> {
  const { words, local, output, signal } = context;
  const [source = '', deltaFile = '', file = ''] = words;
  const sourceBytes = await readWhole(source, signal);
  const delta = await readWhole(deltaFile, signal);
  const format = deltaFormat(delta);
  const verified = format !== 'bsdiff' && format !== 'vcdiff';
  const target = await (verified ? patch : patchBare)(sourceBytes, delta, { signal });
  await writeWhole(file, target, local.force === true);
  const outcome = verified ? 'verified' : `not verified: ${format} carries no digests`;
  if (file === '-') {
    if (!verified) output.note(outcome);
    return EXIT_CODES.ok;
  }
  output.record('patch', { targetBytes: target.length, path: file, verified });
  output.line(`${file}: ${showBytes(target.length)}, ${outcome}`);
  return EXIT_CODES.ok;
}
