/** Everything that one side receives. Memory is bounded by the window that the other side was given. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { AckQueue } from './ack-queue.js';
import { type BlobDigests, digestBytesOf } from './blob-digests.js';
import { EarlyPieces } from './early-pieces.js';
import { FLAG_HERE, FRAME } from './frame.js';
import type { Frame } from './frame-reader.js';
import { checkedAnswer, IncomingBlob } from './incoming-blob.js';
import { checkName, decodeBlob, decodeDigest, decodeOffer, encodeHave, type OfferBody } from './messages.js';
import { PastIds } from './past-ids.js';
import type { ControlSend } from './request-desk.js';
import type { BlobOffer, BlobSink, Peer, Session } from './types.js';
import { decodeError, encodeError } from './wire-error.js';

export interface InboxParts {
  readonly digests: BlobDigests;
  readonly peer: Peer;
  /** Of the protocol. */
  readonly version: number;
  readonly windowBytes: number;
  readonly control: ControlSend;
  /** Something is wrong that no caller here can be told: ends the session. */
  fail(error: unknown): void;
}

type Opener = Parameters<Session['onBlob']>[1];

/** An open blob; without `blob` while its sink is being opened, and for those in one frame. */
interface Open {
  blob?: IncomingBlob;
  /** Its digest, told behind the offer. */
  told?: Buffer;
  /** Ends what is waited for; its reason tells why. */
  readonly ending: AbortController;
  /** The other side is being told that it is done: that takes memory until it is read, so it is open until then. */
  done?: boolean;
}

