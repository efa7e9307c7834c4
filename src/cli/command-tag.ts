/** `tag`: names the newest state, or a checkpoint, so that it can be found, and kept by `prune --keep-tag`. */
import { type Checkpoint, DiffKeeperError, EXIT_CODES, type Store, tagSharedStore } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { parseMoment } from './moment.js';
import { checkpointFacts, withReading } from './store-access.js';

export async function run(context: CommandContext): Promise<number> {
  const { output, words, local } = context;
  const tag = words[0] ?? '';
  const at = parseMoment(local.at, Date.now());
  if (local.delete === true) return removeTag(context, tag, at);
  if (tag === '') throw argumentError('text', 'a tag must not be empty');
  const checkpoint = await withReading(context, async (store) => {
    if (at !== undefined) return store.retag((await store.checkpointAt(at)).sequence, tag);
    return (await tagSharedStore(store, tag)) ?? tagNewest(store, tag);
  });
  output.record('checkpoint', checkpointFacts(checkpoint));
  output.line(`#${checkpoint.sequence} is tagged "${tag}"`);
  return EXIT_CODES.ok;
}

/** Takes the tag from the newest checkpoint that has it, or from one that is named. */
async function removeTag(context: CommandContext, tag: string, at: number | Date | undefined): Promise<number> {
  const { output } = context;
  if ((tag === '') === (at === undefined)) throw argumentError('--delete', 'give the tag, or its checkpoint with --at');
  const checkpoint = await withReading(context, async (store) => {
    const { sequence } = at === undefined ? await newestWith(store, tag) : await store.checkpointAt(at);
    return store.retag(sequence, '');
  });
  output.record('checkpoint', checkpointFacts(checkpoint));
  output.line(`#${checkpoint.sequence} has no tag now`);
  return EXIT_CODES.ok;
}

async function newestWith(store: Store, tag: string): Promise<Checkpoint> {
  for await (const checkpoint of store.checkpoints()) if (checkpoint.tag === tag) return checkpoint;
  throw new DiffKeeperError('DK_NOT_FOUND', `no checkpoint has the tag "${tag}"`, { name: tag });
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
