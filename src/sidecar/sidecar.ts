/** Door of the room `sidecar`: recover, start the application, capture while it runs, end as it did. */
import { randomUUID } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import * as path from 'node:path';
import { isatty } from 'node:tty';
import { DiffKeeperError, isDiffKeeperError, type Logger, silentLogger, systemClock } from '../core/core.js';
import { openStoreOrImport } from '../migrate/migrate.js';
import type { Store } from '../store/store.js';
import { FreezeGroup } from './cgroup.js';
import { type Child, spawnFailureCode, startChild } from './child.js';
import { EXIT_CODES, signalExitCode } from './exit-codes.js';
import { Freezer } from './freeze.js';
import { Keeper } from './keeper.js';
import { assertApart, type PrepareOptions, prepareState } from './prepare.js';
import { MARK_VARIABLE } from './proc.js';
import { SignalRelay } from './signals.js';
import { Spread } from './spread.js';
import type { SidecarOptions } from './types.js';
import { startWatchdog, type Watchdog } from './watchdog.js';

export { EXIT_CODES } from './exit-codes.js';
export type { Consistency, RecoverMode, SidecarOptions } from './types.js';

const INTERVAL_MS = 1000;

/** One run: everything that its steps share. */
interface Run {
  readonly options: SidecarOptions;
  readonly store: Store;
  /** Real path: symbolic links on the way are resolved once, so that mapped files can be compared with it. */
  readonly stateDir: string;
  readonly logger: Logger;
  readonly relay: SignalRelay;
  /** Fires when we are asked to end. */
  readonly stop: StopRequest;
}

/** Asked to end: by a signal before the child ran, or by the caller. */
class StopRequest {
  readonly controller = new AbortController();
  signalName: NodeJS.Signals | undefined;

  request(name?: NodeJS.Signals): void {
    this.signalName ??= name;
    this.controller.abort();
  }
}

/**
 * Runs a command beside its state directory and returns the exit code: the child's own, 128 + N when signal N ended
 * it, 126 when it cannot be executed, 127 when it was not found. Without a child: 0 when asked to end.
 *
 * Throws when the application could not be started because of us: DK_NO_STORE, DK_STORE_LOCKED, DK_STATE_DIR,
 * DK_PARTIAL (damaged state), DK_DISK_FULL ...; TypeError and RangeError for wrong options. Once the child runs,
 * trouble is logged and never stops it.
 */
export async function runSidecar(options: SidecarOptions): Promise<number> {
  checkOptions(options);
  const logger = options.logger ?? silentLogger;
  const stop = new StopRequest();
  const relay = new SignalRelay((name) => stop.request(name));
  const onAbort = (): void => stop.request();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  let store: Store | undefined;
  try {
    await assertApart(options.stateDir, typeof options.store === 'string' ? options.store : options.store.path);
    store = await openStoreOf(options, logger);
    const stateDir = path.resolve(options.stateDir);
    await prepareState({
      store,
      stateDir,
      mode: options.recover ?? 'auto',
      allowDamaged: options.allowDamaged ?? false,
      warm: options.consistency === 'freeze',
      capture: captureOptionsOf(options),
      logger,
      signal: stop.controller.signal,
    });
    const run: Run = { options, store, stateDir: await realpath(stateDir), logger, relay, stop };
    return options.exec === false ? await runAlone(run) : await runWithChild(run);
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_ABORTED') && stop.controller.signal.aborted) return stoppedCode(stop);
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    relay.close();
    if (typeof options.store === 'string') {
      // The exit code is the application's: trouble at closing, when all is committed, must not replace it.
      await store?.close().catch((error: unknown) => logger.error({ error: String(error) }, 'cannot close the store'));
    }
  }
}

function checkOptions(options: SidecarOptions): void {
  if (typeof options.stateDir !== 'string' || options.stateDir === '') {
    throw new TypeError('stateDir must be a path');
  }
  if (options.exec !== false && (options.command === undefined || options.command.length === 0)) {
    throw new TypeError('command must name a program, or exec must be false');
  }
  for (const name of ['checkpointIntervalMs', 'maxLagMs'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      throw new RangeError(`${name} must be a positive number of milliseconds, got ${value}`);
    }
  }
  if (options.consistency === 'freeze' && process.platform !== 'linux') {
    throw new DiffKeeperError('DK_UNSUPPORTED', `freeze points need Linux; this is ${process.platform}`);
  }
}

async function openStoreOf(options: SidecarOptions, logger: Logger): Promise<Store> {
  if (typeof options.store !== 'string') return options.store;
  return openStoreOrImport(options.store, { ...options.storeOptions, create: true, logger });
}

/** 128 + N when a signal asked us to end, 0 when the caller did. */
function stoppedCode(stop: StopRequest): number {
  return stop.signalName === undefined ? EXIT_CODES.ok : signalExitCode(stop.signalName);
}

