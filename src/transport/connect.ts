/** Opens a session to a listener, and its data streams. */
import { setMaxListeners } from 'node:events';
import { DiffKeeperError } from '../core/core.js';
import { BlobDigests } from './blob-digests.js';
import { paysEarly } from './early-pieces.js';
import { FRAME } from './frame.js';
import type { Frame } from './frame-reader.js';
import {
  decodeWelcome,
  digestSeed,
  encodeHello,
  encodeJoin,
  JOINS_MAX,
  joinToken,
  VERSION_MAX,
  VERSION_MIN,
  type Welcome,
} from './greeting.js';
import { Link } from './link.js';
import { TransportSession } from './session.js';
import { type SessionSettings, sessionSettings, settingsFor } from './session-settings.js';
import { connectSocket, type Target } from './sockets.js';
import { dialLink, SpareLinks } from './spare-links.js';
import { firstStreams } from './stream-count.js';
import type { ConnectOptions, Session } from './types.js';
import { asSessionError, decodeError } from './wire-error.js';

/** Pauses between attempts to open a stream. */
const RETRY_MS = 100;
const RETRY_MS_MAX = 5000;

/** Sends the first frame and waits for the answer to it, which `take` gets at once: what follows it may be there already. */
async function greet(link: Link, target: Target, say: () => void, take: (frame: Frame) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      const late = new DiffKeeperError('DK_CONNECTION', `no greeting within ${target.timeoutMs} ms`);
      timer = setTimeout(() => reject(late), target.timeoutMs);
      onAbort = () => reject(new DiffKeeperError('DK_ABORTED', 'connecting was aborted'));
      target.signal?.addEventListener('abort', onAbort, { once: true });
      if (target.signal?.aborted) onAbort();
      link.onClosed = (error) => {
        reject(asSessionError(error ?? new DiffKeeperError('DK_CONNECTION', 'the other side ended the connection')));
      };
      link.onFrame = (frame) => {
        if (frame.type === FRAME.refused) reject(decodeError(frame.payload));
        else {
          take(frame);
          resolve();
        }
      };
      say();
    });
  } catch (error) {
    link.onClosed = () => {};
    link.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    target.signal?.removeEventListener('abort', onAbort);
  }
}

function expected(frame: Frame, type: number): Buffer {
  if (frame.type === type) return frame.payload;
  throw new DiffKeeperError('DK_PROTOCOL', `expected a frame of type ${type}, came ${frame.type}`);
}

/** Keeps as many data streams open as are wanted. */
class StreamKeeper {
  readonly #settings: SessionSettings;
  readonly #target: Target;
  readonly #session: TransportSession;
  readonly #welcome: Welcome;
  readonly #spares: SpareLinks;
  readonly #stop = new AbortController();
  #open = 0;
  #joins = 0;
  #wanted = 0;
  /** Rounds of failures since the last success. */
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(
    parts: { settings: SessionSettings; target: Target; session: TransportSession; spares: SpareLinks },
    welcome: Welcome,
  ) {
    const { settings, target, session, spares } = parts;
    this.#settings = settings;
    this.#spares = spares;
    this.#target = { ...target, signal: this.#stop.signal };
    this.#session = session;
    // Each stream that is being opened listens to it.
    setMaxListeners(0, this.#stop.signal);
    this.#welcome = welcome;
    const stop = (): void => this.#stop.abort();
    session.closed.then(stop, stop);
  }

  want(count: number): void {
    this.#wanted = Math.max(this.#wanted, Math.min(count, this.#welcome.streamsMax));
    while (this.#open < this.#wanted && !this.#session.over) {
      this.#open += 1;
      void this.#keepOne();
    }
  }

  /** One stream; when it ends, `want` is called again and makes another. */
  async #keepOne(): Promise<void> {
    try {
      await this.#join();
      this.#failures = 0;
    } catch (error) {
      this.#open -= 1;
      this.#settings.logger.debug({ error }, 'a stream could not be opened');
      this.#retryLater();
    }
  }

