/** `stats`: what is stored and what it saves. */
import { EXIT_CODES, type PackLiveness, type Store, type StoreSavings, type StoreStats } from '../index.js';
import type { CommandContext } from './context.js';
import { shown } from './shown-text.js';
import { withReading } from './store-access.js';
import { count, showBytes, showNumber } from './units.js';

/** The packs with the smallest needed share. */
const PACKS_SHOWN = 10;

function ratio(stats: StoreStats): { readonly storedBytes: number; readonly factor: number | null } {
  const storedBytes = stats.packBytes + stats.metaBytes;
  return { storedBytes, factor: storedBytes > 0 ? stats.originalBytes / storedBytes : null };
}

/** Pauses of the application at freeze points, ms; null when there were none. */
interface Pauses {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

async function pausesOf(store: Store): Promise<Pauses | null> {
  const sorted: number[] = [];
  for await (const { frozen, pauseMs } of store.checkpoints()) if (frozen) sorted.push(pauseMs);
  sorted.sort((one, other) => one - other);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return sorted.length === 0 ? null : { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

function showPauses({ count: points, p50Ms, p99Ms, maxMs }: Pauses): string {
  const [p50, p99, max] = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1));
  return `${count(points, 'freeze point')}: p50 ${p50} ms, p99 ${p99} ms, longest ${max} ms`;
}

/** From every version whole to what the packs take; a cause that cost more than it saved has a minus. */
function savingRows(savings: StoreSavings): [string, string][] {
  const { dedupBytes, deltaBytes, compressionBytes, dictionaryBytes, denseBytes, otherBytes } = savings;
  const saved = (bytes: number): string =>
    bytes === 0 ? 'nothing' : bytes > 0 ? showBytes(bytes) : `-${showBytes(-bytes)}`;
  return [
    ['saved: stored once', saved(dedupBytes)],
    ['saved: deltas', saved(deltaBytes)],
    ['saved: compression', saved(compressionBytes)],
    ['saved: dictionary', saved(dictionaryBytes)],
    ['saved: dense packs', saved(denseBytes)],
    ['besides contents', saved(otherBytes)],
  ];
}

function packRows(packs: readonly PackLiveness[]): [string, string][] {
  const bytes = packs.reduce((sum, pack) => sum + pack.bytes, 0);
  const live = packs.reduce((sum, pack) => sum + pack.liveBytes, 0);
  const share = (of: { readonly bytes: number; readonly liveBytes: number }): string =>
    `${of.bytes > 0 ? ((100 * of.liveBytes) / of.bytes).toFixed(0) : 0} %`;
  const least = [...packs].sort((one, other) => one.liveBytes / one.bytes - other.liveBytes / other.bytes);
  const rows = least.slice(0, PACKS_SHOWN).map((pack): [string, string] => {
    return [`pack ${pack.pack}`, `${share(pack)} of ${showBytes(pack.bytes)}`];
  });
  return [['packs: still needed', `${share({ bytes, liveBytes: live })} of ${count(packs.length, 'pack')}`], ...rows];
}

export async function run(context: CommandContext): Promise<number> {
  const { output, local } = context;
  const { stats, pauses } = await withReading(context, async (store) => ({
    stats: await store.stats({ liveness: local.packs === true }),
    pauses: await pausesOf(store),
  }));
  const { storedBytes, factor } = ratio(stats);
  output.record('stats', { ...stats, storedBytes, factor, pauses });
  if (output.json) return EXIT_CODES.ok;
  const saved = stats.originalBytes > 0 ? (1 - storedBytes / stats.originalBytes) * 100 : 0;
  const { default: Table } = await import('cli-table3');
  const rule = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };
  const table = new Table({ chars: rule, style: { head: [], border: [] }, colAligns: ['left', 'right'] });
  const depths = stats.depths.map((blobs, depth) => `${depth}: ${showNumber(blobs)}`).join('  ');
  table.push(
    ['store', `${shown(stats.path)} (${stats.hashAlgo})`],
    [
      'state now',
      `${count(stats.entries, 'entry')}, ${stats.files === null ? '' : `${count(stats.files, 'file')} among them, `}${showBytes(stats.treeBytes)}`,
    ],
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
  if (stats.savings) table.push(...savingRows(stats.savings));
  if (stats.packs) table.push(...packRows(stats.packs));
  if (pauses !== null) table.push(['pauses', showPauses(pauses)]);
  for (const line of table.toString().split('\n')) output.drawn(line);
  return EXIT_CODES.ok;
}
