/** One run over an open session, in either direction. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Store } from '../store/store.js';
import type { Session } from '../transport/transport.js';
import { Giver, helloOf } from './giver.js';
import { decodeHello, readCount, readObject, VERB } from './protocol.js';
import { Taker } from './taker.js';
import type { SyncOptions, SyncReport } from './types.js';

const REPORT_KEYS = ['sequence', 'checkpoints', 'blobs', 'bytes', 'questions'] as const;

export function encodeReport(report: SyncReport): Buffer {
  return Buffer.from(JSON.stringify(report));
}

/** @throws DK_PROTOCOL */
function decodeReport(bytes: Buffer): SyncReport {
  const value = readObject(bytes);
  const [sequence, checkpoints, blobs, size, questions] = REPORT_KEYS.map((key) => readCount(value[key]));
  if (typeof value.elapsedMs !== 'number') throw new DiffKeeperError('DK_PROTOCOL', 'the other side gave no time');
  return {
    sequence: sequence as number,
    checkpoints: checkpoints as number,
    blobs: blobs as number,
    bytes: size as number,
    questions: questions as number,
    elapsedMs: value.elapsedMs,
  };
}

/** The giving side of a session: it may be asked to push again and again. */
export class Pusher {
  readonly #store: Store;
  readonly #session: Session;
  readonly #takeOver: boolean;
  #sent = 0;
  /** Told of the bytes that the other side has taken over since the session began, and of those it wants in this run. */
  onSent: (bytes: number, planned: number) => void = () => {};

  constructor(store: Store, session: Session, takeOver = false) {
    this.#store = store;
    this.#session = session;
    this.#takeOver = takeOver;
    const onSent = (bytes: number, planned: number): void => {
      this.#sent += bytes;
      this.onSent(this.#sent, planned);
    };
    Giver.attach(store, session, { takeOver, onSent });
  }

  /** Lets the other side take what it lacks up to now. */
  async push(signal?: AbortSignal): Promise<SyncReport> {
    const hello = helloOf(this.#store, this.#takeOver);
    return decodeReport(await this.#session.request(VERB.advance, hello, signal ? { signal } : {}));
  }
}

/**
 * Gives the other side, which must serve a store, what it lacks.
 *
 * @throws DK_REPLICA, DK_DIVERGED, DK_REFUSED, DK_CONNECTION, DK_ABORTED and what storing throws at the other side
 */
export async function pushOver(store: Store, session: Session, options: SyncOptions = {}): Promise<SyncReport> {
  throwIfAborted(options.signal);
  const pusher = new Pusher(store, session, options.takeOver);
  pusher.onSent = (bytes, planned) => options.onProgress?.(bytes, Math.max(bytes, planned));
  return pusher.push(options.signal);
}

/** Takes what the other side, which must serve a store, has and this one lacks. Throws as `pushOver`. */
export async function pullOver(store: Store, session: Session, options: SyncOptions = {}): Promise<SyncReport> {
  throwIfAborted(options.signal);
  const taker = new Taker(store, session, options.logger);
  const hello = decodeHello(
    await session.request(VERB.hello, Buffer.alloc(0), options.signal ? { signal: options.signal } : {}),
  );
  try {
    return await taker.run(hello, undefined, options);
  } finally {
    await taker.idle();
  }
}
