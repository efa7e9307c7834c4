/** Follow mode: each checkpoint of a store arrives at a receiver. Whoever makes checkpoints never waits for it. */
import { DiffKeeperError, isDiffKeeperError, type Logger, silentLogger } from '../core/core.js';
import type { Store } from '../store/store.js';
import { closeSoon, type Session } from '../transport/transport.js';
import { Arrivals } from './arrivals.js';
import { Pusher } from './push-pull.js';

/** How often is looked for a new checkpoint: a comparison of two numbers. */
const LOOK_MS = 50;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
/** Trying again changes nothing: somebody has to act. It is tried seldom, as they may. */
const LASTING = ['DK_REPLICA', 'DK_DIVERGED', 'DK_REFUSED', 'DK_UNSUPPORTED', 'DK_PROTOCOL'] as const;

export interface FollowOptions {
  /** Shown in messages and figures. */
  readonly name: string;
  /** Makes a session with the receiver. */
  readonly connect: (signal: AbortSignal) => Promise<Session>;
  readonly logger?: Logger;
}

export interface FollowFigures {
  readonly name: string;
  readonly state: 'connecting' | 'following' | 'waiting' | 'closed';
  /** Newest checkpoint that is durable there; 0 when none is known. */
  readonly sequence: number;
  /** Checkpoints that are not there yet. */
  readonly lagCheckpoints: number;
  /** How long the oldest of them has been waiting, ms: since it came, or since this began when it was there before. */
  readonly lagMs: number;
  readonly sentBytes: number;
  /** Checkpoints and runs that arrived. */
  readonly checkpoints: number;
  readonly connections: number;
  readonly failures: number;
  /** Why it is waiting; empty when it is not. */
  readonly lastError: string;
}

export class Follower {
  readonly #store: Store;
  readonly #options: FollowOptions;
  readonly #logger: Logger;
  readonly #stopped = new AbortController();
  readonly #done: Promise<void>;
  #state: FollowFigures['state'] = 'connecting';
  #sequence = 0;
  #wake: () => void = () => {};
  readonly #arrivals: Arrivals;
  #sentBytes = 0;
  #sentBefore = 0;
  #checkpoints = 0;
  #connections = 0;
  #failures = 0;
  #failedInRow = 0;
  #lastError = '';

  /** Begins to follow; trouble is logged and told by the figures, and tried again. */
  constructor(store: Store, options: FollowOptions) {
    this.#store = store;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#arrivals = new Arrivals(() => store.newest?.sequence ?? 0);
    this.#done = this.#run();
  }

  figures(): FollowFigures {
    const newest = this.#store.newest?.sequence ?? 0;
    return {
      name: this.#options.name,
      state: this.#state,
      sequence: this.#sequence,
      lagCheckpoints: Math.max(0, newest - this.#sequence),
      lagMs: this.#arrivals.waitedMs(this.#sequence),
      sentBytes: this.#sentBefore + this.#sentBytes,
      checkpoints: this.#checkpoints,
      connections: this.#connections,
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  /** Resolves when the newest checkpoint of this moment is there; false when it is not within the time. */
  caughtUp(timeoutMs: number): Promise<boolean> {
    return this.#reached(timeoutMs, () => this.#state !== 'closed');
  }

  /** @param goOn whether there is hope */
  async #reached(timeoutMs: number, goOn: () => boolean): Promise<boolean> {
    const wanted = this.#store.newest?.sequence ?? 0;
    const endMs = performance.now() + timeoutMs;
    while (this.#sequence < wanted) {
      if (performance.now() >= endMs || !goOn()) return false;
      await this.#pause(Math.min(LOOK_MS, Math.max(1, endMs - performance.now())));
    }
    return true;
  }

  /**
   * Ends, at most `graceMs` and a second after it was asked to: first it sends what is new, unless the receiver is away.
   * Default 0.
   */
  async close(graceMs = 0): Promise<void> {
    await this.#reached(graceMs, () => this.#state === 'following' || this.#state === 'connecting');
    this.#stopped.abort();
    this.#wake();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#session(signal);
      } catch (error) {
        if (signal.aborted) break;
        await this.#failed(error);
      }
    }
    this.#state = 'closed';
    this.#arrivals.end();
  }

  async #session(signal: AbortSignal): Promise<void> {
    this.#state = 'connecting';
    const session = await this.#options.connect(signal);
    session.closed.catch(() => {});
    this.#connections += 1;
    this.#sentBefore += this.#sentBytes;
    this.#sentBytes = 0;
    try {
      const pusher = new Pusher(this.#store, session);
      pusher.onSent = (bytes) => {
        this.#sentBytes = bytes;
      };
      let ended = false;
      const over = session.closed.then(
        () => {
          ended = true;
        },
        () => {
          ended = true;
        },
      );
      for (;;) {
        await this.#push(pusher, signal);
        while (!signal.aborted && !ended && (this.#store.newest?.sequence ?? 0) <= this.#sequence) {
          await Promise.race([this.#pause(LOOK_MS), over]);
        }
        if (signal.aborted) return;
        if (ended) throw new DiffKeeperError('DK_CONNECTION', 'the receiver ended the session');
      }
    } finally {
      if (signal.aborted) await closeSoon(session);
      else session.destroy(new DiffKeeperError('DK_CONNECTION', 'the session ends after a failure'));
    }
  }

  async #push(pusher: Pusher, signal: AbortSignal): Promise<void> {
    const report = await pusher.push(signal);
    this.#sequence = report.sequence;
    this.#checkpoints += report.checkpoints;
    if (this.#state !== 'following') this.#logger.info({ name: this.#options.name, ...report }, 'replica follows');
    this.#state = 'following';
    this.#failedInRow = 0;
    this.#lastError = '';
  }

  async #failed(error: unknown): Promise<void> {
    this.#failures += 1;
    this.#state = 'waiting';
    this.#lastError = error instanceof Error ? error.message : String(error);
    const lasting = LASTING.some((code) => isDiffKeeperError(error, code));
    const waitMs = lasting ? RETRY_MAX_MS : Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#failedInRow);
    const facts = { name: this.#options.name, error: this.#lastError, waitMs };
    if (this.#failedInRow === 0) this.#logger.warn(facts, 'the replica does not follow; trying again');
    else this.#logger.debug(facts, 'the replica still does not follow');
    this.#failedInRow += 1;
    await this.#pause(waitMs);
  }

  /** Ends early when it is closed. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopped.signal.aborted) this.#wake();
    });
  }
}
