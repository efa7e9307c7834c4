/** A pair of sessions in memory, with the contract of the transport: questions, blobs, cuts, damage, figures. */
import { setMaxListeners } from 'node:events';
import { DiffKeeperError, isDiffKeeperError } from '../../src/core/core.js';
import type { BlobOffer, BlobSink, BlobSource, Peer, Session, SessionFigures } from '../../src/transport/transport.js';

const MESSAGE_BYTES_MAX = 1 << 20;

export interface LinkRules {
  readonly rights?: Peer['rights'];
  /** Name of the client, as the server sees it. */
  readonly name?: string;
  /** Called with each message, before it arrives: `request`, `answer` or `blob`; may throw, may change the bytes. */
  readonly onMessage?: (kind: 'request' | 'answer' | 'blob', verb: string, bytes: Buffer) => Buffer | undefined;
}

/** What went over a pair, both ways. */
export class LinkCount {
  questions = 0;
  messageBytes = 0;
  blobBytes = 0;
  blobs = 0;
  readonly verbs: string[] = [];
}

type Handler = Parameters<Session['onRequest']>[1];
type Open = Parameters<Session['onBlob']>[1];

const NO_FIGURES: SessionFigures = {
  sentBytes: 0,
  resentBytes: 0,
  receivedBytes: 0,
  openStreams: 0,
  activeStreams: 0,
  lostStreams: 0,
  inFlightBytes: 0,
  windowBytes: 0,
  latencyMs: 0,
  sentPerSecond: 0,
  receivedPerSecond: 0,
  roundTripMs: 0,
  congestionWindowBytes: 0,
  segments: 0,
  retransmits: 0,
};

class MemorySession implements Session {
  readonly figures = NO_FIGURES;
  readonly granted = 'admin';
  readonly version = 1;
  readonly peer: Peer;
  readonly closed: Promise<void>;
  other!: MemorySession;
  readonly #rules: LinkRules;
  readonly #count: LinkCount;
  readonly #handlers = new Map<string, Handler>();
  readonly #services = new Map<string, Open>();
  readonly #sinks = new Set<BlobSink>();
  readonly #gone = new AbortController();
  #settle: (reason?: Error) => void = () => {};
  #reason: Error | null = null;

