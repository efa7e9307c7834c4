/** `stats`: what is stored and what it saves. */
import { EXIT_CODES, type StoreStats } from '../index.js';
import type { CommandContext } from './context.js';
import { withStore } from './store-access.js';
import { count, showBytes, showNumber } from './units.js';

function ratio(stats: StoreStats): { readonly storedBytes: number; readonly factor: number | null } {
  const storedBytes = stats.packBytes + stats.metaBytes;
  return { storedBytes, factor: storedBytes > 0 ? stats.originalBytes / storedBytes : null };
}

export async function run(context: CommandContext): Promise<number> {
  const { output } = context;
  const stats = await withStore(context, {}, (store) => store.stats());
  const { storedBytes, factor } = ratio(stats);
  output.record('stats', { ...stats, storedBytes, factor });
  if (output.json) return EXIT_CODES.ok;
  const saved = stats.originalBytes > 0 ? (1 - storedBytes / stats.originalBytes) * 100 : 0;
  const { default: Table } = await import('cli-table3');
  const rule = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };
  const table = new Table({ chars: rule, style: { head: [], border: [] }, colAligns: ['left', 'right'] });
  const depths = stats.depths.map((blobs, depth) => `${depth}: ${showNumber(blobs)}`).join('  ');
  table.push(
    ['store', `${stats.path} (${stats.hashAlgo})`],
    ['state now', `${count(stats.entries, 'entry')}, ${showBytes(stats.treeBytes)}`],
    ['history', `${count(stats.checkpoints, 'checkpoint')}, ${count(stats.versions, 'version')}`],
    ['every version whole', showBytes(stats.originalBytes)],
    ['stored: packs', showBytes(stats.packBytes)],
    ['stored: metadata', showBytes(stats.metaBytes)],
    ['stored in all', showBytes(storedBytes)],
    // A store of a few bytes is mostly headers: saying so beats a negative share.
    [
      'saved',
      factor === null || saved < 0 ? 'nothing yet' : `${saved.toFixed(1)} % (${factor.toFixed(1)} times smaller)`,
    ],
    ['blobs', showNumber(stats.blobs)],
    ['blobs by depth', depths],
  );
  output.line(table.toString());
  return EXIT_CODES.ok;
}
