/** Before the application starts: recover the newest state, or keep what is there. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import * as path from 'node:path';
import { type CaptureOptions, capture, type LeftOutWarnings } from '../capture/capture.js';
import {
  createHash,
  DiffKeeperError,
  fromSystemError,
  type Logger,
  makeParents,
  systemCode,
  unlinkDurable,
  writeFileDurable,
} from '../core/core.js';
import { type RecoverReport, recover } from '../recover/recover.js';
import type { Store } from '../store/store.js';
import type { StateLock } from './state-lock.js';
import type { RecoverMode } from './types.js';

export interface PrepareOptions {
  readonly store: Store;
  readonly stateDir: string;
  readonly mode: RecoverMode;
  readonly allowDamaged: boolean;
  readonly setuid: boolean;
  /** Look through the directory once more after a recover, so that the first freeze point finds a warm index. */
  readonly warm: boolean;
  /** How captures are made. */
  readonly capture: CaptureOptions & { readonly ignore: readonly string[] };
  readonly logger: Logger;
  /** Told of what is left out. */
  readonly warnings: LeftOutWarnings;
  readonly signal: AbortSignal;
  /** Takes the state directory for us, as soon as it exists. */
  readonly lock: () => Promise<StateLock>;
  /** Told of a recover that brought everything back that it could. */
  readonly onRecovered: (report: RecoverReport) => void;
}

const MARKER_PREFIX = 'recovering-';

/** File that stands in the store while a recover into this state directory is under way. */
function markerPath(options: PrepareOptions): string {
  const about = options.store.guard.describe(Buffer.from(options.stateDir));
  const name = createHash('sha256').update(about).digest('hex').slice(0, 16);
  return path.join(options.store.path, `${MARKER_PREFIX}${name}`);
}

/** Whether a recover into any state directory was interrupted: hardly ever, and to see that takes no digest. */
async function hasMarkers({ store }: PrepareOptions): Promise<boolean> {
  try {
    return (await readdir(store.path)).some((name) => name.startsWith(MARKER_PREFIX));
  } catch (error) {
    throw fromSystemError(error, 'list', store.path);
  }
}

/** Checkpoint that an interrupted recover was restoring; null when the last one ended well. */
async function interruptedSequence(options: PrepareOptions): Promise<number | null> {
  if (!(await hasMarkers(options))) return null;
  const marker = markerPath(options);
  try {
    const sequence = Number((await readFile(marker, 'utf8')).trim());
    // A marker that says nothing usable still says that the directory is half done.
    return Number.isSafeInteger(sequence) && sequence > 0 ? sequence : (options.store.newest?.sequence ?? null);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw fromSystemError(error, 'read', marker);
  }
}

/** Whether a directory holds nothing of the application: our own store and a file system's `lost+found` do not count. */
async function holdsNothing(directory: string, storePath: string): Promise<boolean> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const full = path.join(directory, entry.name);
    if (full === storePath || entry.name === 'lost+found') continue;
    const aroundStore = entry.isDirectory() && storePath.startsWith(`${full}${path.sep}`);
    if (!aroundStore || !(await holdsNothing(full, storePath))) return false;
  }
  return true;
}

/** Makes the state directory when it is missing; true when there is nothing in it. Throws DK_STATE_DIR. */
async function openStateDir(options: PrepareOptions): Promise<boolean> {
  const { stateDir, store } = options;
  try {
    await makeParents(stateDir);
    // Both may be named through symbolic links: only the real paths tell whether one lies in the other.
    return await holdsNothing(await realpath(stateDir), await realpath(store.path));
  } catch (error) {
    // Of a file, mkdir says that it exists, which is not what is wrong with it.
    const noDirectory = systemCode(error) === 'EEXIST' && 'it is not a directory';
    const reason = noDirectory || (error instanceof Error ? error.message : String(error));
    throw new DiffKeeperError(
      'DK_STATE_DIR',
      `cannot use the state directory ${stateDir}: ${reason}`,
      { path: stateDir },
      error,
    );
  }
}

async function captureFirst(options: PrepareOptions, tag?: string): Promise<void> {
  const { store, stateDir, logger, signal } = options;
  const report = await capture(store, stateDir, {
    ...options.capture,
    logger,
    signal,
    ...(tag === undefined ? {} : { tag }),
  });
  options.warnings.tell(report.skipped);
  const { added, changed, removed, elapsedMs } = report;
  const sequence = report.checkpoint?.sequence ?? store.newest?.sequence;
  logger.info({ sequence, added, changed, removed, elapsedMs }, 'took what is in the state directory');
}

