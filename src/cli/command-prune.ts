/** `prune`: drops checkpoints that no rule keeps. */
import { EXIT_CODES, type PrunePolicy, type PruneReport, type Store } from '../index.js';
import type { CommandContext } from './context.js';
import { parseRules } from './keep-rules.js';
import { startProgress } from './progress.js';
import { withReading, withStore } from './store-access.js';
import { count, showBytes } from './units.js';

const SHOWN = 20;

/** The policy that the command's own options make. */
function policyOf(local: CommandContext['local']): PrunePolicy {
  const pairs: [string, string][] = [];
  for (const [key, value] of Object.entries(local)) {
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (!name.startsWith('keep-')) continue;
    for (const one of Array.isArray(value) ? value : [value]) pairs.push([name, String(one)]);
  }
  return parseRules(pairs, '--');
}

export async function run(context: CommandContext): Promise<number> {
  const { output, local, signal } = context;
  const policy = policyOf(local);
  const dryRun = local.dryRun === true;
  const prune = async (store: Store): Promise<PruneReport> => {
    const progress = await startProgress(output, 'pruning');
    const options = { dryRun, allowDamaged: local.allowDamaged === true, signal, onProgress: progress.update };
    return store.prune(policy, options).finally(progress.stop);
  };
  // What only looks does so beside a process that has the store.
  const report = await (dryRun ? withReading(context, prune) : withStore(context, {}, prune));
  const freed = report.bytesBefore - report.bytesAfter;
  output.record('prune', { ...report, freedBytes: freed });
  const { kept, dropped, packsLeft } = report;
  const listed = dropped.slice(0, SHOWN).map((sequence) => `#${sequence}`);
  const more = dropped.length > SHOWN ? ` and ${dropped.length - SHOWN} more` : '';
  const would = dryRun ? 'would go' : 'dropped';
  output.line(
    `${count(kept.length, 'checkpoint')} kept, ${dropped.length} ${would}${listed.length > 0 ? `: ${listed.join(' ')}${more}` : ''}`,
  );
  const change = freed >= 0 ? `${showBytes(freed)} ${dryRun ? 'would be' : 'given'} back` : `${showBytes(-freed)} more`;
  output.line(
    `packs: ${showBytes(report.bytesBefore)} before, ${dryRun ? 'about ' : ''}${showBytes(report.bytesAfter)} after, ${change}`,
  );
  if (packsLeft > 0)
    output.note(`${count(packsLeft, 'pack')} could not be removed yet and will be at the next opening`);
  if (report.damaged > 0) output.note(`${count(report.damaged, 'damaged record')} left as they are`);
  return report.damaged > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