  constructor(peer: Peer, rules: LinkRules, count: LinkCount) {
    this.peer = peer;
    this.#rules = rules;
    this.#count = count;
    setMaxListeners(0, this.#gone.signal);
    this.closed = new Promise((resolve, reject) => {
      this.#settle = (reason) => (reason ? reject(reason) : resolve());
    });
    this.closed.catch(() => {});
  }

  #assertOpen(): void {
    if (this.#reason) throw this.#reason;
  }

  /** Rejects when the session ends before the work does. */
  #whileOpen<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(this.#reason ?? new DiffKeeperError('DK_CONNECTION', 'the session ended'));
      const aborted = (): void => reject(new DiffKeeperError('DK_ABORTED', 'aborted'));
      if (signal?.aborted) return aborted();
      this.#gone.signal.addEventListener('abort', gone, { once: true });
      signal?.addEventListener('abort', aborted, { once: true });
      work.then(resolve, reject).finally(() => this.#gone.signal.removeEventListener('abort', gone));
    });
  }

  #pass(kind: 'request' | 'answer' | 'blob', verb: string, bytes: Buffer): Buffer {
    try {
      return this.#rules.onMessage?.(kind, verb, bytes) ?? bytes;
    } catch (error) {
      this.destroy(error as Error);
      throw error;
    }
  }

  async request(verb: string, body: Uint8Array, options: { readonly signal?: AbortSignal } = {}): Promise<Buffer> {
    this.#assertOpen();
    if (body.length > MESSAGE_BYTES_MAX) throw new RangeError(`a question of ${body.length} bytes`);
    this.#count.questions += 1;
    this.#count.verbs.push(verb);
    const sent = this.#pass('request', verb, Buffer.from(body));
    this.#count.messageBytes += sent.length;
    const answer = await this.#whileOpen(this.other.answer(verb, sent, options.signal), options.signal);
    if (answer.length > MESSAGE_BYTES_MAX) throw new RangeError(`an answer of ${answer.length} bytes`);
    const come = this.#pass('answer', verb, Buffer.from(answer));
    this.#count.messageBytes += come.length;
    return come;
  }

  async answer(verb: string, body: Buffer, signal: AbortSignal | undefined): Promise<Buffer> {
    await new Promise((resolve) => setImmediate(resolve));
    const handler = this.#handlers.get(verb);
    if (!handler) throw new DiffKeeperError('DK_PROTOCOL', `nobody answers ${verb}`);
    const ends = signal ? AbortSignal.any([signal, this.#gone.signal]) : this.#gone.signal;
    try {
      return Buffer.from(await handler(body, { signal: ends }));
    } catch (error) {
      // As over a wire: code and message arrive, nothing else.
      if (isDiffKeeperError(error)) throw new DiffKeeperError(error.code, error.message);
      throw new DiffKeeperError('DK_PROTOCOL', String(error));
    }
  }

  async ping(): Promise<number> {
    this.#assertOpen();
    return 0;
  }

  onRequest(verb: string, handler: Handler): void {
    this.#handlers.set(verb, handler);
  }

  async send(blob: BlobSource): Promise<Buffer> {
    this.#assertOpen();
    const bytes = Buffer.alloc(blob.size);
    await blob.read(0, bytes);
    const come = this.#pass('blob', blob.service, bytes);
    this.#count.blobBytes += come.length;
    this.#count.blobs += 1;
    const { service, key, size, meta = Buffer.alloc(0) } = blob;
    return this.#whileOpen(this.other.take({ service, key, size, meta, peer: this.other.peer }, come));
  }

  async take(offer: BlobOffer, bytes: Buffer): Promise<Buffer> {
    await new Promise((resolve) => setImmediate(resolve));
    const open = this.#services.get(offer.service);
    if (!open) throw new DiffKeeperError('DK_PROTOCOL', `nobody takes ${offer.service}`);
    const sink = await open(offer, this.#gone.signal);
    if (!sink) return Buffer.alloc(0);
    this.#sinks.add(sink);
    try {
      // In two pieces, the second one first: streams keep no order.
      const middle = bytes.length >> 1;
      await sink.write(middle, bytes.subarray(middle));
      await sink.write(0, bytes.subarray(0, middle));
      return (await sink.finish()) ?? Buffer.alloc(0);
    } finally {
      this.#sinks.delete(sink);
    }
  }

  onBlob(service: string, open: Open): void {
    this.#services.set(service, open);
  }

  async close(): Promise<void> {
    this.#end(null);
    this.other.#end(null);
  }

  destroy(reason: Error): void {
    this.#end(reason);
    this.other.#end(new DiffKeeperError('DK_CONNECTION', 'the other side is gone'));
  }

  #end(reason: Error | null): void {
    if (this.#gone.signal.aborted) return;
    this.#reason = reason ?? new DiffKeeperError('DK_CONNECTION', 'the session was closed');
    this.#gone.abort();
    this.#settle(reason ?? undefined);
    for (const sink of this.#sinks) void sink.abort(this.#reason);
  }
}

/** Two ends: what the client asks, the server's handlers answer, and the other way round. */
export function memoryPair(rules: LinkRules = {}): { client: Session; server: Session; count: LinkCount } {
  const count = new LinkCount();
  const address = 'memory';
  const client = new MemorySession({ name: 'server', address, rights: 'admin' }, rules, count);
  const { name = 'anonymous', rights = 'append' } = rules;
  const server = new MemorySession({ name, address, rights }, rules, count);
  client.other = server;
  server.other = client;
  return { client, server, count };
}
