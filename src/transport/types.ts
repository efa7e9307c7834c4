/** What a session offers to the rooms above, and what it asks of them. */
import type { Clock, Logger } from '../core/core.js';

/** What a peer may do here: ask, send as well, or everything. */
export type Rights = 'read' | 'append' | 'admin';

/** Who the other side is, as its certificate or key says. */
export interface Peer {
  /** Name from the certificate (CN) or the name beside the pre-shared key; 'anonymous' on plain loopback. */
  readonly name: string;
  readonly address: string;
  /** What it may do here. */
  readonly rights: Rights;
}

/**
 * What the bytes of a blob are checked by when all are there. `blake3`: nobody can make others with the same digest. `xxh3`: a
 * quarter of the work and less; finds damage of every kind, and is no proof against who knows the session.
 */
export type DigestKind = 'blake3' | 'xxh3';

/** Bytes that are sent as one: a state message, a batch of records, a file. */
export interface BlobSource {
  /** Which service of the receiver it is for, at most 64 bytes of ASCII: 'state', 'records', 'file'. */
  readonly service: string;
  /** Names the bytes for resuming: equal keys mean equal bytes. At most 255 bytes. */
  readonly key: Buffer;
  readonly size: number;
  /** BLAKE3 of the bytes when it is known; else the sender hashes while it reads and says it at the end. */
  readonly digest?: Buffer;
  /** For the sink; at most 64 KiB. */
  readonly meta?: Buffer;
  /** Fills `into` from `offset` on; fewer bytes only at the end. Called from several streams at once, in any order. */
  read(offset: number, into: Buffer): Promise<number>;
  /** The bytes themselves, where they are in memory and will not change: saves a copy. */
  view?(offset: number, length: number): Buffer;
}

export interface BlobOffer {
  readonly service: string;
  readonly key: Buffer;
  readonly size: number;
  /** BLAKE3 of the bytes, when the sender knew it at once. */
  readonly digest?: Buffer;
  readonly meta: Buffer;
  readonly peer: Peer;
}

/** Where a received blob goes. Nothing is visible before `finish`. */
export interface BlobSink {
  /** Stretches that are here already (from an earlier session): `[offset, length]`, ascending. Default none. */
  readonly have?: readonly (readonly [number, number])[];
  /** Reads back what is here already, to check its digest; needed with `have`. Fills all of `into`. */
  read?(offset: number, into: Buffer): Promise<void>;
  /** In any order, from several streams; `bytes` may be reused once it resolves. */
  write(offset: number, bytes: Buffer): Promise<void>;
  /**
   * All bytes are here and the digest is right: make them durable and visible. Only then the sender is told. Its answer
   * (at most 64 KiB) travels back.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async function without an answer is a sink, too
  finish(): Promise<Buffer | void>;
  /**
   * Called when no write is under way any more. `DK_DIGEST_MISMATCH`: nothing of it may be kept. Any other reason: what is here may
   * be listed as `have` next time.
   */
  abort(reason: Error): Promise<void>;
}

export interface SendOptions {
  /**
   * What the other side checks the bytes by, unless their BLAKE3 is known. Default: what the sender was told; of a bare session
   * `blake3`. Where the other side takes nothing else, it is that as well.
   */
  readonly digest?: DigestKind;
  readonly signal?: AbortSignal;
  /** Called as the other side takes bytes over; `bytes` counts those it had already. */
  readonly onProgress?: (bytes: number, size: number) => void;
}

/** What a session has done so far. */
export interface SessionFigures {
  /** Payload of data frames, and how much of it was sent again because a stream died, stalled or lagged. */
  readonly sentBytes: number;
  readonly resentBytes: number;
  readonly receivedBytes: number;
  /** Bytes a second each way, averaged over the last seconds. */
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  /** Data streams that are connected, and how many of them are in use. */
  readonly openStreams: number;
  readonly activeStreams: number;
  /** Data streams that died before the session ended. */
  readonly lostStreams: number;
  /** Sent and not yet taken over by the other side. */
  readonly inFlightBytes: number;
  readonly windowBytes: number;
  /** Smoothed time from sending a piece to its being taken over, ms. */
  readonly latencyMs: number;
  /** Smallest round trip that the kernel saw on a data stream, ms; 0 where it does not tell. */
  readonly roundTripMs: number;
  /** What the kernel lets be under way, bytes, and segments sent and sent again: sums over open data streams. */
  readonly congestionWindowBytes: number;
  readonly segments: number;
  readonly retransmits: number;
}

