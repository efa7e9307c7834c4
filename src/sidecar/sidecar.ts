/** Door of the room `sidecar`: recover, start the application, capture while it runs, end as it did. */
import { realpath } from 'node:fs/promises';
import * as path from 'node:path';
import { LeftOutWarnings, type WatchOptions } from '../capture/capture.js';
import { parseControl, parseMetricsAddress } from '../control/control.js';
import { isDiffKeeperError, type Logger, silentLogger } from '../core/core.js';
import type { Store } from '../store/store.js';
import { ControlPanel } from './control-panel.js';
import { Doors } from './doors.js';
import { EXIT_CODES } from './exit-codes.js';
import { Figures } from './figures.js';
import { freezePoint } from './freeze-point.js';
import { Freezing } from './freezing.js';
import { Heap } from './heap.js';
import { Hooks } from './hooks.js';
import { Keeper } from './keeper.js';
import { claimStateDir, RunningNote } from './left-running.js';
import { Overhead } from './overhead.js';
import { assertApart, type PrepareOptions, prepareState } from './prepare.js';
import { Reaper } from './reaper.js';
import { Replicas } from './replicas.js';
import { SignalRelay } from './signals.js';
import type { StateLock } from './state-lock.js';
import { StopRequest } from './stop-request.js';
import { openInTurn } from './store-turn.js';
import { checkSupervision, Supervisor } from './supervisor.js';
import { type Adoption, mappedByFamily } from './survey.js';
import type { SidecarOptions } from './types.js';

export { EXIT_CODES } from './exit-codes.js';
export type { ReplicaTarget } from './replicas.js';
export type { Consistency, OrphanMode, RecoverMode, SidecarOptions } from './types.js';

const INTERVAL_MS = 1000;
const LAG_MS = 400;
const HOOK_TIMEOUT_MS = 10_000;

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
  readonly figures: Figures;
  readonly warnings: LeftOutWarnings;
  readonly heap: Heap;
  readonly panel: ControlPanel;
  readonly doors: Doors;
  /** Absent where orphans do not come to us. */
  readonly adoption: Adoption | undefined;
}

/**
 * Runs a command beside its state directory and returns the exit code: the child's own, 128 + N when signal N ended
 * it, 126 when it cannot be executed, 127 when it was not found. Without a child: 0 when asked to end.
 *
 * Throws when the application could not be started because of us: DK_NO_STORE, DK_STORE_LOCKED (at once when a sidecar or
 * a watch keeps the store, after 10 s when something else has it), DK_STATE_DIR, DK_STATE_DIR_LOCKED, DK_PARTIAL (damaged
 * state), DK_APPLICATION_RUNS (`orphan`), DK_DISK_FULL ...; TypeError, RangeError and DK_CONFIG for wrong options. Once the child runs, trouble is logged
 * and never stops it.
 */
