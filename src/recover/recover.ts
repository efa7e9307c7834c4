/**
 * Door of the room `recover`: brings a state directory back from a store.
 * Content is verified twice (blobs, as far as they are read whole, then every
 * file), the tree once (its Merkle root). What is damaged is reported and left out; all else comes back.
 */
import { resolve } from 'node:path';
import {
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  isSystemError,
  type Logger,
  silentLogger,
  systemClock,
  throwIfAborted,
} from '../core/core.js';
import type { Checkpoint } from '../format/format.js';
import type { Store } from '../store/store.js';
import { DamageLog } from './damage-log.js';
import { countEntries } from './plan-recover.js';
import { RecoverJob } from './recover-job.js';
import { type PassOptions, RecoverPass } from './recover-pass.js';
import { compileIgnores } from './remove-extra.js';
import { findCheckpoint, selectPaths } from './select-entries.js';
import { syncTarget } from './sync-target.js';
import { openTarget } from './target-tree.js';
import type { RecoverDamage, RecoverOptions, RecoverReport } from './types.js';

export { planRecover } from './plan-recover.js';
export { type ReadFileOptions, readFileAt, readVersion } from './read-file-at.js';
export * from './types.js';

/** What one attempt left behind. */
interface Attempt {
  readonly job: RecoverJob;
  readonly entries: number;
  readonly unreadable: number;
  readonly rootMatches: boolean | null;
}

/**
 * Makes `stateDir` equal to a checkpoint (or the selected paths of it). The
 * directory is made when missing; entries that are right already are not touched.
 *
 * Throws DK_NOT_FOUND (no such checkpoint, or none of `paths` in it), DK_STATE_DIR
 * (unusable target), DK_DISK_FULL, DK_IO, DK_ABORTED, and with `strict` DK_PARTIAL after
 * all that could be restored was; TypeError for wrong arguments. Damage does not
 * throw otherwise: look at `damaged` and `rootVerified`.
 */
export async function recover(store: Store, stateDir: string, options: RecoverOptions = {}): Promise<RecoverReport> {
  try {
    return await recoverNow(store, stateDir, options);
  } catch (error) {
    // What the engine was refused at the state directory itself, and not at one entry of it.
    throw isSystemError(error) ? fromSystemError(error, 'recover to', resolve(stateDir)) : error;
  }
}

async function recoverNow(store: Store, stateDir: string, options: RecoverOptions): Promise<RecoverReport> {
  const started = systemClock.steadyMs();
  const logger = options.logger ?? silentLogger;
  const under = selectPaths(options.paths);
  throwIfAborted(options.signal);
  const checkpoint = await findCheckpoint(store, options.at);
  const pass: PassOptions = {
    checkpoint,
    under,
    removeExtra: options.removeExtra ?? under === null,
    ignores: compileIgnores(options.ignore ?? []),
  };
  const { job, entries, unreadable, rootMatches } = await attemptTwice(store, stateDir, options, pass);
  if (under !== null && under.length > 0 && entries + unreadable === 0) {
    throw new DiffKeeperError('DK_NOT_FOUND', `checkpoint ${checkpoint.sequence} has none of these paths`, {
      path: options.paths?.[0] ?? '',
    });
  }
  if (options.durable) await syncTarget(store.engine, job.root);
  if (rootMatches === false) reportRoot(job, checkpoint, logger);
  const rootVerified = rootMatches === null ? null : rootMatches && job.damage.count === 0;
  const facts = { timeMs: Date.now(), sequence: checkpoint.sequence };
  // It names files: of an encrypted store the report and the log alone tell.
  if (!store.guard.sealed) await job.damage.write(store.quarantinePath, facts, logger);
  if (job.identityDropped > 0)
    logger.warn({ files: job.identityDropped }, 'files came back without setuid, setgid or capabilities');
  if (options.strict && job.damage.count > 0) throw partial(job.damage, checkpoint);
  return {
    checkpoint,
    entries,
    written: job.written,
    kept: job.kept,
    removed: job.removed,
    bytes: job.bytes,
    identityDropped: job.identityDropped,
    damaged: job.damage.entries,
    rootVerified,
    elapsedMs: systemClock.steadyMs() - started,
  };
}

/**
 * LevelDB drops keys silently when a bit flips; the packs still have them. So
 * metadata that cannot be read or does not match its root is rebuilt once.
 */
async function attemptTwice(
  store: Store,
  stateDir: string,
  options: RecoverOptions,
  pass: PassOptions,
): Promise<Attempt> {
  let first: Attempt | undefined;
  let failure: unknown;
  try {
    first = await attempt(store, stateDir, options, pass);
    if (!isIndexWrong(first, pass.checkpoint.sequence <= store.mended.sequence)) return first;
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    failure = error;
  }
  const logger = options.logger ?? silentLogger;
  logger.warn(
    { sequence: pass.checkpoint.sequence },
    'the metadata does not match its checkpoint: rebuilding it from the packs',
  );
  try {
    await store.rebuildIndex();
  } catch (error) {
    logger.warn({ error: String(error) }, 'the metadata could not be rebuilt');
    if (first) return first;
    throw failure;
  }
  return attempt(store, stateDir, options, pass);
}

/**
 * Where records of versions are damaged the metadata knows more than the packs: made anew, it would forget which paths
 * these were.
 *
 * @param known the packs are known to lack something of the checkpoint, and the metadata was made of what they have
 */
function isIndexWrong({ job, rootMatches, unreadable }: Attempt, known: boolean): boolean {
  return job.damage.hasCode('DK_CORRUPT_INDEX') || (rootMatches === false && unreadable === 0 && !known);
}

async function attempt(store: Store, stateDir: string, options: RecoverOptions, pass: PassOptions): Promise<Attempt> {
  const target = await openTarget(store, stateDir, store.engine);
  const job = new RecoverJob({
    store,
    target,
    owner: options.owner ?? process.getuid?.() === 0,
    setuid: options.setuid ?? false,
    damage: new DamageLog(),
    logger: options.logger ?? silentLogger,
    signal: options.signal,
    progress: await progressOf(store, options, pass),
  });
  const result = await new RecoverPass(job, pass).run();
  return { job, ...result };
}

/** Adds up bytes for the caller's callback; of a selection the total has to be counted first. */
async function progressOf(store: Store, options: RecoverOptions, pass: PassOptions): Promise<(bytes: number) => void> {
  const { onProgress, signal } = options;
  if (!onProgress) return () => {};
  const total = (
    await countEntries(store, {
      checkpoint: pass.checkpoint,
      under: pass.under,
      signal,
    })
  ).bytes;
  let done = 0;
  return (bytes) => {
    done += bytes;
    onProgress(Math.min(done, total), total);
  };
}

function reportRoot(job: RecoverJob, checkpoint: Checkpoint, logger: Logger): void {
  const message = `the tree does not hash to the root of checkpoint ${checkpoint.sequence}: entries are missing or wrong; nothing was removed`;
  job.damage.addRoot(message);
  logger.error({ sequence: checkpoint.sequence }, message);
}

function partial(damage: DamageLog, checkpoint: Checkpoint): DiffKeeperError {
  const named = damage.entries.slice(0, 3).map((entry: RecoverDamage) => `${entry.path || 'tree'} (${entry.code})`);
  const more = damage.count > named.length ? ` and ${damage.count - named.length} more` : '';
  return new DiffKeeperError(
    'DK_PARTIAL',
    `checkpoint ${checkpoint.sequence} could not be recovered whole: ${named.join(', ')}${more}; the rest is in place`,
    { path: damage.entries[0]?.path ?? '', expected: 0, actual: damage.count },
  );
}
