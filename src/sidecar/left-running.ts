/**
 * The application that a sidecar has left running because it was killed alone. Nobody keeps what it writes, and to recover the
 * directory below it, or to start a second one beside it, would tear both apart. So each run writes down in the store whom
 * it has started, and the next one sees whether that is still there before it touches anything.
 *
 * `running-H`, as `docs/format.md` has it; never synced, since what ends the machine ends the application.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { realpath, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createHash,
  DiffKeeperError,
  type Logger,
  systemClock,
  systemCode,
  throwIfAborted,
  writeFileAdvisory,
} from '../core/core.js';
import { RUNNING_PREFIX, readRunningNote, type Store } from '../store/store.js';
import { FreezeGroup } from './cgroup.js';
import { type Leader, leaderOf, parentOf, processFacts, processIds, stillRuns } from './proc.js';
import { readText } from './proc-text.js';
import { lockStateDir, type StateLock } from './state-lock.js';
import { StopList } from './stop-list.js';
import { carriesMark } from './survey.js';
import type { OrphanMode, SidecarOptions } from './types.js';

/** After SIGTERM, as in `SidecarOptions`, ms. */
export const STOP_TIMEOUT_MS = 25_000;
/** What is ending just now is no reason to refuse, ms. */
const PATIENCE_MS = 2000;
/** After SIGKILL, ms. */
const END_MS = 10_000;
const LOOK_MS = 50;

/** Whom a run has started. */
interface LeftRunning {
  readonly leader: Leader;
  /** In the environment of its processes; empty: in none. */
  readonly mark: string;
}

/** What process ids mean: those of another boot, or of another namespace, say nothing here. Undefined where it cannot be told. */
function worldOfIds(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot} ${/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'}`;
  } catch {
    return undefined;
  }
}

/** @param stateDir real path */
function fileOf(store: Store, stateDir: string): string {
  const name = createHash('sha256')
    .update(store.guard.describe(Buffer.from(stateDir)))
    .digest('hex')
    .slice(0, 16);
  return path.join(store.path, `${RUNNING_PREFIX}${name}`);
}

/** Writes down whom this run has started. */
export class RunningNote {
  readonly #file: string;
  readonly #logger: Logger;
  #last: Promise<void> = Promise.resolve();

  /** @param stateDir real path */
  constructor(store: Store, stateDir: string, logger: Logger) {
    this.#file = fileOf(store, stateDir);
    this.#logger = logger;
  }

  /** Returns at once: the application runs. Where nothing can be written, or seen, a warning is all there is. */
  write(pid: number, mark: string): void {
    this.#last = this.#last.then(async () => {
      try {
        const world = worldOfIds();
        const { startTicks } = leaderOf(pid);
        // It has ended already, or there is no `/proc`.
        if (world === undefined || startTicks === 0) return;
        await writeFileAdvisory(this.#file, Buffer.from(`${world}\n${pid} ${startTicks} ${mark || '-'}\n`));
      } catch (error) {
        this.#logger.warn({ error: String(error) }, 'cannot write down which application runs, should we be killed');
      }
    });
  }

  /** The application has ended. Never rejects. */
  async remove(): Promise<void> {
    await this.#last;
    await rm(this.#file, { force: true }).catch(() => {});
  }
}

/** What the last run has written down, if that says anything here. */
async function readRecord(file: string): Promise<LeftRunning | undefined> {
  const note = await readRunningNote(file);
  if (note === undefined || `${note.boot} ${note.space}` !== worldOfIds()) return undefined;
  const { pid, startTicks, mark } = note;
  return { leader: { pid, startTicks }, mark };
}

/** We ourselves, and those above us: a shell that a sidecar has left behind can start the next one. */
function ownLine(): Set<number> {
  const found = new Set<number>();
  for (let at: number | undefined = process.pid; at !== undefined && at > 0 && !found.has(at); at = parentOf(at))
    found.add(at);
  return found;
}

/**
 * Those of the application that are still there, the one that was started first: it, and, with a mark, who is in the group or session that
 * is named after it. Daemons that left both are not asked for: that they outlive an application is what they are for.
 */
function aliveOf({ leader, mark }: LeftRunning): number[] {
  const found: number[] = stillRuns(leader) ? [leader.pid] : [];
  if (mark === '') return found;
  const above = ownLine();
  for (const pid of processIds()) {
    if (pid === leader.pid || above.has(pid)) continue;
    const facts = processFacts(pid);
    if (facts?.group !== leader.pid && facts?.session !== leader.pid) continue;
    if (carriesMark(pid, mark)) found.push(pid);
  }
  return found;
}