/** The first capture before the start is made like all others. */
function captureOptionsOf({ ignore = [], chunkBytes, deltaEngine }: SidecarOptions): PrepareOptions['capture'] {
  return { ignore, ...(chunkBytes !== undefined && { chunkBytes }), ...(deltaEngine !== undefined && { deltaEngine }) };
}

function keeperOf(run: Run, freezer?: Freezer): Keeper {
  const { options, logger } = run;
  const frozen = freezer !== undefined;
  const interval = (frozen ? options.checkpointIntervalMs : options.maxLagMs) ?? INTERVAL_MS;
  return new Keeper(run.store, run.stateDir, {
    ...captureOptionsOf(options),
    // The watcher takes files that never hold still after half its lag.
    maxLagMs: frozen ? 2 * interval : interval,
    logger,
    // Waiting out the interval even when all is quiet: the application is not stopped more often than was asked for.
    ...(frozen ? { freeze: () => freezer.freeze(), settleMs: interval } : {}),
  });
}

async function runAlone(run: Run): Promise<number> {
  const keeper = keeperOf(run);
  keeper.start();
  run.logger.info({ stateDir: run.stateDir }, 'watching without a child');
  // A timer keeps the event loop alive: nothing else may be open while watching is being retried.
  const alive = setInterval(() => {}, 1 << 30);
  const { signal } = run.stop.controller;
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
  run.relay.detach();
  clearInterval(alive);
  return (await keeper.finish()) ? EXIT_CODES.ok : EXIT_CODES.failed;
}

async function runWithChild(run: Run): Promise<number> {
  const { options, logger, stop, relay } = run;
  if (stop.controller.signal.aborted) return stoppedCode(stop);
  const freeze = options.consistency === 'freeze';
  // On a terminal the application shares our group, so that Ctrl-C, Ctrl-Z and shells of its own work as they do
  // without us. Never `process.stdin`: making that object sets the application's stdin to non-blocking.
  const ownGroup = freeze && !isatty(0);
  const group = freeze && options.freezeWith !== 'signals' ? FreezeGroup.make() : undefined;
  const mark = randomUUID();
  let child: Child;
  try {
    child = await startChild({
      command: options.command ?? [],
      ownGroup,
      env: { ...(options.env ?? process.env), [MARK_VARIABLE]: mark },
      cwd: options.cwd,
      ...(group && { around: (start) => group.startInside(start) }),
    });
  } catch (error) {
    group?.remove();
    logger.error({}, error instanceof Error ? error.message : String(error));
    return spawnFailureCode(error);
  }
  const onStop = (): void => void child.signal(stop.signalName ?? 'SIGTERM');
  relay.attach((name, toGroup) => void child.signal(name, toGroup), { sharesGroup: !ownGroup });
  stop.controller.signal.addEventListener('abort', onStop);
  // Asked to end while the child was being started.
  if (stop.controller.signal.aborted) onStop();
  const consistency = options.consistency ?? 'file';
  const by = freeze ? (group ? 'cgroup' : 'signals') : undefined;
  logger.info({ childPid: child.pid, consistency, by }, `started ${options.command?.[0]}`);
  const pauses = new Spread();
  const { freezer, watchdog } = freeze ? await freezing(run, { child, mark, ownGroup, group, pauses }) : {};
  const keeper = keeperOf(run, freezer);
  keeper.start();
  const end = await child.ended;
  relay.detach();
  stop.controller.signal.removeEventListener('abort', onStop);
  logger.info({ exitCode: end.exitCode, signal: end.signalName }, 'the application has ended');
  await keeper.finish();
  await freezer?.release();
  watchdog?.dismiss();
  group?.remove();
  if (freeze) logger.info(pauses.facts(), 'pauses of the application');
  return end.exitCode;
}

interface Freezing {
  readonly child: Child;
  readonly mark: string;
  readonly ownGroup: boolean;
  readonly group: FreezeGroup | undefined;
  readonly pauses: Spread;
}

/** What freeze points need. Without a watchdog nothing is ever stopped: files are then kept one by one. */
async function freezing(
  run: Run,
  { child, mark, ownGroup, group, pauses }: Freezing,
): Promise<{ readonly freezer?: Freezer; readonly watchdog?: Watchdog }> {
  try {
    const watchdog = await startWatchdog({ group: ownGroup ? child.pid : 0, freezeFile: group?.freezeFile ?? '' });
    const freezer = new Freezer({
      leader: child.pid,
      ownGroup,
      ...(group && { group }),
      mark,
      root: run.stateDir,
      watchdog,
      clock: systemClock,
      onPause: (pauseMs) => pauses.add(pauseMs),
    });
    return { watchdog, freezer };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    run.logger.error({ error: reason }, 'degraded: no freeze points; each file is consistent in itself only');
    return {};
  }
}
