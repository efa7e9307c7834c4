/**
 * How much of coding may be done on the event loop between two of its turns, over all encoders and decoders. A promise that is
 * settled at once does not let timers and sockets have their turn: without a bound a loop of small states would hold them up.
 */
import { LIMITS } from '../core/core.js';

/** The shortest state counts as so many: each takes some ten microseconds, however short it is. */
const SHORTEST_BYTES = 64 << 10;

let left: number = LIMITS.syncTurnBytes;
let waits = false;

/** Whether so many bytes may be worked on now; they count as worked on then. */
export function takeLoopShare(bytes: number): boolean {
  const share = Math.max(bytes, SHORTEST_BYTES);
  if (share > left) return false;
  left -= share;
  if (!waits) {
    waits = true;
    setImmediate(() => {
      left = LIMITS.syncTurnBytes;
      waits = false;
    });
  }
  return true;
}

/** Whether there is some left for any one state. */
export function hasLoopShare(): boolean {
  return left >= LIMITS.syncStateBytes;
}

/** Lets the event loop have a turn, after which all of the share is there, unless others were quicker. */
export async function nextLoopTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
