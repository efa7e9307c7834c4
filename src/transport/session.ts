/** A session: one control stream and data streams, whichever side opened it. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import type { BlobDigests } from './blob-digests.js';
import { paysEarly } from './early-pieces.js';
import { FRAME, type FrameType } from './frame.js';
import type { Frame } from './frame-reader.js';
import { Inbox } from './inbox.js';
import { KeepAlive, SILENT_INTERVALS_MAX } from './keep-alive.js';
import type { Link } from './link.js';
import { decodeStreams, encodeNumber } from './messages.js';
import { Outbox } from './outbox.js';
import { Pings } from './pings.js';
import { RateLimit } from './rate-limit.js';
import { type ControlSend, RequestDesk, type RequestHandler } from './request-desk.js';
import { type FrameTakers, routeFrame } from './route-frame.js';
import { SessionMeter } from './session-meter.js';
import type { SessionSettings } from './session-settings.js';
import { firstStreams, StreamCount } from './stream-count.js';
import { StreamSet } from './stream-set.js';
import type { BlobSource, Peer, Rights, SendOptions, Session, SessionFigures } from './types.js';
import { asSessionError, notOpen } from './wire-error.js';

/** How often late pieces and silence are looked for. */
const TEND_MS = 50;
const LINGER_MS = 2000;
/** When the control stream is gone, data that is on its way already is still taken for this long. */
const DRAIN_MS = 1000;

export interface SessionParts {
  readonly settings: SessionSettings;
  readonly control: Link;
  readonly peer: Peer;
  /** What this side may do at the other one. */
  readonly granted: Rights;
  readonly version: number;
  readonly digests: BlobDigests;
  /** What the other side lets us have under way. */
  readonly sendWindowBytes: number;
  /** Most data streams that both sides take. */
  readonly streamsMax: number;
  /** Makes this many data streams; the side that listens asks the other one. */
  readonly openStreams?: (count: number) => void;
}

export class TransportSession implements Session {
  readonly peer: Peer;
  readonly granted: Rights;
  readonly version: number;
  readonly closed: Promise<void>;
  readonly #parts: SessionParts;
  readonly #control: Link;
  readonly #streams: StreamSet;
  readonly #count: StreamCount;
  readonly #takers: FrameTakers;
  readonly #alive: KeepAlive;
  readonly #meter: SessionMeter;
  readonly #timer: NodeJS.Timeout;
  #settle: { resolve(): void; reject(reason: unknown): void } = { resolve: () => {}, reject: () => {} };
  #state: 'open' | 'closing' | 'asked' | 'over' = 'open';
  /** Over, but data streams are read to their ends, so that it need not be sent again. */
  #draining: DiffKeeperError | undefined;
  /** The other side wants to close and waits for us. */
  #peerCloses = false;