export interface Session {
  readonly peer: Peer;
  /** What this side may do at the other one. */
  readonly granted: Rights;
  /** Of the protocol, as both sides agreed. */
  readonly version: number;
  readonly figures: SessionFigures;
  /** Settles when the session is over; rejects with the reason unless it was closed in order. */
  readonly closed: Promise<void>;
  /**
   * One question on the control stream, at most `LIMITS.controlMessageBytes` each way. Rejects with the other side's
   * typed error (its code is kept when it is one of ours, else DK_REMOTE), DK_CONNECTION, DK_ABORTED.
   */
  request(verb: string, body: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<Buffer>;
  /** Answers questions; one handler per verb. Handlers run side by side, bounded. */
  onRequest(
    verb: string,
    handler: (body: Buffer, context: { readonly signal: AbortSignal }) => Promise<Uint8Array>,
  ): void;
  /**
   * Sends one blob; resolves with the sink's answer once the receiver has it durable. Many at once; bounded by the
   * session's window. A blob of up to half a frame travels in a single frame without a round trip.
   */
  send(blob: BlobSource, options?: SendOptions): Promise<Buffer>;
  /**
   * Receives blobs of a service; null refuses it as already here (the sender's `send` resolves). The signal ends what
   * `open` waits for: the blob was given up, or the session is over.
   */
  onBlob(service: string, open: (offer: BlobOffer, signal: AbortSignal) => Promise<BlobSink | null>): void;
  /** Milliseconds from asking the other side for a sign of life to its answer. Rejects with DK_CONNECTION. */
  ping(): Promise<number>;
  /** Ends in order: everything sent is acknowledged. */
  close(): Promise<void>;
  destroy(reason: Error): void;
}

/** How the two sides know each other. */
export type Trust =
  /** No protection at all: refused unless both ends are this machine's loopback. */
  | { readonly plaintext: true }
  /** TLS 1.3, certificates on both sides; PEM. Peers are named by the CN of their certificate. */
  | { readonly certificate: string; readonly key: string; readonly authority: string }
  /** TLS 1.3 with pre-shared keys of at least 16 bytes, by name. A client has exactly one. */
  | { readonly keys: ReadonlyMap<string, Buffer> };

/** How many data streams; `minimum` to `maximum` by measurement, equal numbers fix it. */
export interface StreamRules {
  /** Default 1. */
  readonly minimum?: number;
  /** Default 64, at most 256. */
  readonly maximum?: number;
  /** Default 4, or by the round trip of the first connection: 8 from 40 ms on, 16 from 60 ms on. */
  readonly initial?: number;
  /** Factor of a step up, default 2. */
  readonly scaling?: number;
}

export interface SessionOptions {
  readonly trust: Trust;
  readonly streams?: StreamRules;
  /** Bytes a second that this side sends in all, over all streams; default no limit. */
  readonly rateLimit?: number;
  /** Sent and not yet taken over, which the other side may have of us; default 64 MiB. */
  readonly windowBytes?: number;
  /** Time for connecting and greeting, default 10 s. */
  readonly handshakeMs?: number;
  /** After this much silence the other side is asked for a sign, default 15 s; after three of it the session ends. */
  readonly keepaliveMs?: number;
  /** Congestion control that is asked for, default `bbr`, on loopback `reno`; ignored where the system has not got it. */
  readonly congestion?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** How the other machine is reached: who is trusted, streams, limits. */
export interface LinkOptions extends SessionOptions {
  /** Name that the other side's certificate must carry; default the host. */
  readonly serverName?: string;
}

export interface ConnectOptions extends LinkOptions {
  readonly signal?: AbortSignal;
  /** Sets handlers before anything of the other side is looked at. */
  readonly prepare?: (session: Session) => void;
}

/** Who may come, streams, limits. */
export interface ServeLinkOptions extends SessionOptions {
  /**
   * Connections in all, default 1024; those over it are cut. Of those that have not greeted yet there are at most half,
   * and at most a quarter or 256, whichever is more: then the one that is silent longest is cut.
   */
  readonly connectionsMax?: number;
  /** Sessions at once, default 64. */
  readonly sessionsMax?: number;
  /** Of them for one name, default half; without TLS nobody has one. */
  readonly sessionsPerPeer?: number;
}

export interface ListenOptions extends ServeLinkOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What a peer of this name may do; undefined sends it away. Default: everybody who is known may append. */
  readonly authorize?: (name: string) => Rights | undefined;
  /** `blake3`: peers must use that for all that they send. Default: what they choose. */
  readonly digest?: DigestKind;
  /** Each new session. Handlers must be set before it returns. */
  readonly onSession: (session: Session) => void;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Sessions that are open. */
  readonly sessions: ReadonlySet<Session>;
  /** Connections that were sent away, by reason. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Takes no more connections, ends the sessions in order (at most `graceMs`, default 5 s). */
  close(graceMs?: number): Promise<void>;
}
