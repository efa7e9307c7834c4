/**
 * Everything that one side sends: blobs wait for a place, are cut into pieces as streams can take them, and are done
 * when the other side says so. Bounded by the other side's window and by the number of open blobs.
 */
import { DiffKeeperError, LIMITS, Semaphore, throwIfAborted } from '../core/core.js';
import { GROUP_BYTES } from './blob-digest.js';
import { checkBlob } from './check-blob.js';
import { EarlyShare } from './early-pieces.js';
import { FRAME } from './frame.js';
import { LateCare } from './late-care.js';
import type { Link } from './link.js';
import type { Ack } from './messages.js';
import { OutgoingBlob, type Piece } from './outgoing-blob.js';
import { chunkBytes, HedgeRule } from './piece-rules.js';
import { PieceShipper, type ShipperParts } from './piece-shipper.js';
import type { Range } from './ranges.js';
import type { ControlSend } from './request-desk.js';
import type { StreamSet } from './stream-set.js';
import type { BlobSource, SendOptions } from './types.js';
import { encodeError } from './wire-error.js';

export interface OutboxParts extends ShipperParts {
  /** Whether pieces are sent before their blob is accepted. */
  readonly early: boolean;
  readonly streams: StreamSet;
  /** What the other side lets us have under way. */
  readonly windowBytes: number;
  /** A data stream on which nothing moves for so long, although something should, is given up. */
  readonly silenceMs: number;
  readonly control: ControlSend;
}

const LOST_MS = 100;

