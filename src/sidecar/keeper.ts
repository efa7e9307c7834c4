/** Keeps the state directory while the application runs. Its troubles are logged and never stop the application. */
import { capture, type StateWatcher, type WatchOptions, watch } from '../capture/capture.js';
import type { Logger } from '../core/core.js';
import type { Store } from '../store/store.js';

/** Pause before watching is tried again after it could not start, ms. */
const RETRY_MS = 5000;

export class Keeper {
  readonly #store: Store;
  readonly #stateDir: string;
  readonly #options: WatchOptions;
  readonly #logger: Logger;
  #watcher: StateWatcher | undefined;
  #starting: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #closing = false;
  #checkpoints = 0;

  constructor(store: Store, stateDir: string, options: WatchOptions & { readonly logger: Logger }) {
    this.#store = store;
    this.#stateDir = stateDir;
    this.#options = options;
    this.#logger = options.logger;
  }

  /** Starts watching; returns at once. */
  start(): void {
    this.#starting = this.#open();
  }

  async #open(): Promise<void> {
    try {
      const watcher = await watch(this.#store, this.#stateDir, this.#options);
      this.#watcher = watcher;
      this.#listen(watcher);
    } catch (error) {
      this.#logger.error({ error: reasonOf(error) }, 'cannot watch the state directory; trying again');
      if (!this.#closing) this.#retry = setTimeout(() => this.start(), RETRY_MS);
    }
  }

  #listen(watcher: StateWatcher): void {
    let degraded = false;
    watcher.on('checkpoint', (report) => {
      if (report.checkpoint !== null) this.#checkpoints += 1;
      const { added, changed, removed, elapsedMs, checkpoint } = report;
      const pauseMs = checkpoint?.pauseMs;
      this.#logger.debug({ sequence: checkpoint?.sequence, added, changed, removed, pauseMs, elapsedMs }, 'checkpoint');
    });
    watcher.on('state', (state, reason) => {
      if (state === 'degraded') this.#logger.warn({ reason }, 'degraded: changes are still found, by scanning');
      else if (degraded) this.#logger.info({ state, reason }, 'no longer degraded');
      degraded = state === 'degraded';
    });
    watcher.on('error', (error) => {
      this.#logger.error({ error: reasonOf(error) }, 'capture failed; trying again');
    });
  }

  /** Takes the last changes and stops watching. Resolves to false, with the reason logged, when that failed. */
  async finish(): Promise<boolean> {
    this.#closing = true;
    clearTimeout(this.#retry);
    await this.#starting;
    try {
      if (this.#watcher === undefined) await capture(this.#store, this.#stateDir, this.#options);
      else await this.#watcher.close({ finalCapture: true });
      const sequence = this.#store.newest?.sequence;
      this.#logger.info({ sequence, checkpoints: this.#checkpoints }, 'final state is kept');
      return true;
    } catch (error) {
      this.#logger.error({ error: reasonOf(error) }, 'the final capture failed: the last changes are not kept');
      return false;
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
