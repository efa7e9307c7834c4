/**
 * Pieces of blobs that the other side has not accepted yet (docs/format-transport.md, early pieces): on a long way they spare a
 * round trip of waiting.
 */
import { DiffKeeperError } from '../core/core.js';
import { SOCKET_FIGURES } from '../engine/engine.js';
import { GROUP_BYTES } from './blob-digest.js';
import type { Frame } from './frame-reader.js';
import type { Link } from './link.js';
import { LAN_MS, LARGE_BYTES } from './piece-rules.js';

/** The first version of the protocol with them. */
export const VERSION_EARLY = 4;
/** What one side may have sent of blobs that were not answered: a piece for each of the streams that a long way begins with. */
export const EARLY_BYTES_MAX = 1 << 20;
/** Twice what the other side may have under way, in pieces. */
const HELD_MAX = (2 * EARLY_BYTES_MAX) / GROUP_BYTES;
/** Of a blob that is not large, at most one byte in so many: the other side may have it already. */
const SMALL_SHARE = 4;
/** Of a large one less: a transfer that goes on sends them again. */
const LARGE_SHARE = 200;

/** Whether something is won by not waiting for answers: on a short way what was sent in vain costs more. */
export function paysEarly(version: number, link: Pick<Link, 'figures'>): boolean {
  return version >= VERSION_EARLY && (link.figures()?.[SOCKET_FIGURES.minRttMs] ?? 0) >= LAN_MS;
}

/** What the sender may still send early. */
export class EarlyShare {
  #leftBytes: number;

  /** @param pays whether to send anything early at all */
  constructor(pays: boolean) {
    this.#leftBytes = pays ? EARLY_BYTES_MAX : 0;
  }

  /** Bytes from the beginning of a blob of this size that may go now, in whole groups. */
  take(size: number): number {
    const share = size / (size < LARGE_BYTES ? SMALL_SHARE : LARGE_SHARE);
    const bytes = Math.floor(Math.min(this.#leftBytes, share));
    const whole = bytes - (bytes % GROUP_BYTES);
    this.#leftBytes -= whole;
    return whole;
  }

  /** The other side has said what it makes of an offer: it holds nothing early of it. */
  answered(out: { earlyBytes: number }): void {
    this.#leftBytes += out.earlyBytes;
    out.earlyBytes = 0;
  }

  /** It is given up. What has gone of it before an answer, the other side may hold for long. @param uncut bytes that have not gone */
  givenUp({ earlyBytes, uncutBytes }: { readonly earlyBytes: number; readonly uncutBytes: number }): void {
    if (earlyBytes > 0) this.#leftBytes += uncutBytes;
  }
}

/** What the receiver holds. */
export class EarlyPieces {
  readonly #allowed: boolean;
  readonly #blobs = new Map<number, Map<number, Frame>>();
  #held = 0;

  constructor(version: number) {
    this.#allowed = version >= VERSION_EARLY;
  }

  /** Keeps a piece until its blob is accepted, offered or not yet. Throws DK_PROTOCOL for what no sender may send. */
  hold(frame: Frame): void {
    const { id, offset, payload } = frame;
    const whole = offset % GROUP_BYTES === 0 && payload.length === GROUP_BYTES;
    if (!this.#allowed || !whole)
      throw new DiffKeeperError('DK_PROTOCOL', `a piece of blob ${id}, which is not accepted`);
    const pieces = this.#blobs.get(id) ?? new Map<number, Frame>();
    if (pieces.has(offset)) {
      frame.release();
      return;
    }
    if (this.#held === HELD_MAX)
      throw new DiffKeeperError('DK_PROTOCOL', 'too many pieces of blobs that are not accepted');
    this.#held += 1;
    this.#blobs.set(id, pieces.set(offset, frame));
  }

  /** Those of a blob that is accepted now. */
  take(id: number): Frame[] {
    const frames = [...(this.#blobs.get(id)?.values() ?? [])];
    this.#held -= frames.length;
    this.#blobs.delete(id);
    return frames;
  }

  /** The blob is over. */
  drop(id: number): void {
    for (const frame of this.take(id)) frame.release();
  }

  clear(): void {
    for (const id of [...this.#blobs.keys()]) this.drop(id);
  }
}
