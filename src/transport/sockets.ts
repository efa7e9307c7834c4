/**
 * Connections: plain TCP on loopback, TLS 1.3 elsewhere. The only importer of node:net and node:tls, which are loaded
 * when they are first used.
 *
 * Plain connections read into the place where the bytes belong (`onread`). Node offers that for outgoing ones only, so
 * the handle of an accepted one is moved to a socket made with it; where that is not possible, bytes are copied.
 */
import type * as Net from 'node:net';
import type * as Tls from 'node:tls';
import { DiffKeeperError, systemCode } from '../core/core.js';
import { Crowd, crowdMax } from './crowd.js';
import { onlyKey } from './peer-address.js';
import { attach, type Intake, internals, isLoopback, readDirectly, StreamSocket, turnDirect } from './stream-socket.js';
import type { Trust } from './types.js';

export type { Intake } from './stream-socket.js';
export { StreamSocket } from './stream-socket.js';
/** Node's socket, for the files that do not import its module. */
export type RawSocket = Net.Socket;
export type ReadOptions = Net.OnReadOpts;

const net = (): typeof Net => process.getBuiltinModule('node:net');
const tls = (): typeof Tls => process.getBuiltinModule('node:tls');

/** AES-128 first: the fastest with hardware support, and as good as any for a session. Keys need a SHA-256 suite. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';
const KEY_CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256';
const VERSIONS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;
const ignore = (): void => {};

/** Empty when the certificate has none. */
function commonName(socket: Tls.TLSSocket): string {
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === 'string' ? name : '';
}

/** What the other side is called: its certificate is for the name that was connected to, whatever else it says. */
function nameOf(socket: Net.Socket, { trust, serverName, host }: Target): string {
  if ('certificate' in trust) return commonName(socket as Tls.TLSSocket) || (serverName ?? host);
  return 'keys' in trust ? 'key' : 'anonymous';
}

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly trust: Trust;
  readonly serverName?: string | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

function dial(target: Target, intake: Intake): { readonly socket: Net.Socket; readonly ready: string } {
  const { host, port, trust } = target;
  let socket: Net.Socket;
  const onread = readDirectly(intake, () => socket);
  if ('plaintext' in trust) {
    socket = net().connect({ host, port, onread, noDelay: true });
    return { socket, ready: 'connect' };
  }
  // Typed without `onread`, which tls.connect hands on to the socket it makes.
  const common = { host, port, onread, ...VERSIONS };
  if ('keys' in trust) {
    const [identity, psk] = onlyKey(trust.keys);
    const options: Tls.ConnectionOptions = {
      ...common,
      ciphers: KEY_CIPHERS,
      pskCallback: () => ({ psk, identity }),
      // Asked only when a certificate came instead of our key: whoever it is, it is not who shares the key.
      checkServerIdentity: () => new Error('the other side does not have the key'),
    };
    socket = tls().connect(options);
  } else {
    const servername = target.serverName ?? (net().isIP(host) === 0 ? host : undefined);
    const options: Tls.ConnectionOptions = {
      ...common,
      ciphers: CIPHERS,
      cert: trust.certificate,
      key: trust.key,
      ca: trust.authority,
      ...(servername === undefined ? {} : { servername }),
    };
    socket = tls().connect(options);
  }
  return { socket, ready: 'secureConnect' };
}

/** Failures that mean: reached, but not trusted. */
function connectFailure(error: unknown, { host, port }: Target): DiffKeeperError {
  const code = systemCode(error);
  const message = error instanceof Error ? error.message : String(error);
  const refused =
    /^ERR_(SSL|TLS)|^(UNABLE_TO|CERT_|DEPTH_|SELF_SIGNED)/.test(code) || /does not have the key/.test(message);
  const text = `cannot connect to ${host}:${port}: ${message}`;
  return new DiffKeeperError(refused ? 'DK_REFUSED' : 'DK_CONNECTION', text, {}, error);
}

/**
 * Connects, with TLS shaken hands; `reached` is told the descriptor as soon as the other machine has answered, before TLS. Throws
 * DK_CONNECTION, DK_REFUSED, DK_ABORTED, DK_CONFIG (plain to another machine).
 */
export async function connectSocket(
  target: Target,
  intake: Intake,
  reached: (fd: number) => void = ignore,
): Promise<StreamSocket> {
  const { signal, timeoutMs, trust } = target;
  const { socket, ready } = dial(target, intake);
  attach(socket, intake, true);
  let stop = ignore;
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const onAbort = (): void => reject(new DiffKeeperError('DK_ABORTED', 'connecting was aborted'));
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted) onAbort();
      stop = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      socket.once('connect', () => {
        const fd = internals(socket)._handle?.fd;
        if (typeof fd === 'number' && fd >= 0) reached(fd);
      });
      socket.once(ready, resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('it closed the connection')));
    });
    if ('plaintext' in trust && !isLoopback(socket.remoteAddress)) {
      throw new DiffKeeperError('DK_CONFIG', 'without TLS only this machine itself may be connected to');
    }
  } catch (error) {
    socket.destroy();
    throw error instanceof DiffKeeperError ? error : connectFailure(error, target);
  } finally {
    stop();
  }
  return new StreamSocket(socket, nameOf(socket, target));
}