  /** Those that failed are made anew together: each for itself would not come to rest. */
  #retryLater(): void {
    if (this.#retry !== undefined) return;
    this.#failures += 1;
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(this.#failures, 10));
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.want(this.#session.streamsWanted);
    }, waitMs);
    this.#retry.unref();
  }

  #add(link: Link): void {
    this.#session.addStream(link);
    const lost = link.onClosed;
    link.onClosed = (error) => {
      this.#open -= 1;
      lost(error);
    };
  }

  async #join(): Promise<void> {
    const { sessionId, secret } = this.#welcome;
    const number = this.#joins;
    this.#joins += 1;
    if (number >= JOINS_MAX) throw new DiffKeeperError('DK_LIMIT', 'the session has used up its joins');
    const link = (await this.#spares.take(this.#stop.signal)) ?? (await dialLink(this.#settings, this.#target));
    const join = { sessionId, number, token: joinToken(secret, sessionId, number) };
    try {
      await greet(
        link,
        this.#target,
        () => {
          link.send(FRAME.join, encodeJoin(join));
          // Where joins fail, nothing is entrusted to them.
          if (this.#failures === 0 && paysEarly(this.#welcome.version, link)) this.#session.lend(link);
        },
        (frame) => {
          expected(frame, FRAME.joined);
          // At once: data may follow in the same read.
          this.#add(link);
        },
      );
    } catch (error) {
      this.#session.unlend(link);
      throw error;
    }
  }
}

/**
 * Opens a session. Data streams are opened beside it, and join behind it; what is sent before the first has joined goes over the control
 * stream. Throws DK_CONNECTION, DK_REFUSED, DK_PROTOCOL, DK_ABORTED, DK_CONFIG.
 */
export async function connect(
  place: { readonly host: string; readonly port: number },
  options: ConnectOptions,
): Promise<Session> {
  const settings = sessionSettings(options);
  const { trust, serverName, signal } = options;
  const target: Target = { ...place, trust, serverName, signal, timeoutMs: settings.handshakeMs };
  const spares = new SpareLinks(settings, target);
  try {
    return await open(settings, target, spares, options);
  } finally {
    spares.end();
  }
}

async function open(
  settings: SessionSettings,
  target: Target,
  spares: SpareLinks,
  options: ConnectOptions,
): Promise<Session> {
  const link = new Link(settings);
  const socket = await connectSocket(target, link, (fd) => {
    spares.dial(firstStreams(settings.streams, { figures: () => settings.engine.socketFigures(fd) }));
  });
  link.begin(socket);
  let session: TransportSession | undefined;
  const hello = { versionMin: VERSION_MIN, versionMax: VERSION_MAX, windowBytes: settings.windowBytes };
  await greet(
    link,
    target,
    () => link.send(FRAME.hello, encodeHello(hello)),
    (frame) => {
      const welcome = decodeWelcome(expected(frame, FRAME.welcome));
      const streamsMax = Math.min(welcome.streamsMax, settings.streams.maximum);
      let keeper: StreamKeeper | undefined;
      session = new TransportSession({
        settings: settingsFor(settings, link.near),
        control: link,
        // Who is connected to was chosen here: it may do what it is asked for.
        peer: { name: socket.name, address: socket.address, rights: 'admin' },
        granted: welcome.rights,
        version: welcome.version,
        digests: new BlobDigests(settings.engine, digestSeed(welcome)),
        sendWindowBytes: welcome.windowBytes,
        streamsMax,
        openStreams: (count) => keeper?.want(Math.min(count, streamsMax)),
      });
      keeper = new StreamKeeper({ settings, target, session, spares }, { ...welcome, streamsMax });
      keeper.want(session.streamsWanted);
      options.prepare?.(session);
    },
  );
  return session as TransportSession;
}
