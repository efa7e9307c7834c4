/** Stores on other machines: push to them, pull from them, serve them, follow them. */
import { DiffKeeperError, type Logger, silentLogger } from '../core/core.js';
import type { Store } from '../store/store.js';
import {
  connect,
  type LinkOptions,
  type Listener,
  listen,
  type PeerAddress,
  parsePeerAddress,
  type Rights,
  type ServeLinkOptions,
  type Session,
} from '../transport/transport.js';
import { Follower } from './follow.js';
import { StoreHost } from './host.js';
import { pullOver, pushOver } from './push-pull.js';
import type { SyncOptions, SyncReport } from './types.js';

export interface RemoteOptions extends SyncOptions {
  readonly link: LinkOptions;
}

export interface ServeOptions {
  /** Interface to listen on. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly link: ServeLinkOptions;
  /** What a peer of this name may do; undefined sends it away. Default: everybody who is trusted may append. */
  readonly authorize?: (name: string) => Rights | undefined;
  readonly logger?: Logger;
  /** Told of each run that brought checkpoints. */
  readonly onPushed?: (peer: string, report: SyncReport) => void;
}

export interface StoreServer {
  readonly host: string;
  readonly port: number;
  /** Ends all sessions and waits for what is being written. The store stays open. */
  close(): Promise<void>;
}

/** `tls://HOST[:PORT]`, or `tcp://HOST[:PORT]` without protection. Throws DK_CONFIG. */
function storeAddress(url: string): Omit<PeerAddress, 'path'> {
  const { path, ...address } = parsePeerAddress(url);
  if (path === '') return address;
  const message = `address "${url}": a server has one store, expected nothing after the port`;
  throw new DiffKeeperError('DK_CONFIG', message, { name: 'address', actual: url });
}

/** @throws DK_CONFIG when the address and the trust do not fit */
async function reach(url: string, link: LinkOptions, signal: AbortSignal | undefined): Promise<Session> {
  const { host, port, secure } = storeAddress(url);
  const plain = 'plaintext' in link.trust;
  if (secure === plain) {
    const what = secure ? 'needs certificates or a key' : 'is plaintext, which has to be asked for';
    throw new DiffKeeperError('DK_CONFIG', `${url} ${what}`, { name: 'trust' });
  }
  return connect({ host, port }, { ...link, ...(signal && { signal }) });
}

async function over(
  url: string,
  { link, ...options }: RemoteOptions,
  run: (session: Session, options: SyncOptions) => Promise<SyncReport>,
): Promise<SyncReport> {
  const session = await reach(url, link, options.signal);
  session.closed.catch(() => {});
  let report: SyncReport;
  try {
    report = await run(session, options);
  } catch (error) {
    session.destroy(new DiffKeeperError('DK_CONNECTION', 'the run has failed'));
    throw error;
  }
  // All is done and durable: how the session ends changes nothing.
  await session.close().catch(() => {});
  return report;
}

/**
 * Gives a served store what it lacks of this one. What arrived is kept when the run ends early, and not sent again.
 *
 * @throws DK_REPLICA when it follows another store or has another writer, DK_DIVERGED when it went its own way,
 * DK_REFUSED, DK_CONNECTION, DK_CONFIG, DK_ABORTED, DK_UNSUPPORTED for schema 1
 */
export function pushStore(store: Store, url: string, options: RemoteOptions): Promise<SyncReport> {
  return over(url, options, (session, own) => pushOver(store, session, own));
}

/** Takes from a served store what this one lacks. Throws as `pushStore`. */
export function pullStore(store: Store, url: string, options: RemoteOptions): Promise<SyncReport> {
  return over(url, options, (session, own) => pullOver(store, session, own));
}

/** Serves a store to others until it is closed. Throws DK_CONFIG, DK_IO, RangeError, DK_UNSUPPORTED for schema 1. */
export async function serveStore(store: Store, options: ServeOptions): Promise<StoreServer> {
  const { link, host, port, authorize, logger = silentLogger, onPushed } = options;
  const served = new StoreHost(store, { logger, ...(onPushed && { onPushed }) });
  const listener: Listener = await listen({
    ...link,
    host,
    port,
    logger,
    ...(authorize && { authorize }),
    onSession: (session) => {
      session.closed.catch((error: unknown) =>
        logger.debug({ peer: session.peer.name, error: String(error) }, 'session'),
      );
      served.attach(session);
    },
  });
  return {
    host: listener.host,
    port: listener.port,
    close: async () => {
      await listener.close();
      await served.idle();
    },
  };
}

/**
 * Follow mode: each checkpoint of this store arrives at the served one, from now until it is closed. Trouble is told by
 * `figures()` and logged, and tried again; whoever makes checkpoints never waits. Throws DK_CONFIG for a bad address.
 */
export function followStore(
  store: Store,
  url: string,
  { link, logger }: { readonly link: LinkOptions; readonly logger?: Logger },
): Follower {
  storeAddress(url);
  const connectTo = (signal: AbortSignal): Promise<Session> => reach(url, link, signal);
  return new Follower(store, { name: url, connect: connectTo, ...(logger && { logger }) });
}
