/** A blob on its way out: what is still to be cut into pieces, what is under way, what is to be sent again. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import type { ByteWriter } from '../format/format.js';
import { GROUP_BYTES, type PieceDigest } from './blob-digest.js';
import type { BlobDigests } from './blob-digests.js';
import type { Link } from './link.js';
import { encodeOffer } from './messages.js';
import { missingRanges, type Range } from './ranges.js';
import type { BlobSource, DigestKind, SendOptions } from './types.js';

/** Blobs up to this length travel in one frame, without asking first. */
export const SINGLE_BYTES_MAX = LIMITS.frameBytes / 2;

export interface Piece {
  readonly offset: number;
  readonly length: number;
  /** Links that carry it now; more than one when it was hedged. */
  readonly links: Set<Link>;
  /** How often it was sent. */
  sends: number;
  sentMs: number;
  /** In the list of those to be sent again. */
  queued: boolean;
  /** It has waited for its blob to be accepted: how long it took says nothing of the way. */
  waited?: true;
}

export class OutgoingBlob {
  readonly id: number;
  readonly blob: BlobSource;
  readonly options: SendOptions;
  /** What the other side checks it by. */
  readonly digestKind: DigestKind;
  /** Pieces that were sent and not taken over yet, by offset. */
  readonly pieces = new Map<number, Piece>();
  readonly settle: { resolve(answer: Buffer): void; reject(reason: unknown): void };
  readonly #again: Piece[] = [];
  #missing: Range[] = [];
  #missingAt = 0;
  #cutAt = 0;
  /** Up to here it was cut before the other side answered. */
  #earlyEnd = 0;
  /** Bytes that were not cut yet. */
  uncutBytes = 0;
  /** Bytes that the other side has taken over, or had. */
  takenBytes = 0;
  /** Bytes that were sent again only because they were late. */
  hedgedBytes = 0;
  /** Bytes that may be sent before the other side has answered; 0 once it has. */
  earlyBytes = 0;
  /** Whether the other side has said what it has. */
  accepted = false;
  /** Over: nothing about it is to be sent or counted. */
  over = false;
  #digest: PieceDigest | undefined;
  #hashedBytes = 0;

  constructor(
    id: number,
    { blob, digestKind, options }: Pick<OutgoingBlob, 'blob' | 'digestKind' | 'options'>,
    settle: OutgoingBlob['settle'],
  ) {
    this.id = id;
    this.digestKind = digestKind;
    this.blob = blob;
    this.options = options;
    this.settle = settle;
  }

  /** Whether it travels in one frame. */
  get single(): boolean {
    return this.blob.size <= SINGLE_BYTES_MAX;
  }

  /** Sends the first bytes before the other side has answered. @param bytes whole groups */
  beginEarly(bytes: number, digests: BlobDigests): void {
    if (this.blob.digest === undefined) this.#digest = digests.begin(this.digestKind, this.blob.size);
    this.earlyBytes = bytes;
    this.uncutBytes = bytes;
    if (bytes > 0) this.#missing = [[0, bytes]];
  }

  /**
   * The other side told what it has: the rest is to be sent. Gives the pieces under way in vain: they are dropped there.
   */
  begin(have: readonly Range[], nowMs: number): Piece[] {
    if (this.single || this.accepted) {
      throw new DiffKeeperError('DK_PROTOCOL', `blob ${this.id} was not offered, or is accepted already`);
    }
    for (const [start, end] of have) {
      const aligned = start % GROUP_BYTES === 0 && (end % GROUP_BYTES === 0 || end === this.blob.size);
      if (!aligned) throw new DiffKeeperError('DK_PROTOCOL', 'what the other side has is not in whole groups');
      this.takenBytes += end - start;
    }
    this.accepted = true;
    const isThere = ({ offset }: Piece): boolean => have.some(([start, end]) => start <= offset && offset < end);
    const vain = [...this.pieces.values()].filter(isThere);
    for (const { offset } of vain) this.pieces.delete(offset);
    for (const piece of this.pieces.values()) Object.assign(piece, { sentMs: nowMs, waited: true });
    const underWay = vain.filter(({ queued }) => !queued);
    // Those that wait to be sent again need not.
    for (const piece of vain) piece.queued = false;
    this.#earlyEnd = this.#cutAt;
    this.#missing = behind(missingRanges(have, this.blob.size), this.#earlyEnd);
    this.#missingAt = 0;
    this.uncutBytes = this.#missing.reduce((sum, [start, end]) => sum + end - start, 0);
    this.#cutAt = this.#missing[0]?.[0] ?? 0;
    return underWay;
  }

