/** Turns states into messages: full ones that set up a baseline, deltas against it in between. */
import { DiffKeeperError, LIMITS, Semaphore } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { BegunStreams } from './begun-streams.js';
import { encodedState } from './encoded-state.js';
import { KeyedQueue } from './keyed-queue.js';
import { nextLoopTurn, takeLoopShare } from './loop-share.js';
import { StateCoder } from './state-coder.js';
import type { StateMetrics } from './state-metrics.js';
import { checkName, encoderSettings } from './state-settings.js';
import type { EncodedState, StateEncoderOptions, StateFacts, StateInput } from './state-types.js';

/** Made for many keys at once; states of one key are encoded in the order of the calls. */
export class StateEncoder {
  readonly #coder: StateCoder;
  readonly #engine: Engine;
  readonly #queue = new KeyedQueue();
  readonly #streams = new BegunStreams('state encoder');
  readonly #turns: Semaphore;
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  /** Throws TypeError or RangeError for a wrong option. */
  constructor(options: StateEncoderOptions = {}) {
    const settings = encoderSettings(options);
    this.#coder = new StateCoder(settings);
    this.#engine = settings.engine;
    this.#engine.holdSpareMemory(LIMITS.spareMemoryBytes);
    this.#turns = new Semaphore(settings.statesAtOnce);
    this.#timer = setInterval(() => this.prune(), Math.min(settings.pruneIntervalMs, 2 ** 31 - 1));
    this.#timer.unref();
  }

  /**
   * One state as one message. Rejects with DK_STORE_CLOSED after `close`, DK_IO for a file that cannot be read; after a
   * failure the key's baseline is what it was. `parts` of the message may be views of the state: they are what was encoded
   * as long as its bytes do not change.
   */
  async encode(key: string, state: StateInput): Promise<EncodedState> {
    this.#checkOpen();
    checkName('key', key);
    const few = this.#coder.smallBytes(state);
    const tried = few !== undefined && !this.#queue.has(key) && takeLoopShare(few.length);
    const early = tried ? this.#coder.small(key, few) : undefined;
    if (early !== undefined) return early;
    const leave = await this.#queue.enter(key);
    try {
      return await this.#turns.run(async () => {
        if (few !== undefined && !tried) {
          while (!takeLoopShare(few.length)) await nextLoopTurn();
          const late = this.#coder.small(key, few);
          if (late !== undefined) return late;
        }
        const direct = await this.#coder.direct(key, state);
        if (direct !== undefined) return direct;
        const parts: Buffer[] = [];
        const frames = this.#coder.frames(key, state);
        for (;;) {
          const { value, done } = await frames.next();
          if (done) return encodedState(value, parts);
          parts.push(...value);
        }
      });
    } finally {
      leave();
    }
  }

  /**
   * As `encode`, for states of any length: pieces of the message as they are made, never more than a few segments in
   * memory. The key waits until the last piece was taken; a loop that is left early leaves the baseline as it was, as does
   * `close`, which ends the stream with DK_STORE_CLOSED.
   */
  async *encodeStream(key: string, state: StateInput): AsyncGenerator<Buffer, StateFacts, undefined> {
    this.#checkOpen();
    checkName('key', key);
    return yield* this.#streams.through(this.#streamed(key, state));
  }

  async *#streamed(key: string, state: StateInput): AsyncGenerator<Buffer, StateFacts, undefined> {
    const leave = await this.#queue.enter(key);
    try {
      const frames = this.#coder.frames(key, state);
      try {
        for (;;) {
          const { value, done } = await frames.next();
          if (done) return value;
          yield* value;
        }
      } finally {
        await frames.return(undefined as never);
      }
    } finally {
      leave();
    }
  }

  /**
   * The answer to DK_BASELINE_MISSING, DK_BASELINE_MISMATCH and DK_DICTIONARY_MISSING: the key's baseline as a full
   * message of the same id. After it the decoder takes the message that failed if that was a delta made against this
   * baseline (`sourceId` of the message is `baselineId` of the answer); any other is as old as the answer or older, as
   * always in a chain of previous states, where the answer is the newest state itself. Undefined when the baseline is
   * gone, damaged or was never kept; the next state of the key is full then.
   */
  async resync(key: string): Promise<EncodedState | undefined> {
    this.#checkOpen();
    checkName('key', key);
    const leave = await this.#queue.enter(key);
    try {
      return await this.#turns.run(() => this.#coder.repeat(key));
    } finally {
      leave();
    }
  }

  /**
   * Drops baselines that were not used for `pruneIntervalMs` or are too old; the latter from the store as well, soon. Runs
   * by itself as often. Returns how many keys went from memory.
   */
  prune(): number {
    return this.#coder.prune();
  }

  metrics(): StateMetrics {
    return this.#coder.metrics();
  }

  /**
   * Waits for the states that `encode` was given, then gives all memory back; streams end with DK_STORE_CLOSED. What the store
   * keeps stays there.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#streams.close();
    await this.#queue.idle();
    await this.#coder.clear();
    this.#engine.releaseSpareMemory();
  }

  #checkOpen(): void {
    if (this.#closed) throw new DiffKeeperError('DK_STORE_CLOSED', 'the state encoder is closed');
  }
}
