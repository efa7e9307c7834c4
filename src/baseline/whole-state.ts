/** The segments of a state in one piece of memory: that of the caller, else the only segment as it is, else memory of its own. */
import { DiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { copyAway } from './large-memory.js';
import type { StatePart } from './state-message.js';

/** Throws TypeError for memory that others could change or take away. */
export function checkRoom(into: unknown): void {
  if (!(into instanceof Uint8Array)) throw new TypeError(`into must be a Uint8Array, got ${typeof into}`);
  const { buffer } = into;
  if (!(buffer instanceof ArrayBuffer) || ('resizable' in buffer && buffer.resizable === true)) {
    throw new TypeError('into must not be shared or resizable memory');
  }
}

/** What the segments of a message promise together. */
export function stateBytesOf(parts: readonly StatePart[]): number {
  return parts.reduce((sum, part) => sum + (part.type === 'segment' ? part.segment.targetBytes : 0), 0);
}

export class WholeState {
  readonly #engine: Engine;
  readonly #stateBytes: number;
  /** Undefined for a state of one segment that may stay where it is made. */
  readonly #room: Uint8Array | undefined;
  #whole: Buffer = Buffer.alloc(0);
  #at = 0;

  /** @param into checked memory of the caller. Throws DK_LIMIT when it is too short. */
  constructor(engine: Engine, parts: readonly StatePart[], into: Uint8Array | undefined) {
    this.#engine = engine;
    this.#stateBytes = stateBytesOf(parts);
    if (into !== undefined && into.length < this.#stateBytes) {
      throw new DiffKeeperError('DK_LIMIT', `a state of ${this.#stateBytes} bytes does not fit into ${into.length}`, {
        expected: this.#stateBytes,
        actual: into.length,
      });
    }
    this.#room =
      into ??
      (parts.filter(({ type }) => type === 'segment').length > 1 ? engine.createRoom(this.#stateBytes) : undefined);
  }

  get bytes(): Buffer {
    return this.#whole;
  }

  /** Where the next segment is wanted. */
  placeOf(segmentBytes: number): Uint8Array | undefined {
    return this.#room?.subarray(this.#at, this.#at + segmentBytes);
  }

  /** The next segment; copied unless it was made in its place. */
  async take(segment: Uint8Array): Promise<void> {
    const room = this.#room;
    const { buffer, byteOffset } = room ?? segment;
    this.#whole = Buffer.from(buffer, byteOffset, this.#stateBytes);
    if (room === undefined) return;
    const inPlace = segment.buffer === buffer && segment.byteOffset === byteOffset + this.#at;
    if (!inPlace) await copyAway(this.#engine, room, segment, this.#at);
    this.#at += segment.length;
  }
}
