/** Takes connections, learns what each is, and makes sessions of them. */
import { DiffKeeperError, equalSecretly, LIMITS, randomBytes } from '../core/core.js';
import { BlobDigests } from './blob-digests.js';
import { FRAME } from './frame.js';
import type { Frame } from './frame-reader.js';
import {
  decodeHello,
  decodeJoin,
  digestSeed,
  encodeWelcome,
  JOINS_MAX,
  type Join,
  joinToken,
  SECRET_BYTES,
  SESSION_ID_BYTES,
  VERSION_MAX,
} from './greeting.js';
import { Link } from './link.js';
import { TransportSession } from './session.js';
import { type SessionSettings, sessionSettings, settingsFor } from './session-settings.js';
import { type ListeningSocket, listenSocket, type StreamSocket } from './sockets.js';
import type { Listener, ListenOptions, Session } from './types.js';
import { encodeError } from './wire-error.js';

const CONNECTIONS_MAX = 1024;
const SESSIONS_MAX = 64;
const GRACE_MS = 5000;
/** A refusal is sent, and the connection ended when the other side has had time to read it. */
const REFUSAL_MS = 1000;

/** A session with what its further streams must show. */
interface Entry {
  readonly session: TransportSession;
  readonly name: string;
  readonly id: Buffer;
  readonly secret: Buffer;
  /** A bit for each join that was made. */
  readonly joined: Uint8Array;
  streams: number;
}