  constructor(parts: SessionParts) {
    const { settings, control, peer, digests, sendWindowBytes, version } = parts;
    this.#parts = parts;
    this.peer = peer;
    this.granted = parts.granted;
    this.version = version;
    this.#control = control;
    this.closed = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever wants to know awaits it; the others learn it from what they wait for.
    this.closed.catch(() => {});
    const send: ControlSend = (type, payload, fields, done) => control.send(type, payload, fields, done);
    this.#streams = new StreamSet(control, Math.min(parts.streamsMax, firstStreams(settings.streams, control)));
    const { pool, clock, windowBytes } = settings;
    const limit = new RateLimit(settings.rateLimit, clock);
    const silenceMs = SILENT_INTERVALS_MAX * settings.keepaliveMs;
    const sending = { streams: this.#streams, windowBytes: sendWindowBytes, early: paysEarly(version, control) };
    const outbox = new Outbox({ digests, pool, clock, control: send, limit, silenceMs, ...sending });
    const inbox = new Inbox({ digests, peer, version, windowBytes, control: send, fail: (error) => this.#end(error) });
    this.#takers = { outbox, inbox, desk: new RequestDesk(send, version), pings: new Pings(clock, send) };
    const streams = this.#streams;
    this.#meter = new SessionMeter({ streams, outbox, inbox, windowBytes: sendWindowBytes, clock });
    this.#count = new StreamCount({ settings, streams, outbox, maximum: parts.streamsMax });
    this.#alive = new KeepAlive(settings.keepaliveMs, clock, () => this.#takers.pings.ask());
    control.tune({ userTimeoutMs: silenceMs });
    control.enter('control', digests);
    control.onFrame = (frame) => this.#dispatch(frame);
    control.onClosed = (error) => this.#controlClosed(error);
    this.#timer = setInterval(() => this.#tend(), TEND_MS);
    this.#timer.unref();
  }

  get figures(): SessionFigures {
    return this.#meter.figures;
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  get streamsWanted(): number {
    return this.#streams.wanted;
  }

  /** A data stream has joined. */
  addStream(link: Link): void {
    if (this.over) {
      link.destroy();
      return;
    }
    link.enter('data', this.#parts.digests);
    link.onFrame = (frame) => this.#dispatchData(frame);
    link.onClosed = () => this.#streamLost(link);
    this.#streams.add(link);
    this.#count.tune(link);
    this.#takers.outbox.streamAdded();
  }

  /** The join of a data stream is under way: it may carry an early piece. */
  lend(link: Link): void {
    this.#count.tune(link);
    this.#streams.lend(link, this.#parts.settings.clock.steadyMs());
    this.#takers.outbox.streamAdded();
  }

  unlend(link: Link): void {
    if (this.#streams.unlend(link) && !this.over) this.#takers.outbox.linkLost(link);
  }

  #streamLost(link: Link): void {
    this.#streams.remove(link);
    if (this.#draining !== undefined && this.#streams.links.length === 0) this.#drained(this.#draining);
    if (this.over) return;
    this.#takers.outbox.linkLost(link);
    this.#parts.openStreams?.(this.#streams.wanted);
  }

  request(verb: string, body: Uint8Array, options: { readonly signal?: AbortSignal } = {}): Promise<Buffer> {
    if (this.#state !== 'open') return Promise.reject(notOpen());
    return this.#takers.desk.request(verb, body, options.signal).finally(() => this.#checkClosing());
  }

  onRequest(verb: string, handler: RequestHandler): void {
    this.#takers.desk.onRequest(verb, handler);
  }

  send(blob: BlobSource, options: SendOptions = {}): Promise<Buffer> {
    if (this.#state !== 'open') return Promise.reject(notOpen());
    return this.#takers.outbox.send(blob, options).finally(() => this.#checkClosing());
  }

  onBlob(service: string, open: Parameters<Session['onBlob']>[1]): void {
    this.#takers.inbox.onBlob(service, open);
  }

  ping(): Promise<number> {
    return this.#state === 'open' ? this.#takers.pings.measure() : Promise.reject(notOpen());
  }

  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#checkClosing();
    }
    return this.closed;
  }

  destroy(reason: Error): void {
    this.#end(reason);
  }

  /** Asks to close, or agrees to it, once nothing of ours is open. */
  #checkClosing(): void {
    if (this.over || this.#takers.outbox.openBlobs > 0 || this.#takers.desk.open > 0) return;
    if (this.#state === 'closing') {
      this.#state = 'asked';
      this.#control.send(FRAME.close);
    }
    if (!this.#peerCloses) return;
    this.#control.send(FRAME.closed);
    this.#end(undefined);
  }

  #tend(): void {
    const links = [this.#control, ...this.#streams.links];
    const failure = this.#alive.look(links);
    if (failure !== undefined) {
      this.#end(failure);
      return;
    }
    this.#meter.look();
    for (const link of this.#takers.outbox.tend()) {
      link.destroy(new DiffKeeperError('DK_CONNECTION', 'a stream stood still'));
    }
    // Those that stand by tell nothing about the way.
    const wanted = this.#count.look(links.slice(0, 1 + this.#streams.active));
    if (wanted === undefined) return;
    if (this.#parts.openStreams !== undefined) this.#parts.openStreams(wanted);
    else this.#control.send(FRAME.streams, encodeNumber(Math.min(wanted, LIMITS.streams)));
  }

  #controlClosed(error: Error | undefined): void {
    const reason = asSessionError(error ?? new DiffKeeperError('DK_CONNECTION', 'the other side ended the connection'));
    const { links } = this.#streams;
    // A broken rule ends everything; a broken connection leaves what the other streams still bring.
    if (!this.over && reason.code === 'DK_CONNECTION' && this.#takers.inbox.openBlobs > 0 && links.length > 0) {
      this.#draining = reason;
      setTimeout(() => this.#drained(reason), DRAIN_MS).unref();
    }
    this.#end(reason);
  }

  #drained(reason: DiffKeeperError): void {
    if (this.#draining === undefined) return;
    this.#draining = undefined;
    for (const link of [...this.#streams.links]) link.destroy(reason);
    this.#takers.inbox.fail(reason);
  }

  #dispatchData(frame: Frame): void {
    if (this.over && this.#draining === undefined) {
      frame.release();
      return;
    }
    try {
      if (frame.type === FRAME.data) this.#takers.inbox.piece(frame);
      else this.#takers.inbox.single(frame);
    } catch (error) {
      // What is wrong with a piece is wrong with the session: the stream only carried it.
      this.#end(error);
      if (this.#draining !== undefined) this.#drained(asSessionError(error));
    }
  }

  #dispatch(frame: Frame): void {
    if (this.over) {
      frame.release();
      return;
    }
    if (frame.type === FRAME.data || frame.type === FRAME.blob) {
      this.#dispatchData(frame);
      return;
    }
    try {
      const body = routeFrame(frame, this.#takers);
      if (body !== undefined) this.#takeManagement(frame.type, body);
      frame.release();
    } catch (error) {
      this.#end(error);
    }
  }

  #takeManagement(type: FrameType, body: Buffer): void {
    switch (type) {
      case FRAME.streams:
        this.#parts.openStreams?.(Math.min(decodeStreams(body), this.#parts.streamsMax));
        break;
      case FRAME.close:
        this.#peerCloses = true;
        if (this.#state === 'open') this.#state = 'closing';
        this.#checkClosing();
        break;
      case FRAME.closed:
        if (this.#state !== 'asked') throw new DiffKeeperError('DK_PROTOCOL', 'closed without being asked');
        this.#end(undefined);
        break;
      default:
        throw new DiffKeeperError('DK_PROTOCOL', `a frame of type ${type} does not belong here`);
    }
  }

  /** @param reason undefined: in order */
  #end(reason: unknown): void {
    if (this.over) return;
    this.#state = 'over';
    clearInterval(this.#timer);
    const failure = reason === undefined ? notOpen() : asSessionError(reason);
    for (const link of this.#draining === undefined ? [...this.#streams.links, this.#control] : []) {
      if (reason !== undefined) link.destroy(failure);
      else {
        link.end();
        // The other side closes as well; one that does not must not keep the connection.
        setTimeout(() => link.destroy(), LINGER_MS).unref();
      }
    }
    this.#takers.outbox.fail(failure);
    this.#takers.desk.fail(failure);
    this.#takers.pings.fail(failure);
    if (this.#draining === undefined) this.#takers.inbox.fail(failure);
    if (reason === undefined) this.#settle.resolve();
    else this.#settle.reject(failure);
  }
}
