/** Copies of much memory, in pieces between which others get their turn. */

/** Copied before others get their turn: a few milliseconds. */
export const TURN_BYTES = 8 << 20;

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Copies all of `from` to `into`, beginning at `at`. */
export async function copyInTurns(into: Uint8Array, from: Uint8Array, at = 0): Promise<void> {
  for (let done = 0; done < from.length; done += TURN_BYTES) {
    into.set(from.subarray(done, done + TURN_BYTES), at + done);
    if (done + TURN_BYTES < from.length) await nextTurn();
  }
}

/** A copy that nobody else holds. */
export async function ownCopy(from: Uint8Array): Promise<Buffer> {
  const copy = Buffer.allocUnsafeSlow(from.length);
  await copyInTurns(copy, from);
  return copy;
}

/** Pieces in one Buffer; a view of the only one. */
export async function joinInTurns(pieces: readonly Uint8Array[]): Promise<Buffer> {
  const [only] = pieces;
  if (pieces.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  const joined = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  let since = 0;
  for (const piece of pieces) {
    await copyInTurns(joined, piece, at);
    at += piece.length;
    since += piece.length;
    if (since < TURN_BYTES) continue;
    since = 0;
    await nextTurn();
  }
  return joined;
}
