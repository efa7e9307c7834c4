/**
 * Messages of the state encoder on their way in. They are held in memory: so many bytes for each session, further offers
 * wait. One that was cut is kept for a while, so that it goes on where it was.
 */
import { ByteBudget, DiffKeeperError, isDiffKeeperError, LIMITS } from '../core/core.js';
import { NameTurns } from './name-turns.js';
import { SINGLE_BYTES_MAX } from './outgoing-blob.js';
import { RangeSet } from './ranges.js';
import type { BlobOffer, BlobSink, Peer } from './types.js';

const BUDGET_BYTES_MIN = 128 << 20;
/** Of messages in one frame: as much as a session holds that keeps to its window, so none of those ever waits. */
const SMALL_BUDGET_BYTES = 2 * LIMITS.sessionWindowBytes;
const KEEP_MS = 60_000;
/** A session that was lost lets go sooner than this, unless nobody has noticed yet. */
const LET_GO_MS = 2000;

// biome-ignore lint/suspicious/noConfusingVoidType: an async function without an answer will do
export type StateHandler = (key: string, message: Buffer, peer: Peer) => Promise<Buffer | void>;

export interface StateInboxOptions {
  readonly onState: StateHandler;
  /** Largest message. */
  readonly messageBytesMax: number;
  /** How long what a cut message has brought is kept, ms; default a minute. */
  readonly keepMs?: number;
  /** How long one that another session has open is waited for, before it begins anew, ms; default 2 s. */
  readonly letGoMs?: number;
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
  /** Messages that are open: one that is taken up again waits until its last session has let go. */
  readonly #turns = new NameTurns();
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  #over = false;

  constructor(options: StateInboxOptions) {
    this.#options = options;
    this.#budgetBytes = Math.max(options.messageBytesMax, BUDGET_BYTES_MIN);
  }

  /** Makes what opens the sinks of one session. They throw DK_LIMIT, and the reason of the signal. */
  opener(): (offer: BlobOffer, signal?: AbortSignal) => Promise<BlobSink> {
    const large = new ByteBudget(this.#budgetBytes);
    // What comes in one frame keeps its part of the window while it waits, and those that have the large budget need the
    // window to come to an end: they must not wait for each other.
    const small = new ByteBudget(SMALL_BUDGET_BYTES);
    return (offer, signal) => this.#open(offer, isSmall(offer) ? small : large, signal);
  }

  /** Forgets what is kept, and keeps nothing more. */
  end(): void {
    this.#over = true;
    for (const name of this.#kept.keys()) this.#take(name);
  }

  async #open(offer: BlobOffer, budget: ByteBudget, signal: AbortSignal | undefined): Promise<BlobSink> {
    const { messageBytesMax, letGoMs = LET_GO_MS } = this.#options;
    if (offer.size > messageBytesMax) {
      throw new DiffKeeperError('DK_LIMIT', `a state message has at most ${messageBytesMax} bytes (messageBytesMax)`, {
        actual: offer.size,
      });
    }
    // Nobody goes on with what another peer has sent.
    const name = `${offer.key.toString('hex')} ${offer.size} ${offer.peer.name}`;
    let give = (): void => {};
    // What is not taken up again need not wait for its last session.
    const free = isSmall(offer) ? () => {} : await this.#turns.take(name, signal, letGoMs);
    const end = (): void => {
      give();
      free();
    };
    try {
      give = await budget.take(offer.size, signal);
      signal?.throwIfAborted();
      const begun = this.#take(name) ?? { message: Buffer.allocUnsafe(offer.size), came: new RangeSet() };
      return this.#sink(offer, name, begun, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  #sink(offer: BlobOffer, name: string, begun: Begun, end: () => void): BlobSink {
    const { message, came } = begun;
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
        const useless = isSmall(offer) || isDiffKeeperError(reason, 'DK_DIGEST_MISMATCH');
        if (!this.#over && !useless && came.bytes > 0) this.#keep(name, begun);
        end();
      },
    };
  }

  #keep(name: string, begun: Begun): void {
    // Two sessions may have had it: the one that got further is worth more.
    const other = this.#kept.get(name);
    if (other !== undefined && other.came.bytes >= begun.came.bytes) return;
    this.#take(name);
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

/** Whether it travels in one frame, and is not taken up again. */
function isSmall({ size }: BlobOffer): boolean {
  return size <= SINGLE_BYTES_MAX;
}
