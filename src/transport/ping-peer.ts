/** Whether a listener is there and lets us in, and how far away it is. */
import { DiffKeeperError } from '../core/core.js';
import { connect } from './connect.js';
import { checkPeerTrust, parsePeerAddress } from './peer-address.js';
import type { LinkOptions, Rights } from './types.js';

export interface PingOptions {
  /** Trust and limits; `handshakeMs` (10 s) is the time for each step. */
  readonly link: LinkOptions;
  readonly signal?: AbortSignal;
}

export interface PingReport {
  readonly host: string;
  readonly port: number;
  /** Its name, as its certificate or key says; `anonymous` without protection. */
  readonly name: string;
  /** Version of the protocol that both sides speak. */
  readonly version: number;
  /** What we may do there. */
  readonly rights: Rights;
  /** From the first packet to the end of the handshake, ms. */
  readonly connectMs: number;
  /** A question and its answer in the open session, ms. */
  readonly roundTripMs: number;
}

/**
 * Opens a session with a listener, asks one question, and closes it.
 *
 * @throws DK_CONNECTION when nobody answers (in time), DK_REFUSED, DK_LIMIT when it has too many sessions, DK_PROTOCOL,
 * DK_CONFIG, DK_ABORTED
 */
export async function pingPeer(url: string, { link, signal }: PingOptions): Promise<PingReport> {
  const address = parsePeerAddress(url);
  checkPeerTrust(url, address, link.trust);
  const { host, port } = address;
  const startMs = performance.now();
  const streams = { minimum: 1, maximum: 1, initial: 1 };
  const session = await connect({ host, port }, { ...link, streams, ...(signal && { signal }) });
  const connectMs = performance.now() - startMs;
  const late = new DiffKeeperError('DK_CONNECTION', 'no answer in time');
  const timer = setTimeout(() => session.destroy(late), link.handshakeMs ?? 10_000);
  const onAbort = (): void => session.destroy(new DiffKeeperError('DK_ABORTED', 'the ping was aborted'));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const roundTripMs = await session.ping();
    const { version, granted: rights, peer } = session;
    // It has answered: how the session ends changes nothing.
    await session.close().catch(() => {});
    return { host, port, name: peer.name, version, rights, connectMs, roundTripMs };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