  /** What the other side is told of it. @param digest when it is known */
  offer(digest: Buffer | undefined = this.blob.digest): ByteWriter {
    const { service, key, size, meta = Buffer.alloc(0) } = this.blob;
    return encodeOffer({ service, key, size, ...(digest && { digest }), digestKind: this.digestKind, meta });
  }

  /** A blob in one frame is one piece. */
  beginSingle(): void {
    this.#again.push({ offset: 0, length: this.blob.size, links: new Set(), sends: 0, sentMs: 0, queued: true });
  }

  get hasMore(): boolean {
    return this.#again.length > 0 || this.#missingAt < this.#missing.length;
  }

  /** The next piece to send, of at most `bytesMax` (a power of two of at least a group). */
  next(bytesMax: number): Piece | undefined {
    for (let again = this.#again.shift(); again !== undefined; again = this.#again.shift()) {
      if (!again.queued) continue;
      again.queued = false;
      this.pieces.set(again.offset, again);
      return again;
    }
    const range = this.#missing[this.#missingAt];
    if (range === undefined) return undefined;
    const offset = this.#cutAt;
    const end = Math.min(range[1], offset - (offset % bytesMax) + bytesMax);
    this.#cutAt = end;
    this.uncutBytes -= end - offset;
    if (end === range[1]) {
      this.#missingAt += 1;
      this.#cutAt = this.#missing[this.#missingAt]?.[0] ?? end;
    }
    const piece = { offset, length: end - offset, links: new Set<Link>(), sends: 0, sentMs: 0, queued: false };
    this.pieces.set(offset, piece);
    return piece;
  }

  /** To be sent once more. */
  putBack(piece: Piece): void {
    piece.queued = true;
    this.#again.push(piece);
  }

  /** The other side took a piece over; undefined when that was known already. */
  taken(offset: number): Piece | undefined {
    const piece = this.pieces.get(offset);
    if (piece === undefined) return undefined;
    this.pieces.delete(offset);
    this.takenBytes += piece.length;
    return piece;
  }

  /**
   * Hashes a piece that was read for the first time; true when the digest can be made. `values` are those of its groups, when its
   * frame is checked by them.
   */
  async hash(piece: Piece, bytes: Buffer, values?: Buffer): Promise<boolean> {
    if (this.#digest === undefined) return false;
    await this.#digest.add(piece.offset, bytes, values);
    this.#hashedBytes += piece.length;
    return this.#hashedBytes === this.blob.size;
  }

  /** Hashes what the other side had already, so that it is read here and not sent; true when the digest can be made. */
  async hashHave(have: readonly Range[]): Promise<boolean> {
    const digest = this.#digest;
    const unread = behind(have, this.#earlyEnd);
    if (digest === undefined || unread.length === 0) return false;
    const buffer = Buffer.allocUnsafe(LIMITS.frameBytes);
    for (const [start, end] of unread) {
      for (let at = start; at < end && !this.over; at += buffer.length) {
        const bytes = await readFully(this.blob, at, buffer.subarray(0, Math.min(buffer.length, end - at)));
        await digest.add(at, bytes);
        this.#hashedBytes += bytes.length;
      }
    }
    return this.#hashedBytes === this.blob.size;
  }

  digest(): Buffer {
    return (this.#digest as PieceDigest).finish();
  }
}

/** What of these stretches is behind a place. */
function behind(ranges: readonly Range[], place: number): Range[] {
  return ranges.map(([start, end]): Range => [Math.max(start, place), end]).filter(([start, end]) => end > start);
}

/** Fills all of `into` from the source. Throws DK_IO when the source ends before that. */
export async function readFully(blob: BlobSource, offset: number, into: Buffer): Promise<Buffer> {
  let done = 0;
  while (done < into.length) {
    const count = await blob.read(offset + done, into.subarray(done));
    if (count === 0) {
      throw new DiffKeeperError('DK_IO', 'the source has become shorter than it said', {
        expected: blob.size,
        actual: offset + done,
      });
    }
    done += count;
  }
  return into;
}
