/** Keeps the state directory while the application runs. Its troubles are logged and never stop the application. */
import {
  type CaptureReport,
  identify,
  type LeftOutWarnings,
  openCaptureSession,
  type StateWatcher,
  type WatchOptions,
  watch,
} from '../capture/capture.js';
import { DiffKeeperError, type Logger, systemClock } from '../core/core.js';
import type { Store } from '../store/store.js';
import { codeOf, type Figures } from './figures.js';
import type { Heap } from './heap.js';

/** Pause before watching is tried again after it could not start, ms. */
const RETRY_MS = 5000;

export interface KeeperParts {
  readonly store: Store;
  readonly stateDir: string;
  readonly options: WatchOptions & { readonly logger: Logger };
  readonly figures: Figures;
  readonly heap: Heap;
  /** Told of what is left out. */
  readonly warnings: LeftOutWarnings;
}

export class Keeper {
  readonly #store: Store;
  readonly #stateDir: string;
  readonly #options: WatchOptions;
  readonly #logger: Logger;
  readonly #figures: Figures;
  readonly #heap: Heap;
  readonly #warnings: LeftOutWarnings;
  #watcher: StateWatcher | undefined;
  #starting: Promise<void> = Promise.resolve();
  #begin: () => void = () => {};
  /** Resolved once watching is being started, or will not be any more. */
  readonly #begun = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });
  #retry: NodeJS.Timeout | undefined;
  #closing = false;

  constructor({ store, stateDir, options, figures, heap, warnings }: KeeperParts) {
    this.#store = store;
    this.#stateDir = stateDir;
    this.#options = options;
    this.#logger = options.logger;
    this.#figures = figures;
    this.#heap = heap;
    this.#warnings = warnings;
  }

  /** Starts watching; returns at once. */
  start(): void {
    this.#starting = this.#open();
    this.#begin();
  }

  /** Changes that no event announced. */
  get missedChanges(): number {
    return this.#watcher?.missedChanges ?? 0;
  }

  /**
   * Takes a checkpoint now; before watching has begun, once it has. Throws DK_STORE_CLOSED when nothing is watched (not
   * yet, because that failed, or not any more), and what captures throw.
   */
  async checkpoint(tag?: string): Promise<CaptureReport> {
    // The control socket opens while the application is being started: whoever asks then is early, not wrong.
    await this.#begun;
    await this.#starting;
    if (this.#watcher === undefined || this.#closing) {
      throw new DiffKeeperError('DK_STORE_CLOSED', 'the state directory is not being watched at the moment');
    }
    return this.#watcher.flush({ force: true, ...(tag !== undefined && { tag }) });
  }

  async #open(): Promise<void> {
    try {
      await this.#assertInPlace();
      const watcher = await watch(this.#store, this.#stateDir, this.#options);
      this.#watcher = watcher;
      this.#listen(watcher);
    } catch (error) {
      const sinceMs = systemClock.steadyMs() - this.#figures.waitingMs();
      this.#figures.waitingMs = () => systemClock.steadyMs() - sinceMs;
      this.#figures.failed(error);
      this.#figures.watching('degraded', `cannot watch: ${reasonOf(error)}`);
      this.#logger.error(factsOf(error), 'cannot watch the state directory; trying again');
      if (!this.#closing) this.#retry = setTimeout(() => this.start(), RETRY_MS);
    }
  }

  #listen(watcher: StateWatcher): void {
    let degraded = false;
    this.#figures.leftOut = () => watcher.leftOut;
    this.#figures.waitingMs = () => watcher.waitingMs;
    watcher.on('leftOut', (skipped) => this.#warnings.tell(skipped));
    watcher.on('checkpoint', (report) => {
      this.#captured(report);
      if (report.checkpoint?.frozen) this.#heap.tidy();
    });
    watcher.on('state', (state, reason) => {
      this.#figures.watching(state, reason);
      if (state === 'degraded') this.#logger.warn({ reason }, 'degraded');
      // A run that ends while captures fail is no better for it.
      else if (degraded && state !== 'closed') this.#logger.info({ state, reason }, 'no longer degraded');
      degraded = state === 'degraded';
    });
    watcher.on('error', (error) => {
      this.#figures.failed(error);
      this.#logger.error(factsOf(error), 'capture failed; trying again');
    });
  }

  #captured(report: CaptureReport): void {
    this.#figures.captured(report);
    const { added, changed, removed, elapsedMs, lagMs, scanLagMs, checkpoint } = report;
    const facts = { sequence: checkpoint?.sequence, added, changed, removed, pauseMs: checkpoint?.pauseMs };
    this.#logger.debug({ ...facts, lagMs, scanLagMs, elapsedMs }, 'checkpoint');
  }

  /** What opens a session follows links, and ours has been followed: one that stands there now is somebody else's. Throws DK_STATE_DIR. */
  async #assertInPlace(): Promise<void> {
    await identify(this.#stateDir);
  }

  async #captureUnwatched(): Promise<void> {
    await this.#assertInPlace();
    const session = await openCaptureSession(this.#store, this.#stateDir, this.#options);
    try {
      const { freeze } = this.#options;
      const report = await session.capture(freeze ? { freeze } : {});
      this.#warnings.tell(report.skipped);
      const { leftOut } = session;
      this.#figures.leftOut = () => leftOut;
      this.#figures.waitingMs = () => 0;
      if (report.checkpoint) this.#captured(report);
    } finally {
      await session.close();
    }
  }

  /** Takes the last changes and stops watching. Resolves to false, with the reason logged, when that failed. */
  async finish(): Promise<boolean> {
    this.#closing = true;
    this.#begin();
    clearTimeout(this.#retry);
    await this.#starting;
    try {
      if (this.#watcher === undefined) await this.#captureUnwatched();
      else await this.#watcher.close({ finalCapture: true });
      const sequence = this.#store.newest?.sequence;
      const { checkpoints, unkept } = this.#figures;
      if (unkept === 0) this.#logger.info({ sequence, checkpoints }, 'final state is kept');
      else
        this.#logger.warn({ sequence, checkpoints, leftOut: unkept }, 'final state is kept, but for what is left out');
      return true;
    } catch (error) {
      this.#figures.failed(error);
      this.#logger.error(factsOf(error), 'the final capture failed: the last changes are not kept');
      return false;
    }
  }
}

/** Programs that read the log tell by the code what is wrong. */
function factsOf(error: unknown): object {
  const code = codeOf(error);
  return { error: reasonOf(error), ...(code !== undefined && { code }) };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
