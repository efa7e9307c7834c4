/** Runs the application: starts it, passes signals on, ends it in time, starts it again when that is wanted. */
import { isatty } from 'node:tty';
import { DiffKeeperError, type Logger, randomUUID, systemClock } from '../core/core.js';
import { FreezeGroup } from './cgroup.js';
import { type Child, spawnFailureCode, startChild } from './child.js';
import { signalExitCode } from './exit-codes.js';
import type { Figures } from './figures.js';
import { Freezer } from './freeze.js';
import { MARK_VARIABLE } from './proc.js';
import type { SignalRelay } from './signals.js';
import type { StopRequest } from './stop-request.js';
import type { ChildEnd, SidecarOptions } from './types.js';
import { startWatchdog, type Watchdog } from './watchdog.js';

/** Wait before the first restart, ms; doubled each time. */
const BACKOFF_MS = 1000;
const BACKOFF_MAX_MS = 60_000;
/** An application that ran for this long is healthy again: the count of restarts begins anew, ms. */
const HEALTHY_MS = 60_000;
const RESTARTS_MAX = 5;
const STOP_TIMEOUT_MS = 25_000;

export interface SupervisorParts {
  readonly options: SidecarOptions;
  readonly stateDir: string;
  readonly logger: Logger;
  readonly relay: SignalRelay;
  readonly stop: StopRequest;
  readonly figures: Figures;
  /** Opened when the application runs, and before that is said. */
  readonly doors: { readonly open: () => Promise<void> };
}

/** One life of the application. */
interface Life {
  readonly child: Child;
  readonly group: FreezeGroup | undefined;
  freezer: Freezer | undefined;
  watchdog: Watchdog | undefined;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  #life: Life | undefined;
  #killTimer: NodeJS.Timeout | undefined;
  /** It was told to end: what follows is no failure. */
  #ending = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  /** What stops the application for a freeze point, while it runs. */
  get freezer(): Freezer | undefined {
    return this.#life?.freezer;
  }

