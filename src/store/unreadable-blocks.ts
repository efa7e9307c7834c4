/** Bytes of a pack around the blocks that the disk does not give any more. */
import { isDiffKeeperError, systemCode } from '../core/core.js';

/** What a disk loses at once; every file begins with one. */
const BLOCK_BYTES = 4096;
/** Read at once until something cannot be. */
const STEP_BYTES = 64 << 10;
/** A disk that fails now and then is asked so often before a block counts as lost. */
const TRIES = 3;

export interface Hole {
  readonly offset: number;
  readonly bytes: number;
}

type Read = (offset: number, bytes: number) => Promise<Buffer>;

/** The disk itself refused to give bytes: no lack of descriptors or rights, which would be everybody's. */
export function isUnreadable(error: unknown): boolean {
  return systemCode(error) === 'EIO' || (isDiffKeeperError(error, 'DK_IO') && isUnreadable(error.cause));
}

/** Asks again when the disk refuses, as it may do now and then. Throws what it said last. */
export async function askAgain<T>(read: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await read();
    } catch (error) {
      if (tries === TRIES || !isUnreadable(error)) throw error;
    }
  }
}

export class UnreadableBlocks {
  readonly #read: Read;
  /** Numbers of blocks that were lost each time. */
  readonly #lost = new Set<number>();
  /** Stretches by their first bytes. */
  readonly #noted = new Map<number, number>();

  /** @param read gives fewer bytes at the end of the file only; throws DK_IO */
  constructor(read: Read) {
    this.#read = read;
  }

  /** The bytes, zeros in the place of those that are lost. Throws DK_IO for any other reason. */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const whole = this.#anyLost(offset, bytes) ? null : await this.#tryRead(offset, bytes);
    if (whole) return whole;
    const pieces: Buffer[] = [];
    for (let at = offset; at < offset + bytes; ) {
      const step = at % STEP_BYTES === 0 && !this.#anyLost(at, STEP_BYTES) ? STEP_BYTES : BLOCK_BYTES;
      const count = Math.min(step - (at % step), offset + bytes - at);
      const piece =
        (await this.#tryRead(at, count)) ??
        (step > BLOCK_BYTES ? await this.#blocks(at, count) : this.#lose(at, count));
      pieces.push(piece);
      if (piece.length < count) break;
      at += count;
    }
    return Buffer.concat(pieces);
  }

  async #blocks(offset: number, bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let at = offset; at < offset + bytes; at += BLOCK_BYTES) {
      const count = Math.min(BLOCK_BYTES, offset + bytes - at);
      const piece = (await this.#tryRead(at, count)) ?? this.#lose(at, count);
      pieces.push(piece);
      if (piece.length < count) break;
    }
    return Buffer.concat(pieces);
  }

  #lose(offset: number, bytes: number): Buffer {
    this.#lost.add(Math.floor(offset / BLOCK_BYTES));
    return Buffer.alloc(bytes);
  }

  #anyLost(offset: number, bytes: number): boolean {
    if (this.#lost.size === 0) return false;
    const last = Math.floor((offset + bytes - 1) / BLOCK_BYTES);
    for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block += 1)
      if (this.#lost.has(block)) return true;
    return false;
  }

  /** Null when the disk refuses each time. */
  async #tryRead(offset: number, bytes: number): Promise<Buffer | null> {
    const isBlock = bytes <= BLOCK_BYTES;
    if (isBlock && this.#lost.has(Math.floor(offset / BLOCK_BYTES))) return null;
    const read = () => this.#read(offset, bytes);
    try {
      // More than a block is tried again in parts.
      return await (isBlock ? askAgain(read) : read());
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return null;
    }
  }

  /** Counts a stretch as lost that was not read through this: it overlaps none that was. */
  readonly note = (offset: number, bytes: number): void => {
    this.#noted.set(offset, bytes);
  };

  /** Stretches that were lost so far, ascending. */
  get holes(): Hole[] {
    const holes: { offset: number; bytes: number }[] = [];
    for (const block of [...this.#lost].sort((one, other) => one - other)) {
      const last = holes[holes.length - 1];
      if (last && last.offset + last.bytes === block * BLOCK_BYTES) last.bytes += BLOCK_BYTES;
      else holes.push({ offset: block * BLOCK_BYTES, bytes: BLOCK_BYTES });
    }
    return holes;
  }

  /** Bytes of these that were lost. */
  lostOf(offset: number, bytes: number): number {
    let lost = 0;
    const noted = Array.from(this.#noted, ([from, length]) => ({ offset: from, bytes: length }));
    for (const hole of [...this.holes, ...noted]) {
      lost += Math.max(0, Math.min(offset + bytes, hole.offset + hole.bytes) - Math.max(offset, hole.offset));
    }
    return lost;
  }
}
