/**
 * Messages of the state encoder on their way in. They are held in memory: so many bytes for each session, further offers
 * wait. One that was cut is kept for a while, so that it goes on where it was.
 */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import { ByteBudget } from './byte-budget.js';
import { SINGLE_BYTES_MAX } from './outgoing-blob.js';
import { RangeSet } from './ranges.js';
import type { BlobOffer, BlobSink, Peer } from './types.js';

const BUDGET_BYTES_MIN = 128 << 20;
const KEEP_MS = 60_000;

// biome-ignore lint/suspicious/noConfusingVoidType: an async function without an answer will do
export type StateHandler = (key: string, message: Buffer, peer: Peer) => Promise<Buffer | void>;

export interface StateInboxOptions {
  readonly onState: StateHandler;
  /** Largest message. */
  readonly messageBytesMax: number;
  /** How long what a cut message has brought is kept, ms; default a minute. */
  readonly keepMs?: number;
}

/** A message of which something has come. */
interface Begun {
  readonly message: Buffer;
  readonly came: RangeSet;
}

interface Kept extends Begun {
  readonly timer: NodeJS.Timeout;
}

export class StateInbox {
  readonly #options: StateInboxOptions;
  /** Bytes of messages of one session; and of those that are kept, of all sessions together. */
  readonly #budgetBytes: number;
  /** Messages that are open, by name: one that is taken up again waits until its last session has let go. */
  readonly #busy = new Map<string, Promise<void>>();
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  #over = false;

  constructor(options: StateInboxOptions) {
    this.#options = options;
    this.#budgetBytes = Math.max(options.messageBytesMax, BUDGET_BYTES_MIN);
  }

  /** Makes what opens the sinks of one session. They throw DK_LIMIT. */
  opener(): (offer: BlobOffer) => Promise<BlobSink> {
    const budget = new ByteBudget(this.#budgetBytes);
    return (offer) => this.#open(offer, budget);
  }

  /** Forgets what is kept, and keeps nothing more. */
  end(): void {
    this.#over = true;
    for (const name of this.#kept.keys()) this.#take(name);
  }

  async #open(offer: BlobOffer, budget: ByteBudget): Promise<BlobSink> {
    const { messageBytesMax } = this.#options;
    if (offer.size > messageBytesMax) {
      throw new DiffKeeperError('DK_LIMIT', `a state message has at most ${messageBytesMax} bytes (messageBytesMax)`, {
        actual: offer.size,
      });
    }
    // Nobody goes on with what another peer has sent.
    const name = `${offer.key.toString('hex')} ${offer.size} ${offer.peer.name}`;
    while (this.#busy.has(name)) await this.#busy.get(name);
    const free = this.#claim(name);
    const give = await budget.take(offer.size);
    const { message, came } = this.#take(name) ?? { message: Buffer.allocUnsafe(offer.size), came: new RangeSet() };
    const end = (): void => {
      give();
      free();
    };
    return {
      have: came.ranges.map(([start, stop]) => [start, stop - start] as const),
      read: async (offset, into) => {
        message.copy(into, 0, offset);
      },
      write: async (offset, bytes) => {
        bytes.copy(message, offset);
        const stop = offset + bytes.length;
        if (came.covers(offset, stop) === 'none') came.add(offset, stop);
      },
      finish: async () => {
        try {
          const { onState } = this.#options;
          return (await onState(offer.meta.toString('utf8'), message, offer.peer)) ?? Buffer.alloc(0);
        } finally {
          end();
        }
      },
      abort: async (reason) => {
        // What travels in one frame is not taken up again.
        const useless = offer.size <= SINGLE_BYTES_MAX || isDiffKeeperError(reason, 'DK_DIGEST_MISMATCH');
        if (!this.#over && !useless && came.bytes > 0) this.#keep(name, { message, came });
        end();
      },
    };
  }

  /** Makes others wait for a message, until what it gives is called. */
  #claim(name: string): () => void {
    let resolve = (): void => {};
    const ended = new Promise<void>((settle) => {
      resolve = settle;
    });
    this.#busy.set(name, ended);
    return () => {
      this.#busy.delete(name);
      resolve();
    };
  }

  #keep(name: string, begun: Begun): void {
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes + begun.message.length <= this.#budgetBytes) break;
      this.#take(oldest);
    }
    const timer = setTimeout(() => this.#take(name), this.#options.keepMs ?? KEEP_MS);
    this.#kept.set(name, { ...begun, timer: timer.unref() });
    this.#keptBytes += begun.message.length;
  }

  /** Gives what is kept of a message, which is not kept any more. */
  #take(name: string): Begun | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    clearTimeout(kept.timer);
    this.#kept.delete(name);
    this.#keptBytes -= kept.message.length;
    return kept;
  }
}