export class Inbox {
  readonly #parts: InboxParts;
  readonly #openers = new Map<string, Opener>();
  readonly #open = new Map<number, Open>();
  readonly #past = new PastIds();
  readonly #early: EarlyPieces;
  readonly #acks: AckQueue;
  #heldBytes = 0;
  receivedBytes = 0;

  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.#early = new EarlyPieces(parts.version);
    this.#acks = new AckQueue(parts.control);
  }

  get openBlobs(): number {
    return this.#open.size;
  }

  onBlob(service: string, open: Opener): void {
    checkName(service, 'service');
    this.#openers.set(service, open);
  }

  /** Pieces that were sent before an earlier loss of a stream may be held beside the window that replaced them. */
  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#heldBytes > 2 * this.#parts.windowBytes) {
      throw new DiffKeeperError('DK_PROTOCOL', 'the other side sends more than its window');
    }
  }

  /** Begins a blob; undefined when that number was used before: it was sent again, and is known. */
  #begin(id: number): Open | undefined {
    if (this.#open.has(id) || this.#past.has(id)) return undefined;
    // Thrice: one that was aborted may be replaced by another before the word about it arrives, and one that is done
    // before it is known here that the other side has heard so.
    if (this.#open.size >= 3 * LIMITS.openTransfers) throw new DiffKeeperError('DK_PROTOCOL', 'too many open blobs');
    const open: Open = { ending: new AbortController() };
    this.#open.set(id, open);
    return open;
  }

  #end(id: number): void {
    this.#open.delete(id);
    this.#past.add(id);
    this.#early.drop(id);
  }

  async #sinkOf(offer: BlobOffer, { signal }: AbortController): Promise<BlobSink | null> {
    if (this.#parts.peer.rights === 'read') {
      throw new DiffKeeperError('DK_REFUSED', `${offer.peer.name} may not send here`, { name: offer.peer.name });
    }
    const opener = this.#openers.get(offer.service);
    if (opener === undefined) {
      throw new DiffKeeperError('DK_UNSUPPORTED', `nothing here takes blobs of the service ${offer.service}`);
    }
    return opener(offer, signal);
  }

  offered(id: number, payload: Buffer): void {
    const body = this.#checked(decodeOffer(payload));
    const open = this.#begin(id);
    if (open === undefined) throw new DiffKeeperError('DK_PROTOCOL', `blob ${id} was offered before`);
    this.#accept(id, open, body).catch((error: unknown) => this.#reject(id, error));
  }

  async #accept(id: number, open: Open, body: OfferBody): Promise<void> {
    const { digests } = this.#parts;
    const { digestKind = 'blake3' } = body;
    const offer = this.#offerOf(body);
    const sink = await this.#sinkOf(offer, open.ending);
    if (sink === null) return this.#done(id, Buffer.alloc(0), FLAG_HERE);
    let blob: IncomingBlob;
    try {
      open.ending.signal.throwIfAborted();
      const checkedBy = { digest: digests.begin(digestKind, offer.size), digestBytes: digestBytesOf(digestKind) };
      blob = new IncomingBlob(offer, sink, { ...checkedBy, ...(body.digest && { expected: body.digest }) });
    } catch (error) {
      await sink.abort(error as Error).catch(() => {});
      throw error;
    }
    open.blob = blob;
    this.#parts.control(FRAME.accept, encodeHave(blob.have), { id });
    const early = this.#early.take(id);
    try {
      if (open.told) blob.expect(open.told);
      while (early.length > 0) this.#write(early.shift() as Frame, blob);
    } catch (error) {
      for (const frame of early) frame.release();
      this.#parts.fail(error);
    }
    await blob.checkHave();
    this.#finishIfComplete(id, blob);
  }

  /** Throws DK_PROTOCOL for a digest that was not agreed upon. */
  #checked<T extends OfferBody>(body: T): T {
    if (body.digestKind !== 'xxh3' || this.#parts.digests.quick) return body;
    throw new DiffKeeperError('DK_PROTOCOL', 'a blob has a digest of a kind that was not agreed upon');
  }

  /** What a sink is told; a quick digest says nothing outside the session. */
  #offerOf({ digestKind, digest, ...rest }: OfferBody): BlobOffer {
    const known = digest === undefined || digestKind === 'xxh3' ? {} : { digest };
    return { ...rest, ...known, peer: this.#parts.peer };
  }

  #done(id: number, answer: Buffer, flags = 0): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    open.done = true;
    // Bounded by the number of open blobs.
    this.#parts.control(FRAME.done, answer, { id, flags }, () => this.#end(id));
  }

  /** Tells the other side why not, and forgets it. */
  #reject(id: number, error: unknown): void {
    const open = this.#open.get(id);
    if (open === undefined || open.done) return;
    this.#end(id);
    this.#parts.control(FRAME.reject, encodeError(error, this.#parts.version), { id });
    void open.blob?.abort(error instanceof Error ? error : new Error(String(error)));
  }

  /** A piece of a blob. Its memory is given back when it is written. */
  piece(frame: Frame): void {
    const open = this.#open.get(frame.id);
    if (open?.blob !== undefined) this.#write(frame, open.blob);
    else if (open?.done || this.#past.has(frame.id)) frame.release();
    else this.#early.hold(frame);
  }

  #write(frame: Frame, blob: IncomingBlob): void {
    const { id, offset, payload, values } = frame;
    if (blob.claim(offset, payload.length) === 'known') {
      frame.release();
      return;
    }
    this.#hold(payload.length);
    blob.write(offset, payload, values).then(
      () => {
        this.#free(frame);
        this.receivedBytes += payload.length;
        this.#acks.add({ id, offset });
        this.#finishIfComplete(id, blob);
      },
      (error: unknown) => {
        this.#free(frame);
        this.#reject(id, error);
      },
    );
  }

  #free(frame: Frame): void {
    this.#heldBytes -= frame.length;
    frame.release();
  }

  #finishIfComplete(id: number, blob: IncomingBlob): void {
    if (!blob.complete) return;
    blob.finish().then(
      (answer) => {
        this.#acks.flush();
        this.#done(id, answer);
      },
      (error: unknown) => this.#reject(id, error),
    );
  }

  /** A blob in one frame. */
  single(frame: Frame): void {
    const { id, payload } = frame;
    const { offer, content } = decodeBlob(payload);
    this.#checked(offer);
    const open = this.#begin(id);
    if (open === undefined) {
      frame.release();
      return;
    }
    this.#hold(frame.length);
    this.#takeSingle(open, offer, content).then(
      (answer) => {
        this.#free(frame);
        this.receivedBytes += offer.size;
        this.#done(id, answer ?? Buffer.alloc(0), answer === undefined ? FLAG_HERE : 0);
      },
      (error: unknown) => {
        this.#free(frame);
        this.#reject(id, error);
      },
    );
  }

  async #takeSingle(open: Open, body: OfferBody, content: Buffer): Promise<Buffer | undefined> {
    const digest = await this.#parts.digests.whole(body.digestKind ?? 'blake3', content);
    const offer = this.#offerOf(body);
    if (!digest.equals(body.digest as Buffer)) {
      throw new DiffKeeperError('DK_DIGEST_MISMATCH', 'the bytes that came are not those that were sent');
    }
    const sink = await this.#sinkOf(offer, open.ending);
    if (sink === null) return undefined;
    try {
      if (offer.size > 0) await sink.write(0, content);
      open.ending.signal.throwIfAborted();
    } catch (error) {
      await sink.abort(error as Error).catch(() => {});
      throw error;
    }
    return checkedAnswer(await sink.finish());
  }

  /** The digest of a blob that was not known when it was offered. */
  digest(id: number, payload: Buffer): void {
    const digest = decodeDigest(payload);
    const open = this.#open.get(id);
    if (open === undefined) return;
    if (open.told !== undefined) throw new DiffKeeperError('DK_PROTOCOL', `the digest of blob ${id} was told before`);
    open.told = digest;
    if (open.blob === undefined) return;
    open.blob.expect(digest);
    this.#finishIfComplete(id, open.blob);
  }

  /** The sender gave it up. */
  aborted(id: number, payload: Buffer): void {
    const reason = decodeError(payload);
    const open = this.#open.get(id);
    // The answer takes memory until it is read, wanted or not.
    if (open?.done) return;
    // Its only frame may be on its way still, or never come: the number is used up either way.
    this.#end(id);
    if (open === undefined) return;
    open.ending.abort(reason);
    void open.blob?.abort(reason);
  }

  /** The session is over. */
  fail(reason: Error): void {
    for (const open of this.#open.values()) {
      open.ending.abort(reason);
      void open.blob?.abort(reason);
    }
    this.#open.clear();
    this.#early.clear();
    this.#acks.end();
  }
}
