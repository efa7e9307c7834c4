/** Receives blobs: files below a directory, messages of the state encoder, or whatever a sink is given for. */
import { constants } from 'node:buffer';
import { makeDirectoryDurable, systemClock, throwIfAborted } from '../core/core.js';
import { checkDigest } from './blob-digests.js';
import { CountedListener } from './counted-listener.js';
import { FileInbox, type ReceivedFile } from './file-inbox.js';
import type { TransportTotals } from './session-sums.js';
import { StateInbox } from './state-inbox.js';
import type { BlobOffer, BlobSink, DigestKind, ListenOptions, Peer, SessionOptions } from './types.js';

/** Largest message of the state encoder that is taken, unless told otherwise: it is held in memory. */
const STATE_BYTES_MAX = 64 << 20;
const DAY_MS = 86_400_000;
const PARTIAL_AGE_MS = 7 * DAY_MS;

export interface ReceiverOptions
  extends Pick<ListenOptions, 'host' | 'port' | 'authorize' | 'connectionsMax' | 'sessionsMax' | 'sessionsPerPeer'> {
  /** Trust, streams, limits. */
  readonly link: SessionOptions;
  /** `blake3`: senders must check by that all that they send. Default: what they choose, `xxh3` unless told otherwise. */
  readonly digest?: DigestKind;
  /** Takes files to this directory, which is made when it is missing. */
  readonly directory?: string;
  /**
   * What a cut transfer left is removed when nobody went on with it for so long, at the start and once a day; default a
   * week (ms).
   */
  readonly partialAgeMs?: number;
  /** Each file that is there now. */
  readonly onFile?: (file: ReceivedFile) => void;
  /** Takes messages of the state encoder. What it throws goes to the sender with its code; what it gives is the answer. */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async function without an answer will do
  readonly onState?: (key: string, message: Buffer, peer: Peer) => Promise<Buffer | void>;
  /**
   * Largest message for `onState`, bytes; default 64 MiB. Each is held in memory while it arrives, and the first one of a
   * state is as large as what it compresses to. Others are refused with DK_LIMIT. Of one session, messages of 128 MiB
   * together are held, or one of the largest; further ones wait. Those of up to 512 KiB have as much of their own, and do
   * not wait. What a lost session had brought of a larger one is kept for a minute, to go on with it; of all together as
   * much as that.
   */
  readonly messageBytesMax?: number;
  /**
   * Where metrics (`diffkeeper_transport_*`), status and health are served over HTTP: `HOST:PORT`, or `unix:PATH`. Default
   * nowhere.
   */
  readonly metricsAddress?: string;
  /** Ends it at once, as `close(0)`; before it listens: DK_ABORTED. */
  readonly signal?: AbortSignal;
  /** Takes blobs of other services, by name. */
  readonly services?: Readonly<Record<string, (offer: BlobOffer) => Promise<BlobSink | null>>>;
}

export interface Receiver {
  readonly host: string;
  readonly port: number;
  /** Where metrics and health are served, with the port that it took; undefined: nowhere. */
  readonly metricsAddress: string | undefined;
  readonly totals: TransportTotals;
  /** Takes no more connections, ends sessions in order (at most `graceMs`, default 5 s). */
  close(graceMs?: number): Promise<void>;
}

class ListeningReceiver implements Receiver {
  readonly #listener: CountedListener;
  readonly #onClosed: (inOrder: boolean) => Promise<void>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.close(0).catch(() => {});

  constructor(
    listener: CountedListener,
    onClosed: (inOrder: boolean) => Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    this.#listener = listener;
    this.#onClosed = onClosed;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  get host(): string {
    return this.#listener.host;
  }

  get port(): number {
    return this.#listener.port;
  }

  get metricsAddress(): string | undefined {
    return this.#listener.metricsAddress;
  }

  get totals(): TransportTotals {
    return this.#listener.totals;
  }

  async close(graceMs?: number): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    await this.#listener.close(graceMs);
    await this.#onClosed(graceMs !== 0);
  }
}

/** Listens for senders. Throws DK_CONFIG (plaintext beyond loopback, bad keys), DK_IO, DK_ABORTED, RangeError. */
export async function createReceiver(options: ReceiverOptions): Promise<Receiver> {
  const { link, directory, onFile, onState, services = {}, host, port, partialAgeMs = PARTIAL_AGE_MS } = options;
  throwIfAborted(options.signal);
  checkDigest(options.digest ?? 'xxh3');
  if (directory !== undefined) await makeDirectoryDurable(directory);
  const files = directory === undefined ? undefined : new FileInbox(directory, onFile ?? (() => {}));
  if (!(partialAgeMs >= 0)) throw new RangeError(`partialAgeMs must be at least 0, not ${partialAgeMs}`);
  const messageBytesMax = options.messageBytesMax ?? STATE_BYTES_MAX;
  if (!(messageBytesMax >= 1 && messageBytesMax <= constants.MAX_LENGTH)) {
    throw new RangeError(`messageBytesMax must be 1 to ${constants.MAX_LENGTH}, not ${messageBytesMax}`);
  }
  const states = onState && new StateInbox({ onState, messageBytesMax });
  const { clock = systemClock } = link;
  const sweep = async (): Promise<unknown> => files?.removeAbandoned(clock.nowMs() - partialAgeMs);
  await sweep();
  const { authorize, connectionsMax, sessionsMax, sessionsPerPeer, metricsAddress, digest } = options;
  const listener = await CountedListener.open({
    ...link,
    host,
    port,
    ...(authorize && { authorize }),
    ...(digest && { digest }),
    ...(connectionsMax !== undefined && { connectionsMax }),
    ...(sessionsMax !== undefined && { sessionsMax }),
    ...(sessionsPerPeer !== undefined && { sessionsPerPeer }),
    ...(metricsAddress !== undefined && { metricsAddress }),
    ...(directory !== undefined && { describe: () => ({ directory }) }),
    onSession: (session) => {
      if (files !== undefined) session.onBlob('file', files.open);
      if (states !== undefined) session.onBlob('state', states.opener());
      for (const [service, open] of Object.entries(services)) session.onBlob(service, open);
    },
  });
  const sweeper = setInterval(() => void sweep(), DAY_MS).unref();
  const ended = async (inOrder: boolean): Promise<void> => {
    clearInterval(sweeper);
    states?.end();
    if (inOrder) await files?.end();
  };
  return new ListeningReceiver(listener, ended, options.signal);
}
