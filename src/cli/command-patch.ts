/** `patch`: applies a delta to its source. */
import { EXIT_CODES, patchFile } from '../index.js';
import type { CommandContext } from './context.js';
import { startProgress } from './progress.js';
import { showBytes } from './units.js';
import { explainRefusal, input } from './whole-file.js';

export async function run(context: CommandContext): Promise<number> {
  const { words, local, output, signal } = context;
  const [source = '', deltaFile = '', file = ''] = words;
  const progress = await startProgress(output, 'patch');
  const { format, verified, targetBytes } = await patchFile(
    input(source),
    input(deltaFile),
    file === '-' ? process.stdout : file,
    { overwrite: local.force === true, signal, onProgress: progress.update },
  )
    .catch(explainRefusal)
    .finally(progress.stop);
  const outcome = verified ? 'verified' : `not verified: ${format} carries no digests`;
  if (file === '-') {
    if (!verified) output.note(outcome);
    return EXIT_CODES.ok;
  }
  output.record('patch', { targetBytes, path: file, verified });
  output.line(`${file}: ${showBytes(targetBytes)}, ${outcome}`);
  return EXIT_CODES.ok;
}