  /**
   * Runs it to its last end; gives the exit code. `onStarted` is called once, when it has been started for the first time;
   * `over`: that was its only run, and it has ended already.
   */
  async run(onStarted: (over: boolean) => void): Promise<number> {
    const { stop, logger, figures, options } = this.#parts;
    const limit = options.restartsMax ?? RESTARTS_MAX;
    let restarts = 0;
    for (let first = true; ; first = false) {
      const startMs = systemClock.steadyMs();
      const life = await this.#start().catch((error: unknown) => {
        logger.error({}, error instanceof Error ? error.message : String(error));
        return spawnFailureCode(error);
      });
      if (typeof life === 'number') return life;
      if (first) onStarted(life.child.gone && options.restart !== 'on-failure');
      const end = await life.child.ended;
      await this.#end(life);
      logger.info({ exitCode: end.exitCode, signal: end.signalName }, 'the application has ended');
      if (systemClock.steadyMs() - startMs >= HEALTHY_MS) restarts = 0;
      const wanted = options.restart === 'on-failure' && end.exitCode !== 0 && !this.#ending;
      if (!wanted || restarts >= limit) {
        if (wanted) logger.error({ restarts }, 'the application failed too often in a row: it is not started again');
        return end.exitCode;
      }
      const waitMs = Math.min(BACKOFF_MS * 2 ** restarts, BACKOFF_MAX_MS);
      restarts += 1;
      figures.restarts += 1;
      figures.phase = 'restarting';
      logger.warn({ restarts, limit, waitMs }, 'the application failed and is started again');
      if (!(await pauseUnless(stop.controller.signal, waitMs))) return this.#stopped(end);
    }
  }

  /** Asked to end while nothing ran: nothing more is started. */
  #stopped(end: ChildEnd): number {
    const { signalName } = this.#parts.stop;
    return signalName === undefined ? end.exitCode : signalExitCode(signalName);
  }

  async #start(): Promise<Life> {
    const { options, logger, figures, stop, relay, doors } = this.#parts;
    const freeze = options.consistency === 'freeze';
    // On a terminal the application shares our group, so that Ctrl-C, Ctrl-Z and shells of its own work as they do
    // without us. Never `process.stdin`: making that object sets the application's stdin to non-blocking.
    const ownGroup = freeze && !isatty(0);
    const group = freeze && options.freezeWith !== 'signals' ? FreezeGroup.make() : undefined;
    // Only what is stopped has to be found.
    const mark = freeze ? randomUUID() : undefined;
    const child = await startChild({
      command: options.command ?? [],
      ownGroup,
      env: { ...(options.env ?? process.env), ...(mark !== undefined && { [MARK_VARIABLE]: mark }) },
      cwd: options.cwd,
      ...(group && { around: (start) => group.startInside(start) }),
    }).catch((error: unknown) => {
      group?.remove();
      throw error;
    });
    const life: Life = { child, group, freezer: undefined, watchdog: undefined };
    this.#life = life;
    relay.attach((name, toGroup) => this.#pass(name, toGroup), { sharesGroup: !ownGroup });
    stop.controller.signal.addEventListener('abort', this.#onStop);
    // Asked to end while the child was being started.
    if (stop.controller.signal.aborted) this.#onStop();
    figures.childPid = child.pid;
    figures.phase = 'running';
    figures.freezing = freeze ? (group ? 'cgroup' : 'signals') : 'none';
    const by = freeze ? figures.freezing : undefined;
    const consistency = options.consistency ?? 'file';
    await doors.open();
    logger.info({ childPid: child.pid, consistency, by }, `started ${options.command?.[0]}`);
    if (mark !== undefined) await this.#arm(life, { mark, ownGroup });
    return life;
  }

  /** What freeze points need. Without a watchdog nothing is ever stopped: files are then kept one by one. */
  async #arm(life: Life, { mark, ownGroup }: { readonly mark: string; readonly ownGroup: boolean }): Promise<void> {
    const { stateDir: root, logger, figures } = this.#parts;
    const { child, group } = life;
    try {
      const freezeFile = group?.freezeFile ?? '';
      const watchdog = await startWatchdog({ group: ownGroup ? child.pid : 0, freezeFile });
      life.watchdog = watchdog;
      life.freezer = new Freezer({
        leader: child.pid,
        ownGroup,
        ...(group && { group }),
        mark,
        root,
        watchdog,
        clock: systemClock,
        onPause: (pauseMs, stopMs) => {
          figures.sample('pause', pauseMs);
          figures.sample('stop', stopMs);
          logger.debug({ pauseMs, stopMs }, 'the application stood still');
        },
      });
    } catch (error) {
      figures.freezing = 'none';
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ error: reason }, 'degraded: no freeze points; each file is consistent in itself only');
    }
  }

  async #end(life: Life): Promise<void> {
    const { stop, relay, figures } = this.#parts;
    clearTimeout(this.#killTimer);
    this.#killTimer = undefined;
    // Between two lives a request to end is ours to answer.
    relay.release();
    stop.controller.signal.removeEventListener('abort', this.#onStop);
    figures.childPid = undefined;
    await life.freezer?.release();
    life.watchdog?.dismiss();
    life.group?.remove();
    this.#life = undefined;
  }

  readonly #onStop = (): void => this.#pass(this.#parts.stop.signalName ?? 'SIGTERM', false);

  #pass(name: NodeJS.Signals, toGroup: boolean): void {
    const { options, logger } = this.#parts;
    const life = this.#life;
    if (life === undefined) return;
    life.child.signal(name, toGroup);
    if (name !== 'SIGTERM' && name !== 'SIGINT' && name !== 'SIGQUIT' && name !== 'SIGHUP') return;
    this.#ending = true;
    const waitMs = options.stopTimeoutMs ?? STOP_TIMEOUT_MS;
    // Only SIGTERM is an order; the others are questions that a program may answer with more work.
    if (name !== 'SIGTERM' || waitMs === 0) return;
    this.#killTimer ??= setTimeout(() => {
      logger.warn({ waitMs }, 'the application did not end in time after SIGTERM: SIGKILL');
      life.child.signal('SIGKILL', true);
    }, waitMs);
  }
}

/** Waits; false when asked to end meanwhile. */
function pauseUnless(signal: AbortSignal, ms: number): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(true), ms);
    const onAbort = (): void => finish(false);
    const finish = (waited: boolean): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(waited);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Throws RangeError for wrong values. */
export function checkSupervision(options: SidecarOptions): void {
  const { restartsMax, stopTimeoutMs } = options;
  if (restartsMax !== undefined && !(Number.isSafeInteger(restartsMax) && restartsMax >= 0)) {
    throw new RangeError(`restartsMax must be a whole number, got ${restartsMax}`);
  }
  if (stopTimeoutMs !== undefined && !(Number.isFinite(stopTimeoutMs) && stopTimeoutMs >= 0)) {
    throw new RangeError(`stopTimeoutMs must be a number of milliseconds, 0 or more, got ${stopTimeoutMs}`);
  }
  if (options.consistency === 'freeze' && process.platform !== 'linux') {
    throw new DiffKeeperError('DK_UNSUPPORTED', `freeze points need Linux; this is ${process.platform}`);
  }
}