class TransportListener implements Listener {
  readonly #options: ListenOptions;
  readonly #settings: SessionSettings;
  readonly #entries = new Map<string, Entry>();
  readonly #greeting = new Set<Link>();
  readonly sessions = new Set<Session>();
  readonly refusals = new Map<string, number>();
  #socket: ListeningSocket | undefined;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#settings = sessionSettings(options);
  }

  async start(): Promise<void> {
    const { host, port, trust, connectionsMax = CONNECTIONS_MAX } = this.#options;
    const { handshakeMs } = this.#settings;
    this.#socket = await listenSocket({
      host,
      port,
      trust,
      handshakeMs,
      connectionsMax,
      accept: () => {
        const link = new Link(this.#settings);
        return { intake: link, begin: (socket, greeted) => this.#begin(link, socket, greeted) };
      },
      refused: (reason) => this.#count(reason),
    });
  }

  get host(): string {
    return this.#socket?.host ?? '';
  }

  get port(): number {
    return this.#socket?.port ?? 0;
  }

  #count(reason: string): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }

  /** A connection is there; it has so much time to say what it is. */
  #begin(link: Link, socket: StreamSocket, greeted: () => void): void {
    link.begin(socket);
    this.#greeting.add(link);
    const timer = setTimeout(() => {
      this.#refuse(link, new DiffKeeperError('DK_CONNECTION', 'no greeting in time'), 'timeout');
    }, this.#settings.handshakeMs);
    const known = (): void => {
      clearTimeout(timer);
      greeted();
      this.#greeting.delete(link);
    };
    link.onClosed = (error) => {
      known();
      this.#count(error === undefined ? 'closed' : 'garbage');
    };
    link.onFrame = (frame) => {
      known();
      link.onClosed = () => {};
      try {
        this.#greet(link, frame);
      } catch (error) {
        const code = error instanceof DiffKeeperError ? error.code : 'DK_REMOTE';
        this.#refuse(link, error, code === 'DK_PROTOCOL' ? 'protocol' : 'refused');
      }
    };
  }

  /** Says why and ends the connection; what else comes on it is not looked at. */
  #refuse(link: Link, reason: unknown, kind: string): void {
    this.#count(kind);
    this.#greeting.delete(link);
    link.onClosed = () => {};
    link.onFrame = () => {
      throw new DiffKeeperError('DK_PROTOCOL', 'the connection was refused');
    };
    link.send(FRAME.refused, encodeError(reason));
    link.end();
    setTimeout(() => link.destroy(), REFUSAL_MS).unref();
  }

  #greet(link: Link, frame: Frame): void {
    if (frame.type === FRAME.hello) {
      this.#welcome(link, frame.payload);
      return;
    }
    if (frame.type === FRAME.join) {
      this.#join(link, decodeJoin(frame.payload));
      return;
    }
    throw new DiffKeeperError(
      'DK_PROTOCOL',
      `a connection begins with a greeting, not with a frame of type ${frame.type}`,
    );
  }

  #welcome(link: Link, payload: Buffer): void {
    const { authorize = () => 'append', sessionsMax = SESSIONS_MAX, onSession } = this.#options;
    const hello = decodeHello(payload);
    // All of them would be the same peer to whoever decides by name.
    if (link.name === '') throw new DiffKeeperError('DK_REFUSED', 'a certificate without a common name names nobody');
    const rights = authorize(link.name);
    if (rights === undefined) {
      throw new DiffKeeperError('DK_REFUSED', `${link.name} is not allowed here`, { name: link.name });
    }
    if (this.#entries.size >= sessionsMax) throw new DiffKeeperError('DK_LIMIT', 'there are too many sessions');
    this.#checkShare(link.name, sessionsMax);
    const id = randomBytes(SESSION_ID_BYTES);
    const secret = randomBytes(SECRET_BYTES);
    const streamsMax = this.#settings.streams.maximum;
    const { windowBytes } = this.#settings;
    const version = Math.min(hello.versionMax, VERSION_MAX);
    const quickDigests = this.#options.digest !== 'blake3';
    const welcome = { version, windowBytes, sessionId: id, secret, streamsMax, rights, quickDigests };
    link.send(FRAME.welcome, encodeWelcome(welcome));
    const session = new TransportSession({
      settings: settingsFor(this.#settings, link.near),
      control: link,
      peer: { name: link.name, address: link.address, rights },
      // Who came has chosen to: it answers what it set up itself.
      granted: 'admin',
      version,
      digests: new BlobDigests(this.#settings.engine, digestSeed(welcome)),
      sendWindowBytes: hello.windowBytes,
      streamsMax,
    });
    const key = id.toString('hex');
    this.#entries.set(key, { session, name: link.name, id, secret, joined: new Uint8Array(JOINS_MAX / 8), streams: 0 });
    this.sessions.add(session);
    const gone = (): void => {
      this.#entries.delete(key);
      this.sessions.delete(session);
    };
    session.closed.then(gone, gone);
    onSession(session);
  }

  /** One peer does not take all sessions. On plain loopback nobody has a name. */
  #checkShare(name: string, sessionsMax: number): void {
    const { sessionsPerPeer = Math.ceil(sessionsMax / 2), trust } = this.#options;
    if ('plaintext' in trust) return;
    const own = [...this.#entries.values()].filter((entry) => entry.name === name).length;
    if (own >= sessionsPerPeer) throw new DiffKeeperError('DK_LIMIT', `${name} has too many sessions`, { name });
  }

  #join(link: Link, { sessionId, number, token }: Join): void {
    const entry = this.#entries.get(sessionId.toString('hex'));
    const good = entry !== undefined && equalSecretly(token, joinToken(entry.secret, entry.id, number));
    // One answer for all that is wrong: who guesses learns nothing.
    if (!good || number >= JOINS_MAX || entry.name !== link.name || isJoined(entry, number)) {
      throw new DiffKeeperError('DK_REFUSED', 'this is no stream of a session');
    }
    if (entry.streams >= Math.min(LIMITS.streams, this.#settings.streams.maximum)) {
      throw new DiffKeeperError('DK_LIMIT', 'the session has all the streams it may have');
    }
    entry.joined[number >> 3] = (entry.joined[number >> 3] as number) | (1 << (number & 7));
    entry.streams += 1;
    link.send(FRAME.joined);
    entry.session.addStream(link);
    const lost = link.onClosed;
    link.onClosed = (error) => {
      entry.streams -= 1;
      lost(error);
    };
  }

  async close(graceMs = GRACE_MS): Promise<void> {
    this.#socket?.close();
    for (const link of this.#greeting) link.destroy();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    const ended = Promise.allSettled([...this.sessions].map((session) => session.close()));
    await Promise.race([ended, late]);
    clearTimeout(timer);
    const reason = new DiffKeeperError('DK_CONNECTION', 'the listener was closed');
    for (const session of this.sessions) session.destroy(reason);
  }
}

function isJoined({ joined }: Entry, number: number): boolean {
  return ((joined[number >> 3] as number) & (1 << (number & 7))) !== 0;
}

/** Listens for sessions. Throws DK_CONFIG, DK_IO, RangeError. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const listener = new TransportListener(options);
  await listener.start();
  return listener;
}