export async function runSidecar(options: SidecarOptions): Promise<number> {
  checkOptions(options);
  const logger = options.logger ?? silentLogger;
  const stop = new StopRequest();
  const relay = new SignalRelay((name) => stop.request(name));
  const onAbort = (): void => stop.request();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  const freezes = options.consistency === 'freeze' && options.exec !== false;
  const reaper = Reaper.start(logger, freezes && (options.adoptOrphans ?? false));
  const figures = new Figures();
  const warnings = new LeftOutWarnings(logger);
  let store: Store | undefined;
  let panel: ControlPanel | undefined;
  let lock: StateLock | undefined;
  let doors: Doors | undefined;
  let replicas: Replicas | undefined;
  try {
    await assertApart(options.stateDir, typeof options.store === 'string' ? options.store : options.store.path);
    const { signal } = stop.controller;
    const opened = await openStoreOf(options, logger, signal);
    store = opened;
    panel = new ControlPanel({ options, store, figures, logger });
    await panel.open();
    doors = new Doors(store, panel, logger);
    const stateDir = path.resolve(options.stateDir);
    lock = await prepareState({
      store,
      stateDir,
      mode: options.recover ?? 'auto',
      allowDamaged: options.allowDamaged ?? false,
      setuid: options.setuid ?? false,
      warm: options.consistency === 'freeze',
      capture: captureOptionsOf(options),
      logger,
      warnings,
      signal,
      lock: () => claimStateDir({ options, store: opened, stateDir, logger, signal }),
      onRecovered: (report) => figures.recoverDone(report),
    });
    replicas = new Replicas(store, options.replicate ?? [], logger);
    panel.replicas = replicas;
    const heap = new Heap(options.collectGarbage ?? false);
    const place = { store, stateDir: await realpath(stateDir) };
    const facts = { logger, relay, stop, figures, warnings, heap, panel, doors };
    const run: Run = { options, ...place, ...facts, adoption: reaper?.adoption };
    return options.exec === false ? await runAlone(run) : await runWithChild(run);
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_ABORTED') && stop.requested) return stop.exitCode;
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    try {
      reaper?.stop();
      lock?.release();
      await replicas?.close();
      await doors?.close();
      await panel?.close();
      if (typeof options.store === 'string') {
        // The exit code is the application's: trouble at closing, when all is committed, must not replace it.
        await store
          ?.close()
          .catch((error: unknown) => logger.error({ error: String(error) }, 'cannot close the store'));
      }
    } finally {
      // Last: from then on a signal ends the process, with a code of its own.
      relay.close();
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
  for (const name of ['checkpointIntervalMs', 'maxLagMs', 'hookTimeoutMs'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      throw new RangeError(`${name} must be a positive number of milliseconds, got ${value}`);
    }
  }
  const { maxOverheadPercent: percent } = options;
  if (percent !== undefined && !(percent > 0 && percent <= 100)) {
    throw new RangeError(`maxOverheadPercent must be above 0 and at most 100, got ${percent}`);
  }
  checkSupervision(options);
  const { control = 'auto', metricsAddress } = options;
  if (control !== 'auto' && control !== 'off') parseControl(control);
  if (metricsAddress !== undefined) parseMetricsAddress(metricsAddress);
}

async function openStoreOf(options: SidecarOptions, logger: Logger, signal: AbortSignal): Promise<Store> {
  if (typeof options.store !== 'string') return options.store;
  return openInTurn(options.store, { ...options.storeOptions, create: true }, { logger, signal });
}

/** The first capture before the start is made like all others. */
function captureOptionsOf({ ignore = [], chunkBytes, deltaEngine }: SidecarOptions): PrepareOptions['capture'] {
  return { ignore, ...(chunkBytes !== undefined && { chunkBytes }), ...(deltaEngine !== undefined && { deltaEngine }) };
}

function hooksOf({ options, store, stateDir, logger, figures, panel }: Run): Hooks {
  panel.hooks = new Hooks({
    ...(options.beforeCheckpoint !== undefined && { before: options.beforeCheckpoint }),
    ...(options.afterCheckpoint !== undefined && { after: options.afterCheckpoint }),
    timeoutMs: options.hookTimeoutMs ?? HOOK_TIMEOUT_MS,
    facts: { stateDir, store: store.path },
    env: options.env ?? process.env,
    logger,
    figures,
  });
  return panel.hooks;
}

/** @param freeze wraps each capture; absent when nothing has to be done around one */
function keeperOf(run: Run, freeze: WatchOptions['freeze']): Keeper {
  const { options, logger, store, stateDir, figures, panel, heap, warnings } = run;
  const paced = options.consistency === 'freeze' && options.exec !== false;
  const interval = paced ? (options.checkpointIntervalMs ?? INTERVAL_MS) : (options.maxLagMs ?? LAG_MS);
  const { maxOverheadPercent } = options;
  const limited = paced && maxOverheadPercent !== undefined;
  const overhead = limited ? new Overhead(maxOverheadPercent, { pausedMs: () => figures.pausedMs }) : undefined;
  const keeper = new Keeper({
    store,
    stateDir,
    figures,
    heap,
    warnings,
    options: {
      ...captureOptionsOf(options),
      // The watcher takes files that never hold still after half its lag.
      maxLagMs: paced ? 2 * interval : interval,
      logger,
      ...(freeze && { freeze }),
      mapped: () => (figures.childPid === undefined ? [] : mappedByFamily(figures.childPid, stateDir)),
      ...(options.retention && { retention: options.retention }),
      // Waiting out the interval even when all is quiet: the application is not stopped more often than was asked for.
      ...(paced && { settleMs: interval }),
      ...(overhead && {
        spacing: (_, { maintained }) => {
          figures.spacingMs = overhead.spacing(maintained);
          return figures.spacingMs;
        },
      }),
    },
  });
  panel.keeper = keeper;
  return keeper;
}

async function runAlone(run: Run): Promise<number> {
  const hooks = hooksOf(run);
  const keeper = keeperOf(run, hooks.present ? freezePoint(hooks, run.heap) : undefined);
  keeper.start();
  run.figures.phase = 'running';
  await run.doors.open();
  run.logger.info({ stateDir: run.stateDir }, 'watching without a child');
  // A timer keeps the event loop alive: nothing else may be open while watching is being retried.
  const alive = setInterval(() => {}, 1 << 30);
  const { signal } = run.stop.controller;
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
  run.relay.detach();
  clearInterval(alive);
  return (await drain(run, keeper)) ? EXIT_CODES.ok : EXIT_CODES.failed;
}

async function runWithChild(run: Run): Promise<number> {
  const { options, stop, store } = run;
  if (stop.requested) return stop.exitCode;
  const freezes = options.consistency === 'freeze';
  const freezing = freezes ? new Freezing({ ...run, storePath: store.path }) : undefined;
  const note = new RunningNote(store, run.stateDir, run.logger);
  try {
    return await superviseAndKeep(run, note, freezing);
  } finally {
    await freezing?.close();
    await note.remove();
  }
}

async function superviseAndKeep(run: Run, note: RunningNote, freezing: Freezing | undefined): Promise<number> {
  const { relay, logger, figures } = run;
  const supervisor = new Supervisor({ ...run, note, ...(freezing && { freezing }) });
  const hooks = hooksOf(run);
  const freeze = freezing || hooks.present ? freezePoint(hooks, run.heap, freezing?.freezer) : undefined;
  const keeper = keeperOf(run, freeze);
  let started = false;
  const exitCode = await supervisor.run((over) => {
    started = true;
    // What is over needs no watching: the final capture looks at everything.
    if (!over) keeper.start();
  });
  relay.detach();
  if (!started) return exitCode;
  // Nobody is left whom the commands could tell.
  hooks.end();
  // Whoever has outlived the application may still write: stopped for the last capture, too.
  if (freezing) freezing.freezer.patient = true;
  await drain(run, keeper);
  if (freezing) logger.info(figures.spread('pause'), 'pauses of the application');
  return exitCode;
}

async function drain({ figures }: Run, keeper: Keeper): Promise<boolean> {
  figures.phase = 'draining';
  const kept = await keeper.finish();
  figures.phase = 'ended';
  return kept;
}
