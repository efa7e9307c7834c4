/** Copies and checks of much memory: away from the event loop, however long they are. */
import { LIMITS } from '../core/core.js';
import { copyRange, type Engine } from '../engine/engine.js';

/** Copied here before others get their turn: part of a millisecond. */
const TURN_BYTES = 1 << 20;

/** Counts what was done on the event loop and lets others have their turns. */
export class Turns {
  #bytes = 0;

  /** Call after so many bytes. */
  async took(bytes: number): Promise<void> {
    this.#bytes += bytes;
    if (this.#bytes < TURN_BYTES) return;
    this.#bytes = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Copies all of `from` to `into`, beginning at `at`. Nobody may touch either meanwhile, unless `from` is shared memory. */
export async function copyAway(engine: Engine, into: Uint8Array, from: Uint8Array, at = 0): Promise<void> {
  if (from.length <= LIMITS.syncBytes) into.set(from, at);
  else await engine.copyRanges(into, from, Float64Array.of(at, 0, from.length));
}

/** As `copyRanges` of the engine. A few pages are copied here: another thread may be busy for long. */
export async function copyRows(engine: Engine, into: Uint8Array, from: Uint8Array, rows: Float64Array): Promise<void> {
  let bytes = 0;
  for (let row = 2; row < rows.length; row += 3) bytes += rows[row] as number;
  if (bytes > LIMITS.syncBytes) return engine.copyRanges(into, from, rows);
  for (let row = 0; row < rows.length; row += 3) {
    copyRange(into, from, { to: rows[row] as number, start: rows[row + 1] as number, length: rows[row + 2] as number });
  }
}

/** A copy that nobody else holds. */
export async function ownCopy(engine: Engine, from: Uint8Array): Promise<Buffer> {
  return from.length <= LIMITS.syncBytes ? Buffer.from(from) : engine.copyBytes(from);
}

/** Pieces in one Buffer; a view of the only one. */
export async function joinPieces(engine: Engine, pieces: readonly Uint8Array[]): Promise<Buffer> {
  const [only] = pieces;
  if (pieces.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  if (bytes <= LIMITS.syncBytes) return Buffer.concat(pieces, bytes);
  const joined = engine.createRoom(bytes);
  const turns = new Turns();
  let at = 0;
  for (const piece of pieces) {
    await copyAway(engine, joined, piece, at);
    at += piece.length;
    if (piece.length <= LIMITS.syncBytes) await turns.took(piece.length);
  }
  return joined;
}

/** XXH3-64. */
export async function checkOf(engine: Engine, data: Uint8Array, seed: bigint): Promise<bigint> {
  return data.length <= LIMITS.syncBytes ? engine.xxh3(data, seed) : engine.xxh3Async(data, seed);
}
