/** `verify`: checks everything that is stored. */
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { pathFacts, pathShown } from './output.js';
import { startProgress } from './progress.js';
import { withStore } from './store-access.js';
import { count, showBytes } from './units.js';

const AFFECTED_SHOWN = 5;

export async function run(context: CommandContext): Promise<number> {
  const { output, local, signal } = context;
  const report = await withStore(context, {}, async (store) => {
    const progress = await startProgress(output, 'verifying');
    const readData = local.readData !== false;
    return store.verify({ readData, signal, onProgress: progress.update }).finally(progress.stop);
  });
  const { damage, ...counts } = report;
  for (const { affected, ...facts } of damage) {
    const paths = affected.map(({ path, sequence }) => ({ ...pathFacts(path), sequence }));
    output.record('damage', { ...facts, affected: paths });
    output.note(`damaged ${facts.kind}: ${facts.where}: ${facts.message}`);
    for (const { path, sequence } of affected.slice(0, AFFECTED_SHOWN)) {
      output.note(`  cannot be read back: ${pathShown(path)} at checkpoint ${sequence}`);
    }
    if (affected.length > AFFECTED_SHOWN) output.note(`  and ${affected.length - AFFECTED_SHOWN} more`);
  }
  output.record('verify', { ...counts, damaged: damage.length });
  const { packs, records, blobs, versions, checkpoints, bytes } = counts;
  output.line(
    `${count(packs, 'pack')}, ${count(records, 'record')}, ${count(blobs, 'blob')}, ${count(versions, 'version')}, ` +
      `${count(checkpoints, 'checkpoint')}, ${showBytes(bytes)}: ${damage.length === 0 ? 'all good' : `${damage.length} damaged`}`,
  );
  return damage.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
}
