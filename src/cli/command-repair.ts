/** `repair`: rebuilds the metadata from the packs alone. */
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { pathFacts } from './output.js';
import { withStore } from './store-access.js';
import { count } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { output } = context;
  const { checkpoints, records, damage } = await withStore(context, {}, (store) => store.rebuildIndex());
  for (const { affected, ...facts } of damage) {
    const paths = affected.map(({ path, sequence }) => ({ ...pathFacts(path), sequence }));
    output.record('damage', { ...facts, affected: paths });
    output.note(`damaged ${facts.kind}: ${facts.where}: ${facts.message}`);
  }
  output.record('repair', { checkpoints, records, damaged: damage.length });
  output.line(`metadata rebuilt: ${count(checkpoints, 'checkpoint')} from ${count(records, 'record')}`);
  return damage.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
}
