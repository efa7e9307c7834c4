/**
 * Our own garbage: a collection that comes due while the application stands still lengthens that by 10 to 20 ms, so it
 * is done at another time. What counts is memory outside of V8's heap: 32 MB more of it, and V8 begins to collect.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Less has hardly any share in when V8 collects by itself, bytes. */
const WORTH_BYTES = 8 << 20;

let collect: (() => void) | undefined;
/** Memory outside of the heap after the last collection, bytes. */
let left = 0;

/** V8 gives its collector only to contexts made while the flag is set; one that was handed out stays usable. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as () => void;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

/** Collects all garbage now: about 10 ms for the heap of a sidecar. */
export function collectGarbage(): void {
  collect ??= collector();
  collect();
  left = process.memoryUsage().external;
}

/** After a freeze point that read so many bytes: the next one finds nothing to collect. */
export function collectAfter(readBytes: number): void {
  if (readBytes >= WORTH_BYTES) collectGarbage();
}

/** Before a freeze point: only if much was read since, for what is freed right now still keeps the processor busy. */
export function collectBefore(): void {
  if (process.memoryUsage().external - left >= WORTH_BYTES) collectGarbage();
}
