/** Runs the application: starts it, passes signals on, ends it in time, starts it again when that is wanted. */
import { DiffKeeperError, type Logger, systemClock } from '../core/core.js';
import { type Child, spawnFailureCode, startChild } from './child.js';
import { signalExitCode } from './exit-codes.js';
import type { Figures } from './figures.js';
import type { Freezing } from './freezing.js';
import { type RunningNote, STOP_TIMEOUT_MS } from './left-running.js';
import type { SignalRelay, SignalWay } from './signals.js';
import type { StopRequest } from './stop-request.js';
import type { ChildEnd, SidecarOptions } from './types.js';

/** Wait before the first restart, ms; doubled each time. */
const BACKOFF_MS = 1000;
const BACKOFF_MAX_MS = 60_000;
/** An application that ran for this long is healthy again: the count of restarts begins anew, ms. */
const HEALTHY_MS = 60_000;
const RESTARTS_MAX = 5;

export interface SupervisorParts {
  readonly options: SidecarOptions;
  readonly logger: Logger;
  readonly relay: SignalRelay;
  readonly stop: StopRequest;
  readonly figures: Figures;
  /** Absent where nothing is stopped. */
  readonly freezing?: Freezing;
  /** Told of each application that is started. */
  readonly note: RunningNote;
  /** Opened when the application runs, and before that is said. */
  readonly doors: { readonly open: () => Promise<void> };
}

/** One life of the application. */
interface Life {
  readonly child: Child;
  /** The newest signal that may have asked it to end. */
  told?: { readonly name: NodeJS.Signals; readonly atMs: number };
}

/** How a life ended. */
interface LifeEnd extends ChildEnd {
  /** It was told to: what follows is no failure. */
  readonly told: boolean;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  #life: Life | undefined;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
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
      const end = await this.#live(first ? onStarted : undefined);
      if (typeof end === 'number') return end;
      if (systemClock.steadyMs() - startMs >= HEALTHY_MS) restarts = 0;
      const wanted = options.restart === 'on-failure' && end.exitCode !== 0 && !end.told;
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

  /**
   * One life, from its start to its end; an exit code when it could not be started for the first time. That it could not be
   * started again is a failure like others, and may be over the next time: too many processes, say.
   */
  async #live(onStarted: ((over: boolean) => void) | undefined): Promise<LifeEnd | number> {
    const { logger, options } = this.#parts;
    let life: Life;
    try {
      life = await this.#start();
    } catch (error) {
      logger.error({}, error instanceof Error ? error.message : String(error));
      const exitCode = spawnFailureCode(error);
      return onStarted ? exitCode : { exitCode, signalName: null, told: false };
    }
    onStarted?.(life.child.gone && options.restart !== 'on-failure');
    const end = await life.child.ended;
    this.#end();
    logger.info({ exitCode: end.exitCode, signal: end.signalName }, 'the application has ended');
    return { ...end, told: this.#wasTold(life) };
  }

  /**
   * SIGTERM is an order. The others are questions: whoever goes on for longer than it would be given to end has answered
   * that it does (SIGHUP means `reload` to many), and what comes after that is a matter of its own.
   */
  #wasTold({ told }: Life): boolean {
    if (told === undefined) return false;
    const waitMs = this.#parts.options.stopTimeoutMs || STOP_TIMEOUT_MS;
    return told.name === 'SIGTERM' || systemClock.steadyMs() - told.atMs <= waitMs;
  }

  /** Asked to end while nothing ran: nothing more is started. */
  #stopped(end: ChildEnd): number {
    const { signalName } = this.#parts.stop;
    return signalName === undefined ? end.exitCode : signalExitCode(signalName);
  }

  async #start(): Promise<Life> {
    const { options, logger, figures, stop, relay, doors, freezing, note } = this.#parts;
    const what = { command: options.command ?? [], env: options.env ?? process.env, cwd: options.cwd };
    const child = await (freezing ? freezing.start(what) : startChild({ ...what, ownGroup: false }));
    note.write(child.pid, freezing?.mark ?? '');
    const life: Life = { child };
    this.#life = life;
    relay.attach((name, how) => this.#pass(name, how), { sharesGroup: !freezing?.ownGroup });
    stop.controller.signal.addEventListener('abort', this.#onStop);
    // Asked to end while the child was being started.
    if (stop.controller.signal.aborted) this.#onStop();
    figures.childPid = child.pid;
    figures.phase = 'running';
    figures.freezing = freezing?.means ?? 'none';
    const consistency = options.consistency ?? 'file';
    await doors.open();
    logger.info({ childPid: child.pid, consistency, by: freezing?.means }, `started ${options.command?.[0]}`);
    return life;
  }

  #end(): void {
    const { stop, relay, figures } = this.#parts;
    clearTimeout(this.#killTimer);
    this.#killTimer = undefined;
    // Between two lives a request to end is ours to answer.
    relay.release();
    stop.controller.signal.removeEventListener('abort', this.#onStop);
    figures.childPid = undefined;
    this.#life = undefined;
  }

  readonly #onStop = (): void => this.#pass(this.#parts.stop.signalName ?? 'SIGTERM', 'process');

  #pass(name: NodeJS.Signals, how: SignalWay): void {
    const { options, logger } = this.#parts;
    const life = this.#life;
    if (life === undefined) return;
    if (how !== 'received') life.child.signal(name, how === 'group');
    if (name !== 'SIGTERM' && name !== 'SIGINT' && name !== 'SIGQUIT' && name !== 'SIGHUP') return;
    // An order stands, whatever is asked after it.
    if (life.told?.name !== 'SIGTERM') life.told = { name, atMs: systemClock.steadyMs() };
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

/** Throws RangeError for wrong values, DK_CONFIG for what excludes each other, DK_UNSUPPORTED. */
export function checkSupervision(options: SidecarOptions): void {
  const { restartsMax, stopTimeoutMs } = options;
  if (restartsMax !== undefined && !(Number.isSafeInteger(restartsMax) && restartsMax >= 0)) {
    throw new RangeError(`restartsMax must be a whole number, got ${restartsMax}`);
  }
  if (stopTimeoutMs !== undefined && !(Number.isFinite(stopTimeoutMs) && stopTimeoutMs >= 0)) {
    throw new RangeError(`stopTimeoutMs must be a number of milliseconds, 0 or more, got ${stopTimeoutMs}`);
  }
  if (options.consistency === 'freeze' && options.exec === false) {
    throw new DiffKeeperError(
      'DK_CONFIG',
      'freeze points need an application to stop: freeze and no-exec exclude each other',
    );
  }
  if (options.consistency === 'freeze' && process.platform !== 'linux') {
    throw new DiffKeeperError('DK_UNSUPPORTED', `freeze points need Linux; this is ${process.platform}`);
  }
}
