/** `tag`: names the newest state, so that it can be found, and kept by `prune --keep-tag`. */
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { pathShown } from './output.js';
import { checkpointFacts, withStore } from './store-access.js';

export async function run(context: CommandContext): Promise<number> {
  const { output, words } = context;
  const tag = words[0] ?? '';
  if (tag === '') throw argumentError('text', 'a tag must not be empty');
  await withStore(context, {}, async (store) => {
    if (store.newest === null) throw argumentError('text', 'the store has no checkpoint to be tagged yet');
    const transaction = store.begin();
    try {
      // A checkpoint that changes nothing: records in a pack are never rewritten for a name.
      const checkpoint = await transaction.commit({ tag, force: true });
      if (checkpoint === null) return;
      output.record('checkpoint', checkpointFacts(checkpoint));
      output.line(`#${checkpoint.sequence} is tagged "${pathShown(tag)}"`);
    } finally {
      await transaction.abort();
    }
  });
  return EXIT_CODES.ok;
}