interface SettleOptions {
  readonly store: Store;
  /** Real path. */
  readonly stateDir: string;
  readonly mode: OrphanMode;
  /** Between SIGTERM and SIGKILL, ms; 0: for ever. */
  readonly stopTimeoutMs: number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Sees to an application that an earlier run has left running: lets it go on if it was left stopped, and then waits a moment
 * for its end, ends it, or leaves it alone. Throws DK_APPLICATION_RUNS when it is still there, DK_ABORTED, DK_IO.
 */
async function settleLeftRunning(options: SettleOptions): Promise<void> {
  const { store, stateDir, mode, logger } = options;
  const file = fileOf(store, stateDir);
  const record = await readRecord(file);
  if (record === undefined || aliveOf(record).length === 0) return rm(file, { force: true });
  // Nobody else is left to do that, and what stands still cannot end.
  FreezeGroup.thawLeftovers();
  new StopList(store.path).resumeLeft();
  const pids = aliveOf(record);
  if (mode === 'ignore') {
    logger.warn(
      { pids },
      'the application of an earlier run still runs on this directory: another one is started beside it',
    );
    return;
  }
  if (mode === 'terminate') await terminate(record, options);
  else if (await isGone(record, PATIENCE_MS, options.signal)) return rm(file, { force: true });
  const [pid] = aliveOf(record);
  if (pid !== undefined) throw stillThere(pid, stateDir);
  await rm(file, { force: true });
}

function stillThere(pid: number, stateDir: string): DiffKeeperError {
  const name = readText(`/proc/${pid}/comm`, true)
    .trim()
    .replace(/[^ -~]/g, '?');
  return new DiffKeeperError(
    'DK_APPLICATION_RUNS',
    `process ${pid} (${name}), which an earlier run has started on ${stateDir} and was killed without, still runs: end it first`,
    { path: stateDir, pid, name },
  );
}

/** @param waitMs 0: for ever */
async function isGone(record: LeftRunning, waitMs: number, signal: AbortSignal): Promise<boolean> {
  const startMs = systemClock.steadyMs();
  for (;;) {
    if (aliveOf(record).length === 0) return true;
    if (waitMs > 0 && systemClock.steadyMs() - startMs >= waitMs) return false;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => throwIfAborted(signal));
  }
}

async function terminate(
  record: LeftRunning,
  { stateDir, stopTimeoutMs, logger, signal }: SettleOptions,
): Promise<void> {
  const { pid } = record.leader;
  // It would be our own end.
  if (ownLine().has(pid)) throw stillThere(pid, stateDir);
  const send = (name: NodeJS.Signals, targets: readonly number[]): void => {
    for (const target of targets) {
      try {
        process.kill(target, name);
      } catch (error) {
        // Gone, or another user's, and then it is still there at the end.
        if (!['ESRCH', 'EPERM'].includes(systemCode(error) ?? '')) throw error;
      }
    }
  };
  const pids = aliveOf(record);
  logger.warn(
    { pids, waitMs: stopTimeoutMs },
    'the application of an earlier run still runs on this directory: it is told to end',
  );
  // As at the end of a run: whoever was started tells the others.
  const told = pids.includes(pid) ? [pid] : pids;
  send('SIGTERM', told);
  // The user may have stopped it.
  send('SIGCONT', told);
  if (await isGone(record, stopTimeoutMs, signal)) return;
  logger.warn({ waitMs: stopTimeoutMs }, 'it did not end in time after SIGTERM: SIGKILL');
  send('SIGKILL', aliveOf(record));
  await isGone(record, END_MS, signal);
}

export interface ClaimParts {
  readonly options: SidecarOptions;
  readonly store: Store;
  readonly stateDir: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * The directory is ours: no other sidecar keeps it, and nobody of an earlier run is at work in it. Throws DK_STATE_DIR_LOCKED,
 * DK_APPLICATION_RUNS, DK_ABORTED.
 */
export async function claimStateDir({
  options,
  store,
  stateDir: named,
  logger,
  signal,
}: ClaimParts): Promise<StateLock> {
  const stateDir = await realpath(named);
  const lock = await lockStateDir(stateDir, logger);
  if (options.exec === false) return lock;
  const { orphan: mode = 'refuse', stopTimeoutMs = STOP_TIMEOUT_MS } = options;
  try {
    await settleLeftRunning({ store, stateDir, mode, stopTimeoutMs, logger, signal });
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}