async function recoverInto(options: PrepareOptions, sequence: number): Promise<RecoverReport> {
  const { store, stateDir, logger, signal, allowDamaged, setuid } = options;
  const { ignore } = options.capture;
  const marker = markerPath(options);
  // Killed half way, the directory would look like the newest state at the next start: the marker says it is not.
  await writeFileDurable(marker, Buffer.from(`${sequence}\n`));
  // Durable before the marker goes: without it, a loss of power would leave a half-empty tree that passes for a state.
  const report = await recover(store, stateDir, { at: sequence, ignore, setuid, logger, signal, durable: true });
  for (const damage of report.damaged) {
    logger.error({ path: damage.path, code: damage.code }, `could not be recovered: ${damage.message}`);
  }
  if (report.damaged.length > 0 && !allowDamaged) {
    throw new DiffKeeperError(
      'DK_PARTIAL',
      `checkpoint ${sequence} could not be recovered whole (${report.damaged.length} damaged): the application was not started`,
      { path: report.damaged[0]?.path ?? '', actual: report.damaged.length },
    );
  }
  await unlinkDurable(marker);
  options.onRecovered(report);
  const { written, kept, removed, bytes, elapsedMs } = report;
  logger.info({ sequence, written, kept, removed, bytes, elapsedMs }, 'recovered the state directory');
  return report;
}

/** What a recover is about to replace becomes a checkpoint. @throws DK_UNSUPPORTED in schema 1, where it would replace what is to be recovered */
async function keepBeforeRecover(options: PrepareOptions): Promise<void> {
  const { store, stateDir } = options;
  if (store.keepsHistory) return captureFirst(options, 'before-recover');
  throw new DiffKeeperError(
    'DK_UNSUPPORTED',
    `schema 1 (--enable-diff=false) keeps one version of each file, so what is in ${stateDir} cannot be kept beside what --recover=always brings back: empty the directory first`,
    { path: stateDir },
  );
}

/** The real path of something that need not exist yet. */
async function realPathOf(place: string): Promise<string> {
  try {
    return await realpath(place);
  } catch (error) {
    const above = path.dirname(place);
    if (systemCode(error) !== 'ENOENT' || above === place) return place;
    return path.join(await realPathOf(above), path.basename(place));
  }
}

/**
 * Throws DK_STATE_DIR when the state directory is the store or lies in it: nothing could be kept. Asked for before
 * either is made.
 */
export async function assertApart(stateDir: string, storePath: string): Promise<void> {
  const state = await realPathOf(path.resolve(stateDir));
  const store = await realPathOf(path.resolve(storePath));
  if (state !== store && !state.startsWith(`${store}${path.sep}`)) return;
  throw new DiffKeeperError('DK_STATE_DIR', `the state directory ${state} is the store ${store} or lies inside it`, {
    path: state,
  });
}

/** Brings the state directory into the state in which the application may start; gives its lock. */
export async function prepareState(options: PrepareOptions): Promise<StateLock> {
  const empty = await openStateDir(options);
  const lock = await options.lock();
  try {
    await prepareLocked(options, empty);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function prepareLocked(options: PrepareOptions, empty: boolean): Promise<void> {
  const { store, mode, logger } = options;
  const newest = store.newest;
  if (newest === null || mode === 'never') {
    if (!empty) await captureFirst(options);
    // The user said that what is there counts: it is no longer a half-done recover.
    if (await hasMarkers(options)) await unlinkDurable(markerPath(options));
    return;
  }
  const half = await interruptedSequence(options);
  if (half !== null) {
    logger.warn({ sequence: half }, 'the last recover was interrupted: recovering again');
    await recoverInto(options, store.keepsHistory ? half : newest.sequence);
  } else if (mode === 'always') {
    if (!empty) await keepBeforeRecover(options);
    await recoverInto(options, newest.sequence);
  } else if (empty) {
    await recoverInto(options, newest.sequence);
  } else {
    logger.info({}, 'the state directory is not empty: it is taken as the newest state');
    await captureFirst(options);
    return;
  }
  if (options.warm) await captureFirst(options);
}
