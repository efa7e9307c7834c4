/** `migrate`: brings an older store over (opening it does that) and shows the report. */
import {
  EXIT_CODES,
  finalizeMigration,
  type MigrationDamage,
  type MigrationReport,
  migratedTotals,
  readMigrationReport,
} from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import type { Output } from './output.js';
import { storeOptions, withStore } from './store-access.js';
import { count, showBytes } from './units.js';

const FORMS = ['text', 'json'];

export async function run(context: CommandContext): Promise<number> {
  const { local, output, settings } = context;
  const form = local.report ?? 'text';
  if (typeof form !== 'string' || !FORMS.includes(form)) {
    throw argumentError('--report', `got "${String(form)}"; allowed: ${FORMS.join(', ')}`);
  }
  if (!settings.enableDiff) throw argumentError('--enable-diff', 'a migration is to schema 2: leave it at true');
  const found = await withStore(context, storeOptions(settings), async (store) => ({
    path: store.path,
    report: await readMigrationReport(store.path),
  }));
  const finalize = local.finalize === true && found.report !== null;
  const report = finalize ? await finalizeMigration(found.path, { logger: context.logger }) : found.report;
  if (report === null) {
    output.record('migration', { state: 'none' });
    output.line('nothing to migrate: this store was not made from an older one');
    return EXIT_CODES.ok;
  }
  if (form === 'json') process.stdout.write(`${JSON.stringify({ ...report, ...migratedTotals(report) })}\n`);
  else show(output, report);
  return report.state === 'complete' ? EXIT_CODES.ok : EXIT_CODES.partial;
}

function show(output: Output, report: MigrationReport): void {
  for (const { group, ...facts } of report.damage) output.record('damage', facts);
  for (const damage of report.damage) output.note(damageLine(damage));
  const { damage, parts, ...facts } = report;
  const { files, versions, bytes } = migratedTotals(report);
  output.record('migration', { ...facts, files, versions, bytes, damaged: damage.length });
  output.line(
    `${report.state}${report.finalized ? ', finalized' : ''}: ${count(files, 'file')} in ${count(versions, 'version')}, ${showBytes(bytes)}, from ${report.source.path} ` +
      `(schema ${report.source.schema}, ${report.source.identity})`,
  );
}

function damageLine({ kind, name, reason, quarantine }: MigrationDamage): string {
  const shown = name.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
  const kept = quarantine === undefined ? '' : ` (kept in quarantine/${quarantine})`;
  return `${kind}: ${shown === '' ? '' : `${shown}: `}${reason}${kept}`;
}
