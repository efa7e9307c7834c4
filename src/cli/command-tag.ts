/** `tag`: names the newest state, or a checkpoint, so that it can be found, and kept by `prune --keep-tag`. */
import { type Checkpoint, EXIT_CODES, type Store, tagSharedStore } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { type Moment, parseMoment, resolveMoment } from './moment.js';
import { checkpointFacts, withReading } from './store-access.js';
import { assertTag } from './tag-text.js';

export async function run(context: CommandContext): Promise<number> {
  const { output, words, local } = context;
  const tag = words[0] ?? '';
  const at = parseMoment(local.at, Date.now());
  assertTag('text', tag);
  if (local.delete === true) return removeTag(context, tag, at);
  if (tag === '') throw argumentError('text', 'a tag must not be empty');
  const checkpoint = await withReading(context, async (store) => {
    if (at !== undefined) return store.retag((await checkpointOf(store, at)).sequence, tag);
    return (await tagSharedStore(store, tag)) ?? tagNewest(store, tag);
  });
  output.record('checkpoint', checkpointFacts(checkpoint));
  output.line(`#${checkpoint.sequence} is tagged "${tag}"`);
  return EXIT_CODES.ok;
}

/** Takes the tag from the newest checkpoint that has it, or from one that is named. */
async function removeTag(context: CommandContext, tag: string, at: Moment | undefined): Promise<number> {
  const { output } = context;
  if ((tag === '') === (at === undefined)) throw argumentError('--delete', 'give the tag, or its checkpoint with --at');
  const checkpoint = await withReading(context, async (store) => {
    const { sequence } = await checkpointOf(store, at ?? { tag, name: 'text', marked: true });
    return store.retag(sequence, '');
  });
  output.record('checkpoint', checkpointFacts(checkpoint));
  output.line(`#${checkpoint.sequence} has no tag now`);
  return EXIT_CODES.ok;
}

async function checkpointOf(store: Store, moment: Moment): Promise<Checkpoint> {
  return store.checkpointAt(await resolveMoment(store, moment));
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
