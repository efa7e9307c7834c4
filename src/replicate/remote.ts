/** Stores on other machines: push to them, pull from them, serve them, follow them. */
import { DiffKeeperError, type Logger, silentLogger } from '../core/core.js';
import type { Store } from '../store/store.js';
import {
  CountedListener,
  checkPeerTrust,
  closeSoon,
  connect,
  type LinkOptions,
  type PeerAddress,
  parsePeerAddress,
  type Rights,
  type ServeLinkOptions,
  type Session,
  type TransportTotals,
} from '../transport/transport.js';
import { Follower } from './follow.js';
import { StoreHost } from './host.js';
import { pullOver, pushOver } from './push-pull.js';
import type { Traffic } from './traffic.js';
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
  /**
   * Where metrics (`diffkeeper_transport_*` and the newest checkpoint), status and health are served over HTTP: `HOST:PORT`,
   * or `unix:PATH`. Default nowhere.
   */
  readonly metricsAddress?: string;
  /** Told of each run that brought checkpoints. */
  readonly onPushed?: (peer: string, report: SyncReport) => void;
}

export interface StoreServer {
  readonly host: string;
  readonly port: number;
  /** Where metrics and health are served, with the port that it took; undefined: nowhere. */
  readonly metricsAddress: string | undefined;
  /** What its sessions did. */
  readonly totals: TransportTotals;
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
  checkPeerTrust(url, { secure }, link.trust);
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
  await closeSoon(session);
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

function newestOf({ newest }: Store): object | null {
  return newest && { sequence: newest.sequence, timeMs: newest.timeMs, tag: newest.tag };
}

/** Serves a store to others until it is closed. Throws DK_CONFIG, DK_IO, RangeError, DK_UNSUPPORTED for schema 1. */
export async function serveStore(store: Store, options: ServeOptions): Promise<StoreServer> {
  const { link, host, port, authorize, logger = silentLogger, onPushed, metricsAddress } = options;
  const served = new StoreHost(store, { logger, ...(onPushed && { onPushed }) });
  const listener = await CountedListener.open({
    ...link,
    // Blobs of a store go by BLAKE3 in both directions.
    digest: 'blake3',
    host,
    port,
    logger,
    ...(authorize && { authorize }),
    ...(metricsAddress !== undefined && { metricsAddress }),
    define: (set) => {
      set.gauge('checkpoint_sequence', 'Number of the newest checkpoint; 0: none.', () => store.newest?.sequence ?? 0);
      const since = 'When the newest checkpoint was committed at its source; 0: none.';
      set.gauge('checkpoint_timestamp_seconds', since, () => (store.newest?.timeMs ?? 0) / 1000);
    },
    describe: () => ({ store: { path: store.path, id: store.id }, newest: newestOf(store) }),
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
    metricsAddress: listener.metricsAddress,
    get totals() {
      return listener.totals;
    },
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
  return followCounted(store, url, { link, ...(logger && { logger }) });
}

/** As `followStore`; `traffic` counts what its sessions do, beside those of other followers. */
export function followCounted(
  store: Store,
  url: string,
  { link, logger, traffic }: { readonly link: LinkOptions; readonly logger?: Logger; readonly traffic?: Traffic },
): Follower {
  checkPeerTrust(url, storeAddress(url), link.trust);
  const connectTo = (signal: AbortSignal): Promise<Session> => reach(url, link, signal);
  return new Follower(store, {
    name: url,
    connect: traffic?.counted(connectTo) ?? connectTo,
    ...(logger && { logger }),
  });
}