export interface Place {
  readonly host: string;
  readonly port: number;
  readonly trust: Trust;
  readonly handshakeMs: number;
  readonly connectionsMax: number;
  /** Gives the intake of a new connection, and gets the connection right after; calls `known` when it has said what it is. */
  accept(): { readonly intake: Intake; begin(socket: StreamSocket, known: () => void): void };
  /** Somebody was sent away before anything was said: who, and why. */
  refused(reason: string): void;
}

export interface ListeningSocket {
  readonly host: string;
  readonly port: number;
  /** Takes no more; those that have said what they are stay. */
  close(): void;
}

/** Moves the handle of an accepted socket to one that reads directly; undefined when that is not possible. */
function moveHandle(accepted: Net.Socket, intake: Intake): Net.Socket | undefined {
  const from = internals(accepted);
  if (from._handle === null || typeof from._handle !== 'object') return undefined;
  let socket: Net.Socket;
  const options = { handle: from._handle, onread: readDirectly(intake, () => socket), pauseOnCreate: true };
  socket = new (net().Socket)(options as Net.SocketConstructorOpts);
  // The server counts connections by the socket that belongs to it.
  internals(socket)._server = from._server;
  from._handle = null;
  from._server = null;
  return socket;
}

const addressOf = ({ remoteAddress, remotePort }: Net.Socket): string => `${remoteAddress}:${remotePort}`;

function startServer(place: Place, names: WeakMap<object, string>, crowd: Crowd): Net.Server {
  const { trust, handshakeMs } = place;
  if ('plaintext' in trust) {
    return net().createServer({ pauseOnConnect: true, noDelay: true }, (accepted) => {
      const { intake, begin } = place.accept();
      const moved = moveHandle(accepted, intake);
      const socket = moved ?? accepted;
      attach(socket, intake, moved !== undefined);
      const known = crowd.join(() => socket.destroy());
      socket.once('close', known);
      begin(new StreamSocket(socket, 'anonymous'), known);
      socket.resume();
    });
  }
  const common = { ...VERSIONS, handshakeTimeout: handshakeMs, honorCipherOrder: true, noDelay: true };
  const options: Tls.TlsOptions =
    'keys' in trust
      ? {
          ...common,
          ciphers: KEY_CIPHERS,
          pskCallback: (socket, identity) => {
            names.set(socket, identity);
            return trust.keys.get(identity) ?? null;
          },
        }
      : {
          ...common,
          ciphers: CIPHERS,
          cert: trust.certificate,
          key: trust.key,
          ca: trust.authority,
          requestCert: true,
          rejectUnauthorized: true,
        };
  /** Those that shake hands, by their address. */
  const shaking = new Map<string, () => void>();
  const server = tls().createServer(options, (socket) => {
    const known = shaking.get(addressOf(socket)) ?? ignore;
    const { intake, begin } = place.accept();
    const direct = turnDirect(socket, intake);
    attach(socket, intake, direct);
    if (direct) socket.resume();
    const name = 'keys' in trust ? (names.get(socket) ?? '') : commonName(socket);
    begin(new StreamSocket(socket, name), known);
  });
  // Before the server's own listener, which takes the connection away from its socket.
  server.prependListener('connection', (socket: Net.Socket) => {
    const address = addressOf(socket);
    const leave = crowd.join(() => socket.destroy());
    const known = (): void => {
      leave();
      if (shaking.get(address) === known) shaking.delete(address);
    };
    shaking.set(address, known);
    socket.once('close', known);
  });
  server.on('tlsClientError', (_error, socket) => {
    place.refused('tls');
    socket.destroy();
  });
  return server;
}

/** Listens. Throws DK_CONFIG when it may not be without TLS there, DK_IO when the system refuses. */
export async function listenSocket(place: Place): Promise<ListeningSocket> {
  const crowd = new Crowd(crowdMax(place.connectionsMax), () => place.refused('crowd'));
  const server = startServer(place, new WeakMap(), crowd);
  server.maxConnections = place.connectionsMax;
  server.on('drop', () => place.refused('connections'));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const text = `cannot listen on ${place.host}:${place.port}: ${error.message}`;
      reject(new DiffKeeperError('DK_IO', text, {}, error));
    });
    server.listen({ host: place.host, port: place.port }, resolve);
  });
  server.on('error', ignore);
  const bound = server.address() as Net.AddressInfo;
  if ('plaintext' in place.trust && !isLoopback(bound.address)) {
    server.close();
    throw new DiffKeeperError('DK_CONFIG', `without TLS only loopback may be listened on, not ${bound.address}`);
  }
  const close = (): void => {
    server.close();
    crowd.end();
  };
  return { host: bound.address, port: bound.port, close };
}
