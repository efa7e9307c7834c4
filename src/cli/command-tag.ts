/** `tag`: names the newest state, so that it can be found, and kept by `prune --keep-tag`. */
import { type Checkpoint, EXIT_CODES, type Store, tagSharedStore } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { pathShown } from './output.js';
import { checkpointFacts, withReading } from './store-access.js';

export async function run(context: CommandContext): Promise<number> {
  const { output, words } = context;
  const tag = words[0] ?? '';
  if (tag === '') throw argumentError('text', 'a tag must not be empty');
  const checkpoint = await withReading(
    context,
    async (store) => (await tagSharedStore(store, tag)) ?? tagNewest(store, tag),
  );
  output.record('checkpoint', checkpointFacts(checkpoint));
  output.line(`#${checkpoint.sequence} is tagged "${pathShown(tag)}"`);
  return EXIT_CODES.ok;
}

/** A checkpoint that changes nothing: records in a pack are never rewritten for a name. */
async function tagNewest(store: Store, tag: string): Promise<Checkpoint> {
  if (store.newest === null) throw argumentError('text', 'the store has no checkpoint to be tagged yet');
  const transaction = store.begin();
  try {
    return (await transaction.commit({ tag, force: true })) ?? store.newest;
  } finally {
    await transaction.abort();
  }
}
