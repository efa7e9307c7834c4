/** `push` and `pull`: what one store lacks of another one, once. */
import { EXIT_CODES, pullStore, pushStore, type Store, type SyncReport } from '../index.js';
import type { CommandContext } from './context.js';
import { linkOf } from './link-options.js';
import { startProgress } from './progress.js';
import { storeOptions, withStore } from './store-access.js';
import { count, showBytes, showDuration } from './units.js';

type Transfer = typeof pushStore;

function told({ output }: CommandContext, verb: 'push' | 'pull', report: SyncReport): number {
  const { checkpoints, blobs, bytes, elapsedMs, sequence } = report;
  output.record(verb, report);
  if (checkpoints === 0) output.line(sequence === 0 ? 'nothing is there yet' : `up to date at #${sequence}`);
  else {
    const taken = `${count(checkpoints, 'checkpoint')} up to #${sequence}`;
    output.line(`${taken}: ${count(blobs, 'blob')}, ${showBytes(bytes)}, ${showDuration(elapsedMs)}`);
  }
  return EXIT_CODES.ok;
}

async function transfer(context: CommandContext, store: Store, run: Transfer, label: string): Promise<SyncReport> {
  const { words, signal, logger, output, local, settings } = context;
  const link = await linkOf(settings);
  const progress = await startProgress(output, label);
  const options = { link, signal, logger, takeOver: local.takeOver === true, onProgress: progress.update };
  return run(store, words[0] ?? '', options).finally(progress.stop);
}

export async function run(context: CommandContext): Promise<number> {
  const report = await withStore(context, {}, (store) => transfer(context, store, pushStore, 'pushing'));
  return told(context, 'push', report);
}

export async function pull(context: CommandContext): Promise<number> {
  const options = { ...storeOptions(context.settings), create: true };
  const report = await withStore(context, options, (store) => transfer(context, store, pullStore, 'pulling'));
  return told(context, 'pull', report);
}
