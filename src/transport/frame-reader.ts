/**
 * Cuts a stream into frames without copying large payloads: the socket is handed the place where the next bytes belong.
 *
 *   tail() -> where to put bytes        took(n) -> n bytes are there
 *
 * Small frames gather in a stage of 16 KiB and are copied out of it. A payload that does not fit the stage gets a
 * buffer of its own with room for the header of the next frame, so that a run of large frames costs one read each.
 */
import { DiffKeeperError } from '../core/core.js';
import { decodeHeader, FLAG_GROUPS, FRAME, FRAME_HEADER_BYTES, type FrameHeader, type Xxh3 } from './frame.js';
import type { FramePool } from './frame-pool.js';

const STAGE_BYTES = 16 << 10;

export interface Frame extends FrameHeader {
  readonly payload: Buffer;
  /** Values of its groups, when the payload was checked by them. */
  readonly values?: Buffer;
  /** Gives the payload's memory back; it must not be looked at afterwards. To be called once. */
  release(): void;
}

const nothing = (): void => {};

export class FrameReader {
  readonly #xxh3: Xxh3;
  readonly #pool: FramePool;
  readonly #limit: (type: number) => number;
  readonly #deliver: (frame: Frame) => void;
  readonly #stage = Buffer.allocUnsafeSlow(STAGE_BYTES);
  #staged = 0;
  #header: FrameHeader | undefined;
  #body: Buffer | undefined;
  #filled = 0;
  #ended = false;
  /** Makes the values of the groups of a payload; undefined where no frame may be checked by them. */
  groupValues: ((payload: Buffer) => Buffer) | undefined;

  /**
   * @param limit longest payload of a type that is acceptable now, at most what the format allows
   * @param deliver gets each whole frame whose checks are right
   */
  constructor(xxh3: Xxh3, pool: FramePool, limit: (type: number) => number, deliver: (frame: Frame) => void) {
    this.#xxh3 = xxh3;
    this.#pool = pool;
    this.#limit = limit;
    this.#deliver = deliver;
  }

  /** Where the next bytes belong; never empty. */
  tail(): Buffer {
    if (this.#body === undefined || this.#header === undefined) return this.#stage.subarray(this.#staged);
    return this.#body.subarray(this.#filled, this.#header.length + FRAME_HEADER_BYTES);
  }

  /** Bytes were put there. Throws DK_PROTOCOL for what is no frame; nothing may follow then. */
  took(bytes: number): void {
    if (this.#ended) return;
    if (this.#body === undefined) this.#staged += bytes;
    else {
      this.#filled += bytes;
      if (this.#filled < (this.#header as FrameHeader).length) return;
      this.#finishBody(this.#body, this.#header as FrameHeader);
    }
    this.#parseStage();
  }

  /** Copies bytes in, for sources that bring their own memory. */
  feed(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && !this.#ended; ) {
      const tail = this.tail();
      const count = Math.min(tail.length, chunk.length - at);
      tail.set(chunk.subarray(at, at + count));
      at += count;
      this.took(count);
    }
  }

  /** Nothing more will come or is wanted: gives back what was begun. */
  end(): void {
    this.#ended = true;
    if (this.#body !== undefined) this.#pool.give(this.#body);
    this.#body = undefined;
    this.#header = undefined;
  }

  /** Whether the stream stands between two frames. */
  get atBoundary(): boolean {
    return this.#body === undefined && this.#staged === 0;
  }

  #finishBody(body: Buffer, header: FrameHeader): void {
    const extra = this.#filled - header.length;
    body.copy(this.#stage, 0, header.length, this.#filled);
    this.#staged = extra;
    this.#body = undefined;
    this.#header = undefined;
    let held = true;
    const release = (): void => {
      if (held) this.#pool.give(body);
      held = false;
    };
    this.#hand(header, body.subarray(0, header.length), release);
  }

  #hand(header: FrameHeader, payload: Buffer, release: () => void): void {
    const values = this.#valuesOf(header, payload, release);
    if (this.#xxh3(values ?? payload) !== header.hash) {
      release();
      throw new DiffKeeperError('DK_PROTOCOL', 'frame: the payload is damaged');
    }
    this.#deliver(values === undefined ? { ...header, payload, release } : { ...header, payload, values, release });
  }

  #valuesOf({ type, flags }: FrameHeader, payload: Buffer, release: () => void): Buffer | undefined {
    if (type !== FRAME.data || (flags & FLAG_GROUPS) === 0) return undefined;
    if (this.groupValues !== undefined) return this.groupValues(payload);
    release();
    throw new DiffKeeperError('DK_PROTOCOL', 'frame: a check of groups was not agreed upon');
  }

  #parseStage(): void {
    let at = 0;
    while (!this.#ended && this.#staged - at >= FRAME_HEADER_BYTES) {
      const header = decodeHeader(this.#xxh3, this.#stage.subarray(at, at + FRAME_HEADER_BYTES));
      if (header.length > this.#limit(header.type)) {
        throw new DiffKeeperError(
          'DK_PROTOCOL',
          `frame: type ${header.type} of ${header.length} bytes is not expected`,
        );
      }
      const start = at + FRAME_HEADER_BYTES;
      if (header.length > STAGE_BYTES - FRAME_HEADER_BYTES) {
        this.#beginBody(header, start);
        return;
      }
      if (this.#staged < start + header.length) break;
      at = start + header.length;
      // Its own memory: the stage is written to while the payload may still be in use.
      this.#hand(header, Buffer.from(this.#stage.subarray(start, at)), nothing);
    }
    if (at === 0) return;
    this.#stage.copyWithin(0, at, this.#staged);
    this.#staged -= at;
  }

  #beginBody(header: FrameHeader, start: number): void {
    this.#header = header;
    this.#body = this.#pool.take(header.length);
    // The payload is longer than the stage, so all that is left in it belongs to the payload.
    this.#filled = this.#stage.copy(this.#body, 0, start, this.#staged);
    this.#staged = 0;
  }
}