export class Outbox {
  readonly #parts: OutboxParts;
  readonly #places = new Semaphore(LIMITS.openTransfers);
  readonly #open = new Map<number, OutgoingBlob>();
  /** Those with something to send, taking turns. */
  #ready: OutgoingBlob[] = [];
  #nextId = 1;
  #failure: DiffKeeperError | undefined;
  #rateTimer: NodeJS.Timeout | undefined;
  /** Reads and sends pieces, and counts them. */
  readonly shipper: PieceShipper;
  readonly #early: EarlyShare;
  readonly #late: LateCare;
  readonly hedge = new HedgeRule();
  inFlightBytes = 0;
  takenBytes = 0;
  /** When the other side last took something over. */
  #takenMs = 0;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#early = new EarlyShare(parts.early);
    this.shipper = new PieceShipper(parts, {
      free: () => this.pump(),
      hashed: (out) => this.#sendDigest(out),
      failed: (out, error) => this.#abort(out, error),
    });
    this.#late = new LateCare({ ...parts, hedge: this.hedge, shipper: this.shipper });
  }

  get openBlobs(): number {
    return this.#open.size;
  }

  /** Whether there is more to send than streams can take now: then their number is worth a thought. */
  get hungry(): boolean {
    return this.#ready.length > 0;
  }

  /** Whether the other side's window, not the streams, holds things up. */
  get windowFull(): boolean {
    return this.inFlightBytes >= this.#parts.windowBytes;
  }

  async send(blob: BlobSource, options: SendOptions): Promise<Buffer> {
    checkBlob(blob);
    return this.#places.run(async () => {
      throwIfAborted(options.signal);
      if (this.#failure !== undefined) throw this.#failure;
      let stop = (): void => {};
      try {
        return await new Promise<Buffer>((resolve, reject) => {
          const digestKind = this.#parts.digests.kindOf(blob, options.digest);
          const out = new OutgoingBlob(this.#nextId, { blob, digestKind, options }, { resolve, reject });
          this.#nextId += 1;
          this.#open.set(out.id, out);
          const onAbort = (): void => this.#abort(out, new DiffKeeperError('DK_ABORTED', 'sending was aborted'));
          options.signal?.addEventListener('abort', onAbort, { once: true });
          stop = () => options.signal?.removeEventListener('abort', onAbort);
          this.#start(out);
        });
      } finally {
        stop();
      }
    });
  }

  #start(out: OutgoingBlob): void {
    if (out.single) out.beginSingle();
    else {
      // Bounded by the number of open blobs.
      this.#parts.control(FRAME.offer, out.offer().finish(), { id: out.id }, () => {});
      out.beginEarly(this.#early.take(out.blob.size), this.#parts.digests);
    }
    this.#enqueue(out);
    this.pump();
  }

  /** What has something to send takes its turn, once. */
  #enqueue(out: OutgoingBlob): void {
    if (!out.over && out.hasMore && !this.#ready.includes(out)) this.#ready.push(out);
  }

  /** Takes it out of everything; its late acknowledgements mean nothing any more. */
  #drop(out: OutgoingBlob): void {
    out.over = true;
    this.#open.delete(out.id);
    this.#ready = this.#ready.filter((other) => other !== out);
    for (const piece of out.pieces.values()) if (!piece.queued) this.inFlightBytes -= piece.length;
    out.pieces.clear();
    this.pump();
  }

  #abort(out: OutgoingBlob, reason: unknown): void {
    if (out.over) return;
    this.#parts.control(FRAME.abort, encodeError(reason), { id: out.id });
    this.#early.givenUp(out);
    this.#drop(out);
    out.settle.reject(reason);
  }

  /** Gives pieces to streams as long as both there are. */
  pump(): void {
    const { streams, windowBytes, limit } = this.#parts;
    while (this.#ready.length > 0 && this.inFlightBytes < windowBytes && this.#failure === undefined) {
      const waitMs = limit.waitMs();
      if (waitMs > 0) {
        this.#rateTimer ??= setTimeout(() => {
          this.#rateTimer = undefined;
          this.pump();
        }, waitMs);
        return;
      }
      const first = this.#ready[0] as OutgoingBlob;
      const bytes = this.#pieceBytes(first);
      const early = first.earlyBytes > 0;
      const link = early ? streams.pickEarly(bytes) : streams.pick(bytes);
      if (link === undefined && !(early && streams.active === 0)) return;
      this.#ready.shift();
      // It comes back with its answer, or with another stream.
      if (link === undefined) continue;
      const piece = first.next(bytes);
      if (first.hasMore) this.#ready.push(first);
      if (piece === undefined) continue;
      this.inFlightBytes += piece.length;
      void this.shipper.ship(link, first, piece);
    }
  }

  #pieceBytes(out: OutgoingBlob): number {
    if (out.earlyBytes > 0) return GROUP_BYTES;
    const { streams, windowBytes, limit } = this.#parts;
    const left = this.#ready.length > 1 ? Number.POSITIVE_INFINITY : out.uncutBytes;
    const figures = {
      active: Math.max(1, streams.active),
      size: out.blob.size,
      leftBytes: left,
      windowBytes,
      minRttMs: this.hedge.minRttMs,
    };
    return chunkBytes(figures, limit.pieceBytes);
  }

  #sendDigest(out: OutgoingBlob): void {
    if (!out.over) this.#parts.control(FRAME.digest, out.digest(), { id: out.id });
  }

  /** The other side told what it has of a blob. */
  accepted(id: number, have: (size: number) => readonly Range[]): void {
    const out = this.#open.get(id);
    if (out === undefined) return;
    const ranges = have(out.blob.size);
    this.#early.answered(out);
    for (const { length } of out.begin(ranges, this.#parts.clock.steadyMs())) this.inFlightBytes -= length;
    out.hashHave(ranges).then(
      (complete) => {
        if (complete) this.#sendDigest(out);
      },
      (error: unknown) => this.#abort(out, error),
    );
    out.options.onProgress?.(out.takenBytes, out.blob.size);
    this.#enqueue(out);
    this.pump();
  }

  /** The other side took pieces over. */
  acked(acks: readonly Ack[]): void {
    const nowMs = this.#parts.clock.steadyMs();
    for (const { id, offset } of acks) {
      const out = this.#open.get(id);
      const piece = out?.taken(offset);
      if (out === undefined || piece === undefined) continue;
      if (piece.queued) piece.queued = false;
      else this.inFlightBytes -= piece.length;
      this.#timed(piece, nowMs);
      this.takenBytes += piece.length;
      out.options.onProgress?.(out.takenBytes, out.blob.size);
    }
    this.#takenMs = nowMs;
    this.pump();
  }

  #timed(piece: Piece, nowMs: number): void {
    for (const link of piece.links) link.takenMs = nowMs;
    if (piece.sends === 1 && !piece.waited) this.hedge.measured(nowMs - piece.sentMs);
  }

  done(id: number, answer: Buffer): void {
    const out = this.#open.get(id);
    if (out === undefined) return;
    if (out.single) {
      const piece = out.taken(0);
      if (piece !== undefined && !piece.queued) this.inFlightBytes -= piece.length;
      this.takenBytes += out.blob.size;
      if (piece !== undefined) this.#timed(piece, this.#parts.clock.steadyMs());
    }
    this.#takenMs = this.#parts.clock.steadyMs();
    this.#early.answered(out);
    this.#drop(out);
    out.options.onProgress?.(out.blob.size, out.blob.size);
    out.settle.resolve(answer);
  }

  rejected(id: number, reason: DiffKeeperError): void {
    const out = this.#open.get(id);
    if (out === undefined) return;
    this.#early.answered(out);
    this.#drop(out);
    out.settle.reject(reason);
  }

  /**
   * A stream is gone: what it carried goes over the others, in a moment. What has arrived may still be acknowledged, and
   * when the whole connection is gone, the word about the other streams is on its way.
   */
  linkLost(link: Link): void {
    setTimeout(() => this.#sendAgain(link), LOST_MS + 2 * this.hedge.minRttMs).unref();
  }

  /** There is one more stream, which early pieces may have waited for. */
  streamAdded(): void {
    for (const out of this.#open.values()) if (out.earlyBytes > 0) this.#enqueue(out);
    this.pump();
  }

  #sendAgain(link: Link): void {
    for (const out of this.#open.values()) {
      for (const piece of out.pieces.values()) {
        if (!piece.links.delete(link) || piece.links.size > 0 || piece.queued) continue;
        this.inFlightBytes -= piece.length;
        out.putBack(piece);
        if (!this.#ready.includes(out)) this.#ready.unshift(out);
      }
    }
    this.pump();
  }

  /** Looks after pieces that take too long; to be called often. Gives data streams that should be given up. */
  tend(): Iterable<Link> {
    for (const link of this.#late.wake()) this.#sendAgain(link);
    const stalled = this.#late.tend(this.#open, !this.hungry && !this.windowFull, this.#takenMs);
    this.pump();
    return stalled;
  }

  /** The session is over: everything that is open fails with this. */
  fail(reason: DiffKeeperError): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    clearTimeout(this.#rateTimer);
    for (const out of [...this.#open.values()]) {
      this.#drop(out);
      out.settle.reject(reason);
    }
  }
}
