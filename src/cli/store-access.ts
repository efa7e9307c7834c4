/** Opens the store of a command and closes it whatever happens. */
import {
  type Checkpoint,
  type OpenOptions,
  openStoreOrImport,
  openStoreToRead,
  type ShareOptions,
  type Store,
  shareStore,
} from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { type Progress, startProgress } from './progress.js';
import type { Settings } from './settings.js';
import { keyOptions } from './store-key.js';

const MEGABYTE = 1024 * 1024;

/** Store options that the settings ask for. */
export function storeOptions(settings: Settings): Omit<OpenOptions, 'create' | 'logger' | 'signal' | 'onProgress'> {
  const { hashAlgo, snapshotInterval, level } = settings;
  const asked = level !== undefined && { level };
  return { hashAlgo, snapshotInterval, ...asked, schema: settings.enableDiff ? 2 : 1, ...keyOptions(settings) };
}

type StoreEngine = 'auto' | 'zstd' | 'xor';

/** The other engines make deltas of files; they are no codecs of blobs, so a store chooses by itself then. */
function storeEngine(engine: Settings['diffLibrary']): StoreEngine {
  return engine === 'zstd' || engine === 'xor' ? engine : 'auto';
}

/** Capture options that the settings ask for. */
export function captureOptions(settings: Settings): {
  readonly ignore: readonly string[];
  readonly chunkBytes: number;
  readonly deltaEngine: StoreEngine | 'none';
} {
  return {
    ignore: settings.ignore,
    chunkBytes: Math.round(settings.chunkSize * MEGABYTE),
    deltaEngine: settings.enableDiff ? storeEngine(settings.diffLibrary) : 'none',
  };
}

/** Opens the store; a file of the older system is imported first, with a bar on a terminal. */
async function openWithProgress(context: CommandContext, open: typeof openStoreOrImport, options: OpenOptions) {
  const { logger, output, settings, signal } = context;
  let progress: Promise<Progress> | undefined;
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    progress ??= startProgress(output, 'importing');
    void progress.then((bar) => bar.update(doneBytes, totalBytes));
  };
  try {
    // Looking at a store is no reason to migrate it.
    const schema = settings.enableDiff ? 'asFound' : 1;
    const { encrypt, ...key } = keyOptions(settings);
    return await open(settings.store, { schema, ...key, ...options, logger, signal, onProgress });
  } finally {
    (await progress)?.stop();
  }
}

/** Commands that take longer than this let others read the store meanwhile, ms. */
const SHARED_AFTER_MS = 200;

/** Runs a task with an open store, then closes it. Closing errors do not hide the task's own. */
async function useStore<T>(store: Store, share: ShareOptions, task: (store: Store) => Promise<T>): Promise<T> {
  const sharing = setTimeout(() => void shareStore(store, share).catch(() => {}), SHARED_AFTER_MS);
  let result: T;
  try {
    result = await task(store);
  } catch (error) {
    clearTimeout(sharing);
    await store.close().catch(() => {});
    throw error;
  }
  clearTimeout(sharing);
  await store.close();
  return result;
}

/** Runs a task with the store, which is this process's alone until it ends. */
export async function withStore<T>(
  context: CommandContext,
  options: OpenOptions,
  task: (store: Store) => Promise<T>,
  share: ShareOptions = {},
): Promise<T> {
  const store = await openWithProgress(context, openStoreOrImport, options);
  return useStore(store, { ...share, logger: context.logger }, task);
}

/** Runs a task that only reads: through the process that owns the store, when there is one. */
export async function withReading<T>(context: CommandContext, task: (store: Store) => Promise<T>): Promise<T> {
  const store = await openWithProgress(context, openStoreToRead, {});
  return useStore(store, { logger: context.logger }, task);
}

/** Opens the store as `withReading` does, for a command that opens and closes it again and again. */
export async function openToLook(context: CommandContext): Promise<Store> {
  const store = await openWithProgress(context, openStoreToRead, {});
  const share = { logger: context.logger };
  const sharing = setTimeout(() => void shareStore(store, share).catch(() => {}), SHARED_AFTER_MS);
  sharing.unref();
  return store;
}

/** Paths given by the user: relative to the state directory, and staying inside. Throws DK_ARGUMENT. */
export function innerPath(word: string): string {
  const names = word.split('/').filter((name) => name !== '' && name !== '.');
  if (word.startsWith('/') || names.includes('..') || names.length === 0) {
    throw argumentError('path', `got "${word}"; allowed: a path below the state directory`);
  }
  return names.join('/');
}

/** A checkpoint for JSON. */
export function checkpointFacts(checkpoint: Checkpoint): object {
  const { timeMs, root, ...rest } = checkpoint;
  return { ...rest, time: new Date(timeMs).toISOString(), timeMs, root: root.toString('hex') };
}
