/**
 * Our own garbage: a collection that comes due while the application stands still lengthens that by 10 to 20 ms, and each one
 * takes processor time that the application may want. So V8 is given room, and what piles up is collected between
 * freeze points, once that is worth it.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Garbage and new memory together after which a collection is worth it, bytes. */
const WORTH_BYTES = 24 << 20;
/** How far memory may grow, outside of V8's heap too, before V8 collects by itself, bytes: a freeze point fits between. */
const ROOM_BYTES = 64 << 20;
/** Of a large heap no more than this is given as room, percent: what the program allows everywhere. */
const GROWTH_PERCENT_MIN = 40;
/** V8 takes a growth in percent of its heap, which is never as small as this in a running program, bytes. */
const HEAP_BYTES_MIN = 4 << 20;

/** Node's own, where the process was started with it; else V8 gives it to contexts made while the flag is set, for good. */
function collector(): () => void {
  if (globalThis.gc) return globalThis.gc;
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as () => void;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

/** V8's `heap-growing-percent` with which a heap of this size gets its room. */
export function growthPercent(heapBytes: number): number {
  return Math.max(GROWTH_PERCENT_MIN, Math.ceil((100 * ROOM_BYTES) / Math.max(heapBytes, HEAP_BYTES_MIN)));
}

export class Heap {
  readonly #on: boolean;
  #collector: (() => void) | undefined;
  /** Memory in use after the last collection, inside and outside of the heap, bytes. */
  #leftBytes = 0;

  /** `on`: false leaves everything to V8. */
  constructor(on: boolean) {
    this.#on = on;
  }

  /** Collects all garbage now: about 10 ms for the heap of a program that does nothing but this. */
  collect(): void {
    this.#collector ??= collector();
    // The room is reckoned by V8 when it collects.
    setFlagsFromString(`--heap-growing-percent=${growthPercent(getHeapStatistics().used_heap_size)}`);
    this.#collector();
    this.#leftBytes = usedBytes();
  }

  /** Before and after each freeze point: collects if much has piled up, so that nothing is to be collected in one. */
  tidy(): void {
    if (this.#on && usedBytes() - this.#leftBytes >= WORTH_BYTES) this.collect();
  }
}

function usedBytes(): number {
  // Not `process.memoryUsage`, which opens a file: a freeze point must not fail for that.
  const { used_heap_size: heapBytes, external_memory: otherBytes } = getHeapStatistics();
  return heapBytes + otherBytes;
}
