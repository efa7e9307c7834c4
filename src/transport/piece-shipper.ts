/** Reads pieces and hands them to streams. */
import type { Clock } from '../core/core.js';
import type { BlobDigests } from './blob-digests.js';
import { FLAG_GROUPS, FRAME, FRAME_HEADER_BYTES } from './frame.js';
import type { FramePool } from './frame-pool.js';
import type { Link } from './link.js';
import { type OutgoingBlob, type Piece, readFully } from './outgoing-blob.js';
import type { RateLimit } from './rate-limit.js';

export interface ShipperParts {
  readonly digests: BlobDigests;
  readonly pool: FramePool;
  readonly clock: Clock;
  readonly limit: RateLimit;
}

/** What the shipper tells. */
export interface ShipperEvents {
  /** A stream has room again. */
  free(): void;
  /** All of a blob was read and hashed. */
  hashed(out: OutgoingBlob): void;
  failed(out: OutgoingBlob, error: unknown): void;
}

export class PieceShipper {
  readonly #parts: ShipperParts;
  readonly #events: ShipperEvents;
  sentBytes = 0;
  resentBytes = 0;

  constructor(parts: ShipperParts, events: ShipperEvents) {
    this.#parts = parts;
    this.#events = events;
  }

  /** Sends a piece over a stream. Its place in the window was taken before; what goes wrong is told by the events. */
  async ship(link: Link, out: OutgoingBlob, piece: Piece): Promise<void> {
    const { pool, limit, clock, digests } = this.#parts;
    piece.links.add(link);
    piece.sends += 1;
    // Asked now: while it is read, the stream may be lost and the piece be sent again.
    const first = piece.sends === 1;
    piece.sentMs = clock.steadyMs();
    link.busyBytes += piece.length;
    link.busyFrames += 1;
    limit.spend(piece.length);
    // The stream and the hash each need the bytes for a while. A hash that lags behind holds the stream up, too: else
    // what it has not seen yet would gather in memory.
    let holders = 1;
    let buffer: Buffer | undefined;
    const release = (): void => {
      holders -= 1;
      if (holders > 0) return;
      link.busyBytes -= piece.length;
      link.busyFrames -= 1;
      if (buffer !== undefined) pool.give(buffer);
      this.#events.free();
    };
    try {
      const { blob } = out;
      const whole = link.wantsWhole && !out.single;
      let bytes = blob.view?.(piece.offset, piece.length);
      if (bytes === undefined || whole) {
        buffer = pool.take(piece.length);
        const room = buffer.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + piece.length);
        bytes?.copy(room);
        bytes ??= await readFully(blob, piece.offset, room);
      }
      const payload = out.single ? await this.#singlePayload(out, bytes) : bytes;
      if (out.over) {
        release();
        return;
      }
      const values = out.single || out.digestKind === 'blake3' ? undefined : digests.groupValues(bytes);
      if (!out.single && first) {
        holders += 1;
        void this.#hash(out, piece, bytes, values).finally(release);
      }
      this.sentBytes += piece.length;
      if (!first) this.resentBytes += piece.length;
      const check = values && { flags: FLAG_GROUPS, hash: digests.check(values) };
      const fields = { id: out.id, offset: piece.offset, ...check };
      if (out.single) link.send(FRAME.blob, payload, fields, release);
      else if (buffer === undefined) link.send(FRAME.data, payload, fields, release);
      else link.sendWhole(FRAME.data, buffer.subarray(0, FRAME_HEADER_BYTES + piece.length), fields, release);
    } catch (error) {
      release();
      this.#events.failed(out, error);
    }
  }

  async #singlePayload(out: OutgoingBlob, bytes: Buffer): Promise<Buffer> {
    const digest = out.blob.digest ?? (await this.#parts.digests.whole(out.digestKind, bytes));
    return out.offer(digest).bytes(bytes).finish();
  }

  async #hash(out: OutgoingBlob, piece: Piece, bytes: Buffer, values: Buffer | undefined): Promise<void> {
    try {
      if (await out.hash(piece, bytes, values)) this.#events.hashed(out);
    } catch (error) {
      this.#events.failed(out, error);
    }
  }
}
