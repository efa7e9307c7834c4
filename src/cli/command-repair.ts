/** `repair`: rebuilds the metadata from the packs alone, and says what cannot be mended. */
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { showDamage } from './damage-lines.js';
import { startProgress } from './progress.js';
import { showQuarantine } from './quarantine-lines.js';
import { withStore } from './store-access.js';
import { count } from './units.js';

const AFFECTED_SHOWN = 100;

export async function run(context: CommandContext): Promise<number> {
  const { output, local, signal } = context;
  const report = await withStore(context, { restoreMarker: true }, async (store) => {
    const progress = await startProgress(output, 'checking');
    const options = { check: true, readData: local.readData !== false, signal, onProgress: progress.update };
    return store.rebuildIndex(options).finally(progress.stop);
  });
  const {
    checkpoints,
    records,
    damage,
    carriedOver,
    droppedBlobs = 0,
    lostHeads = 0,
    quarantined = [],
    quarantine,
  } = report;
  showDamage(output, damage, AFFECTED_SHOWN);
  for (const file of quarantined) output.note(`put aside: ${file}`);
  showQuarantine(output, quarantine);
  const counts = { checkpoints, records, damaged: damage.length, carriedOver, droppedBlobs, lostHeads };
  output.record('repair', { ...counts, quarantined, quarantine });
  output.line(`metadata rebuilt: ${count(checkpoints, 'checkpoint')} from ${count(records, 'record')}`);
  if (carriedOver && carriedOver.versions + carriedOver.checkpoints > 0) {
    const { versions, checkpoints: others } = carriedOver;
    const what = [versions > 0 ? count(versions, 'version') : '', others > 0 ? count(others, 'checkpoint') : ''];
    output.line(
      `${what.filter((one) => one !== '').join(' and ')} that only the metadata still had: written into packs again`,
    );
  }
  if (droppedBlobs > 0)
    output.line(`${count(droppedBlobs, 'blob')} unreadable: stored anew when a capture meets the same bytes`);
  if (lostHeads > 0)
    output.line(
      `${count(lostHeads, 'path')} whose newest content is lost: the next capture stores ${lostHeads === 1 ? 'it' : 'them'} anew`,
    );
  return damage.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
}
