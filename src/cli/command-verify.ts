/** `verify`: checks everything that is stored. */
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { showDamage } from './damage-lines.js';
import { argumentError } from './failure.js';
import { parseShare } from './moment.js';
import { startProgress } from './progress.js';
import { showQuarantine } from './quarantine-lines.js';
import { withReading } from './store-access.js';
import { count, showBytes, showNumber } from './units.js';

const AFFECTED_SHOWN = 5;

export async function run(context: CommandContext): Promise<number> {
  const { output, local, signal } = context;
  const sample = parseShare('--sample', local.sample);
  if (sample !== undefined && local.readData === false) {
    throw argumentError('--sample', 'decodes a share of the blobs, and --no-read-data none: give one of the two');
  }
  const report = await withReading(context, async (store) => {
    const progress = await startProgress(output, 'verifying');
    const options = { readData: local.readData !== false, signal, onProgress: progress.update };
    return store.verify({ ...options, ...(sample !== undefined && { sample }) }).finally(progress.stop);
  });
  const { damage, quarantine, ...counts } = report;
  showDamage(output, damage, AFFECTED_SHOWN);
  output.record('verify', { ...counts, damaged: damage.length, quarantine });
  showQuarantine(output, quarantine);
  const { packs, records, blobs, versions, checkpoints, bytes, blobsRead } = counts;
  const decoded = blobsRead < blobs ? `${showNumber(blobsRead)} of ` : '';
  output.line(
    `${count(packs, 'pack')}, ${count(records, 'record')}, ${decoded}${count(blobs, 'blob')}, ${count(versions, 'version')}, ` +
      `${count(checkpoints, 'checkpoint')}, ${showBytes(bytes)}: ${damage.length === 0 ? 'all good' : `${damage.length} damaged`}`,
  );
  return damage.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
}
