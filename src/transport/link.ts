/** One connection of a session: frames in, frames out. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type Engine, SOCKET_FIGURES } from '../engine/engine.js';
import type { BlobDigests } from './blob-digests.js';
import {
  encodeHeader,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameFields,
  type FrameType,
  payloadLimit,
  type Xxh3,
} from './frame.js';
import type { FramePool } from './frame-pool.js';
import { type Frame, FrameReader } from './frame-reader.js';
import type { Intake, StreamSocket } from './sockets.js';
import { type Standing, Standstill } from './standstill.js';

/** What is expected on it now. */
export type Phase = 'greeting' | 'control' | 'data' | 'over';

/** A frame that waits costs at least so much memory, however short it is. */
const WAITING_FRAME_BYTES_MIN = 512;
const NO_PAYLOAD = Buffer.alloc(0);
const DATA_TYPES: ReadonlySet<number> = new Set([FRAME.blob, FRAME.data]);

function limitOf(phase: Phase, type: number): number {
  const greeting = type <= FRAME.refused;
  if (phase === 'greeting') return greeting ? payloadLimit(type) : -1;
  if (phase === 'control') return greeting ? -1 : payloadLimit(type);
  return phase === 'data' && DATA_TYPES.has(type) ? payloadLimit(type) : -1;
}

export interface LinkParts {
  readonly engine: Engine;
  readonly pool: FramePool;
}

export class Link implements Intake {
  readonly #engine: Engine;
  readonly #xxh3: Xxh3;
  readonly #reader: FrameReader;
  #socket: StreamSocket | undefined;
  /** Of frames that nobody waits for, bytes that the kernel has not taken. */
  #waitingBytes = 0;
  phase: Phase = 'greeting';
  /** Bytes handed to the socket that the kernel has not taken yet, those being prepared included. */
  busyBytes = 0;
  /** Frames of these. */
  busyFrames = 0;
  /** Whether anything came since this was last cleared. */
  heard = false;
  /** When something that it carried was last taken over by the other side. */
  takenMs = 0;
  readonly #standstill = new Standstill();
  /** Who owns the link sets these. Throwing ends the link. */
  onFrame: (frame: Frame) => void = (frame) => frame.release();
  onClosed: (error: Error | undefined) => void = () => {};

  constructor({ engine, pool }: LinkParts) {
    this.#engine = engine;
    this.#xxh3 = (data) => engine.xxh3(data);
    const limit = (type: number): number => limitOf(this.phase, type);
    this.#reader = new FrameReader(this.#xxh3, pool, limit, (frame) => this.onFrame(frame));
  }

  begin(socket: StreamSocket): void {
    this.#socket = socket;
  }

  get address(): string {
    return this.#socket?.address ?? 'unknown';
  }

  /** Whether the other side is on this machine. */
  get near(): boolean {
    return this.#socket?.near ?? false;
  }

  get name(): string {
    return this.#socket?.name ?? 'unknown';
  }

  /** The kernel's figures (`SOCKET_FIGURES`); undefined without them. */
  figures(): Float64Array | undefined {
    const fd = this.#socket?.fd;
    return fd === undefined ? undefined : this.#engine.socketFigures(fd);
  }

  /** Whether all that it was given has arrived, as the kernel says; where it does not tell, whether the kernel has it all. */
  get drained(): boolean {
    if (this.busyFrames > 0) return false;
    const figures = this.figures();
    const { unsentBytes, unackedSegments } = SOCKET_FIGURES;
    return figures === undefined || (figures[unsentBytes] === 0 && figures[unackedSegments] === 0);
  }

  /** Whether bytes move on it. To be called now and then. */
  standing(nowMs: number): Standing {
    return this.#standstill.look(this.figures(), this.busyBytes, nowMs);
  }

  /** It has said what it is; what comes from now on is a session's. */
  enter(phase: 'control' | 'data', digests: BlobDigests): void {
    this.phase = phase;
    if (digests.quick) this.#reader.groupValues = (payload) => digests.groupValues(payload);
  }

  tune(tuning: Parameters<Engine['tuneSocket']>[1]): void {
    const fd = this.#socket?.fd;
    if (fd !== undefined) this.#engine.tuneSocket(fd, tuning);
  }

  tail(): Buffer {
    return this.#reader.tail();
  }

  took(bytes: number): void {
    this.heard = true;
    this.#reader.took(bytes);
  }

  closed(error: Error | undefined): void {
    if (this.phase === 'over') return;
    this.phase = 'over';
    this.#reader.end();
    this.onClosed(error);
  }

  /**
   * Sends a frame; `done` is called when its memory is free again: who waits for that bounds what waits here. Frames
   * without it are bounded together; beyond that the link is ended. Nothing is sent on a link that is over.
   */
  send(type: FrameType, payload: Uint8Array = NO_PAYLOAD, fields: FrameFields = {}, done?: () => void): void {
    const counted = done ?? this.#counted(payload.length);
    const socket = this.#socket;
    if (socket === undefined || this.phase === 'over') {
      counted();
      return;
    }
    socket.write(encodeHeader(this.#xxh3, type, payload, fields), payload, counted);
  }

  /** Counts a frame that nobody waits for, until what it gives is called. */
  #counted(bytes: number): () => void {
    const cost = Math.max(WAITING_FRAME_BYTES_MIN, FRAME_HEADER_BYTES + bytes);
    this.#waitingBytes += cost;
    if (this.#waitingBytes > LIMITS.controlQueueBytes) {
      const waiting = `${this.#waitingBytes} bytes wait for it`;
      this.destroy(new DiffKeeperError('DK_CONNECTION', `the other side does not read: ${waiting}`));
    }
    return () => {
      this.#waitingBytes -= cost;
    };
  }

  /** Whether a payload should be copied behind its header rather than be sent from where it is. */
  get wantsWhole(): boolean {
    return this.#socket?.secure ?? false;
  }

  /** As `send`, of a payload that stands in `frame` behind room for the header, which is filled in here. */
  sendWhole(type: FrameType, frame: Buffer, fields: FrameFields, done: () => void): void {
    const socket = this.#socket;
    if (socket === undefined || this.phase === 'over') {
      done();
      return;
    }
    encodeHeader(this.#xxh3, type, frame.subarray(FRAME_HEADER_BYTES), fields, frame);
    socket.writeWhole(frame, done);
  }

  /** Sends what is queued and closes. */
  end(): void {
    this.#socket?.end();
  }

  /** Ends at once; `onClosed` is told. */
  destroy(reason: Error = new DiffKeeperError('DK_CONNECTION', 'the connection was ended')): void {
    this.#socket?.destroy();
    this.closed(reason);
  }
}
