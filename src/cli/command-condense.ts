/** `condense`: writes packs of many small versions anew, densely. */
import { condense, EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { startProgress } from './progress.js';
import { withStore } from './store-access.js';
import { count, showBytes } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { output, signal } = context;
  const report = await withStore(context, {}, async (store) => {
    const progress = await startProgress(output, 'condensing');
    return condense(store, { signal, onProgress: progress.update }).finally(progress.stop);
  });
  const { packs, considered, bytesBefore, bytesAfter, damaged, packsLeft } = report;
  const freed = bytesBefore - bytesAfter;
  output.record('condense', { ...report, freedBytes: freed });
  output.line(
    `${count(packs, 'pack')} condensed; packs: ${showBytes(bytesBefore)} before, ${showBytes(bytesAfter)} after, ${showBytes(freed)} given back`,
  );
  if (considered === 0)
    output.note('no pack is left that is made mostly of small versions that the newest state does not need');
  if (packsLeft > 0) output.note(`${count(packsLeft, 'pack')} in use: run it again later`);
  if (damaged > 0) output.note(`${count(damaged, 'pack')} with damaged records left as they are`);
  return damaged > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
